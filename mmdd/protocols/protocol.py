"""The student protocol: a stock training config whose training set is swapped.

Everywhere in this package ``protocol`` is a config as :func:`read_protocol` gives it, ``folder``
that of a set, or 'full' for the protocol's own real set, and ``content`` what
:func:`set_content` says of it.
"""
import copy
import hashlib
import os.path as osp
from typing import Any, Dict, Iterator, List, Mapping, Optional

from mmengine.config import Config

from mmdd.datasets.formats import SetContent, all_formats
from mmdd.datasets.views import leaf_dataset, loader_dataset
from mmdd.engine.training_checks import check_training
from mmdd.registry import TASK_UTILS
from mmdd.utils.components import check_part, short_name
from mmdd.utils.config import ConfigType, fingerprint, load_config, merge_options
from mmdd.utils.io import sha256_once
from mmdd.utils.sections import Section, check_section
from .recipes.lengths import param_schedulers
from .sets import FULL, images_of, protocol_classes, set_content

# The field ``protocol``, see ``read_protocol``; ``rest`` is set by a search for learning rates.
PROTOCOL: Section = dict(
    task=(str, None), metrics=(Dict[str, str], None), scale=(float, dict(above=0)),
    schedule=(Optional[dict], None), select=(str, ('val', 'test', 'none')),
    full=(Optional[dict], None), rest=(Any, None))
# What a dataset config keeps where its set is read by another dataset class.
COMMON_KEYS = ('test_mode', 'serialize_data', 'lazy_init', 'max_refetch', 'backend_args',
               'ignore_index')


def read_protocol(config: ConfigType, cfg_options: Optional[Dict[str, Any]] = None) -> Config:
    """Load a protocol config, and check it; a setting that is wrong or missing is a ValueError.

    Args:
        config: Training config of an mm* package with a field ``protocol``: ``task`` (how the
            set is swapped), ``metrics`` (column -> metric key), ``scale`` (factor on them, 100
            for percent), ``schedule`` (a :class:`ScheduleRule`), ``select`` (the split whose
            validations choose the best checkpoint: 'val', the default, selects none where that
            is missing or the test split; 'test' is what many papers do; 'none') and ``full``
            (options merged for the method that trains on the full real set); or a
            distillation config that names one in ``evaluation.protocol``.
        cfg_options: Dotted options merged into it.
    """
    cfg = load_config(config)
    name = config if isinstance(config, str) else 'the config'
    if cfg.get('evaluation') is not None:
        if cfg.evaluation.get('protocol') is None:
            raise ValueError(f'{name}: evaluation has no protocol')
        return read_protocol(cfg.evaluation.protocol, cfg_options)
    merge_options(cfg, cfg_options)
    protocol = cfg.get('protocol')
    if not isinstance(protocol, dict):
        raise ValueError(f'{name} has neither a field protocol=dict(task=..., metrics=...) nor '
                         f'evaluation=dict(protocol=...)')
    tasks = sorted({each.task for each in all_formats()})
    if protocol.get('task') not in tasks or not protocol.get('metrics'):
        raise ValueError(f'{name}: protocol needs metrics and a task of {tasks}, '
                         f'got task {protocol.get("task")!r}')
    check_section(f'{name}: protocol', protocol, PROTOCOL)
    if protocol.get('schedule') is not None:
        check_part(f'{name}: protocol.schedule', TASK_UTILS, protocol['schedule'])
    check_training(cfg, f'{name}: ')
    for part, missing in (
            ('model', not (cfg.get('model') or {}).get('type')),
            ('training set', 'type' not in loader_dataset(cfg, 'train_dataloader')),
            ('test set', 'type' not in loader_dataset(cfg, 'test_dataloader')),
            ('train_cfg', cfg.get('train_cfg') is None),
            ('optim_wrapper', cfg.get('optim_wrapper') is None)):
        if missing:
            raise ValueError(f'{name}: the protocol has no {part}; a fragment of '
                             f'configs/_base_/protocols is listed after a model and a dataset')
    return cfg


def swap_dataset(dataset: Dict[str, Any], changes: Dict[str, Any]) -> Dict[str, Any]:
    """A copy of a dataset config that reads another folder, repetitions and pipeline as before.

    Several concatenated datasets become one. ``changes`` are fields of the innermost dataset; a
    ``type`` among them replaces all but what every dataset class knows.
    """
    if 'datasets' in dataset:
        return swap_dataset(dataset['datasets'][0], changes)
    swapped = copy.deepcopy(dataset)
    if 'dataset' in dataset:
        swapped['dataset'] = swap_dataset(dataset['dataset'], changes)
    else:
        if 'type' in changes:
            swapped = {key: swapped[key] for key in COMMON_KEYS if key in swapped}
        swapped.update(copy.deepcopy(changes))
    return swapped


