"""Learning rates picked per method, on real images that no result is measured on."""
import copy
import math
from typing import Any, Dict, Optional, Sequence, Tuple

from mmengine.config import Config

from mmdd.datasets.subset import EVERY
from mmdd.datasets.views import leaf_dataset, leaf_datasets, wrapped_datasets
from mmdd.utils.components import short_name
from .protocol import has_validation
from .results import Run, by_method

# Of DD-Ranking, https://arxiv.org/abs/2505.13300
LR_GRID = (0.001, 0.005, 0.01, 0.05, 0.1)


def search_protocol(protocol: Config) -> Tuple[Config, str]:
    """The protocol that measures learning rates, and one line that says on which images.

    Never on the test split: on the validation split or, where there is none, every tenth image
    of the real training set, on which 'full' does not train then.
    """
    cfg = copy.deepcopy(protocol)
    options = cfg.protocol
    first = next(iter(options.metrics))
    options.metrics = {first: options.metrics[first]}
    options.select = 'none'
    if has_validation(cfg):
        cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
        where = 'the validation split'
    else:
        _hold_out(cfg)
        where = f'a held-out {100 // EVERY} % of the real training set'
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    return cfg, f'learning rates are picked by {first} on {where}'


def _hold_out(cfg: Config) -> None:
    """Make every tenth training image the test split, and take it from 'full'."""
    # Inside the repetitions, so that no repeated image slips through.
    *wrappers, inner = wrapped_datasets(cfg.train_dataloader.dataset)
    # Filters stay: both halves must count the same images.
    held = copy.deepcopy(inner)
    pipeline = leaf_dataset(cfg.test_dataloader.dataset).get('pipeline')
    for leaf in leaf_datasets(held):
        if pipeline is not None:
            leaf['pipeline'] = copy.deepcopy(pipeline)
    evaluators = cfg.test_evaluator
    for evaluator in [evaluators] if isinstance(evaluators, dict) else evaluators:
        if evaluator.get('ann_file'):
            evaluator['ann_file'] = None
            _keep_instances(held)
    cfg.test_dataloader.dataset = dict(type='mmdd.HeldOut', dataset=held, held=True)
    rest = dict(type='mmdd.HeldOut', dataset=copy.deepcopy(inner), held=False)
    for wrapper in reversed(wrappers):
        rest = dict(wrapper, dataset=rest)
    cfg.protocol.rest = rest


def _keep_instances(dataset: Dict[str, Any]) -> None:
    """Let samples carry their ground truth, for a metric without its own annotation file."""
    for leaf in leaf_datasets(dataset):
        for step in leaf['pipeline']:
            if short_name(step['type']).endswith('PackDetInputs'):
                keys = step.get('meta_keys') or (
                    'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
                step['meta_keys'] = tuple(keys) + ('instances', )


def best_rates(runs: Sequence[Run]) -> Dict[str, Optional[float]]:
    """The rate with the best last value by method, of equal ones the smaller.

    None where all students of a method failed; they have one metric.
    """
    found: Dict[str, Optional[float]] = {}
    for method, own in by_method(runs).items():
        values = [(value, -run.lr) for run in own.finished for value in run.last.values()
                  if run.lr is not None and math.isfinite(value)]
        found[method] = -max(values)[1] if values else None
    return found
