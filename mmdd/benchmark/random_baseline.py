"""The baseline that always stands beside a method: random real images at the same budget."""
import copy
from typing import Any

from mmengine.config import Config

from mmdd.registry import MODELS
from mmdd.utils.config import ConfigType, load_config

RANDOM = 'Random'


def is_random(cfg: Config) -> bool:
    """Whether a distillation config draws random real images."""
    from mmdd.models.coresets import RandomCoreset
    kind = MODELS.get(cfg.model.type) if isinstance(cfg.model.type, str) else cfg.model.type
    return kind is RandomCoreset


def random_twin(config: ConfigType) -> Config:
    """The random coreset that differs from a job in nothing but the model and the loop's pace.

    Args:
        config: Config of a distillation job.

    Returns:
        Config: The same real set, budget, writer and evaluation with
        ``RandomCoreset`` as the model.
    """
    cfg = load_config(config)
    twin = Config(cfg.to_dict())
    twin.model = dict(type='RandomCoreset')
    loop = {key: copy.deepcopy(cfg.train_cfg[key]) for key in ('budget', 'writer')}
    twin.train_cfg = dict(type='DistillLoop', **loop, batch_size=64, max_rounds=1)
    twin.custom_hooks = []
    twin.pop('work_dir', None)
    return twin


def same_budget(a: Config, b: Config) -> bool:
    """Whether two jobs distill the same real set to the same budget."""
    return _claim(a) == _claim(b)


def _claim(cfg: Config) -> Any:
    dataset = cfg.train_dataloader.dataset
    return dict(cfg.train_cfg.budget), getattr(dataset, 'to_dict', lambda: dataset)()