def student_config(protocol: Config, folder: str, seed: int,
                   content: Optional[SetContent] = None, lr: Optional[float] = None) -> Config:
    """The training config of one student.

    What differs from the protocol is the training set, the seed, what ``protocol.schedule`` sets
    for so many images, for 'full' the protocol's options for the full set, the split that
    selects a checkpoint, and the learning rate where one is given, see :func:`scale_lr`.

    Raises:
        FileNotFoundError: See :func:`set_content`.
        ValueError: If the set does not fit, or the schedule does not cover its size.
    """
    content = content or set_content(protocol, folder)
    cfg = copy.deepcopy(protocol)
    options = cfg.pop('protocol')
    if folder != FULL:
        cfg.train_dataloader.dataset = swap_dataset(cfg.train_dataloader.dataset, content.changes)
    elif options.get('rest'):  # of a search for learning rates
        cfg.train_dataloader.dataset = copy.deepcopy(options.rest)
    if options.get('schedule'):
        rule = TASK_UTILS.build(copy.deepcopy(options.schedule))
        rule.apply(cfg, content.images, len(protocol_classes(protocol) or ()))
    if folder == FULL:
        cfg.merge_from_dict(options.get('full') or {})
    if lr is not None:
        scale_lr(cfg, lr)
    _set_selection(cfg, options)
    cfg.randomness = dict(seed=seed, deterministic=False)
    return cfg


def _set_selection(cfg: Config, options: Any) -> None:
    """Validate on, and keep the best checkpoint of, what ``protocol.select`` asks for."""
    cfg.setdefault('default_hooks', {})
    cfg.default_hooks.checkpoint = (
        cfg.default_hooks.get('checkpoint') or dict(type='CheckpointHook'))
    hook, select = cfg.default_hooks.checkpoint, options.get('select', 'val')
    if select == 'test':
        cfg.val_dataloader = copy.deepcopy(cfg.test_dataloader)
        cfg.val_evaluator = copy.deepcopy(cfg.test_evaluator)
        cfg.val_cfg = cfg.get('val_cfg') or dict()
    elif select == 'none' or not has_validation(cfg):
        cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
        hook.pop('save_best', None)
        return
    if not hook.get('save_best'):
        hook.update(save_best=next(iter(options.metrics.values())), rule='greater')


def has_validation(cfg: Config) -> bool:
    """Whether a config has a validation split that is not its test split."""
    if 'type' not in loader_dataset(cfg, 'val_dataloader'):  # at most a protocol's pipeline
        return False
    return images_of(cfg, 'val_dataloader', 'type') != images_of(cfg, 'test_dataloader', 'type')


def selection(cfg: Config) -> Optional[str]:
    """The split that chooses the best checkpoint of a student: 'val', 'test' or None."""
    if not cfg.default_hooks.checkpoint.get('save_best'):
        return None
    return 'val' if has_validation(cfg) else 'test'


def scale_lr(cfg: Config, lr: float) -> None:
    """Give a training of one optimizer another learning rate, in place.

    Absolute rates of its parameter schedulers change by the same factor. ValueError where there
    is no such rate.
    """
    optimizer = cfg.optim_wrapper.get('optimizer')
    if optimizer is None or 'lr' not in optimizer:
        raise ValueError('a learning rate can only be set for one optimizer: the protocol has no '
                         'optim_wrapper.optimizer.lr')
    factor = lr / optimizer.lr
    optimizer.lr = lr
    for node in param_schedulers(cfg):
        for key in ('eta_max', 'eta_min'):
            if node.get(key):
                node[key] = node[key] * factor


def content_hash(folder: str, content: SetContent) -> str:
    """SHA-256 that identifies a set by the contents of its files."""
    lines = content.files if folder == FULL else [
        f'{name} {sha256_once(osp.join(folder, name))}' for name in sorted(content.files)]
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()


def run_key(cfg: Config, content: str, seed: int) -> str:
    """Name of a run, 16 hex digits: :func:`content_hash`, protocol, starting weights and seed.

    Where the training set of the student config lies does not count.
    """
    neutral = copy.deepcopy(cfg)
    leaf_dataset(neutral.train_dataloader.dataset)['data_root'] = ''
    parts = [content, fingerprint(neutral), str(seed)] + weights_of(cfg.to_dict())
    return hashlib.sha256('|'.join(parts).encode()).hexdigest()[:16]


def weights_of(cfg: Any) -> List[str]:
    """SHA-256 of every local checkpoint, and index of soft labels, that a config reads."""
    files: List[Any] = []
    for node in nodes_of(cfg):
        files += [node.get('checkpoint'), node.get('load_from')]
        if isinstance(node.get('labels'), str):
            files.append(osp.join(node['labels'], 'labels.json'))
    return [sha256_once(file) for file in files if isinstance(file, str) and osp.isfile(file)]


def pretrained_weights(model: Any) -> List[str]:
    """The checkpoints that the parts of a network start from, as its config names them."""
    return [node['checkpoint'] for node in nodes_of(model)
            if short_name(node.get('type')).endswith('Pretrained')
            and isinstance(node.get('checkpoint'), str)]


def nodes_of(node: Any) -> Iterator[Mapping[str, Any]]:
    """All dicts inside a config by their keys, but those of ``prepare``."""
    if isinstance(node, Mapping):
        yield node
        node = [node[key] for key in sorted(node) if key != 'prepare']
    for inner in node if isinstance(node, (list, tuple)) else ():
        yield from nodes_of(inner)
