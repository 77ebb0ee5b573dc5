"""What a student protocol does, in words: printed before a training and kept in the report."""
from typing import Any, Dict, List, Mapping, Optional

from mmengine.config import Config

from mmdd.datasets.views import leaf_dataset
from .protocol import selection
from .recipes.lengths import endless_warm_up, num_updates, param_schedulers

# Pipeline steps that read or pack: everything else is augmentation or resizing.
PLUMBING = ('LoadImageFromFile', 'CachedSteps', 'LoadAnnotations', 'PackInputs', 'PackDetInputs',
            'PackSegInputs')
SIZE_KEYS = ('crop_size', 'scale', 'size')
SCHEDULER_KEYS = ('milestones', 'gamma', 'T_max', 'eta_min', 'eta_max', 'power', 'end',
                  'total_steps', 'pct_start', 'start_factor')
LABELS = dict(
    model='model', optimizer='optimizer', schedule='learning-rate schedule', length='length',
    batch='batch size', input='input size', augmentation='training pipeline',
    mixing='batch augmentation', teacher='teacher', loss='labels', select='best checkpoint',
    validation='validation', starts_from='starts from')


def describe_student(cfg: Config) -> Dict[str, Any]:
    """The settings of one student as short texts.

    Args:
        cfg: Student config, see :func:`student_config`.

    Returns:
        dict: A text for each key of ``LABELS``; None where it does not apply.
    """
    model = cfg.model.get('student') or cfg.model
    train = cfg.train_cfg
    iters = train.get('max_iters')
    unit = 'updates' if iters else 'epochs'
    select = selection(cfg)
    chosen = dict(val='by the validation split', test='by the test split, as the papers do: '
                  'optimistic').get(select, 'none is selected')
    weights = [str(node.get('checkpoint')) for node in _nodes(model)
               if str(node.get('type')).endswith('Pretrained')]
    return dict(
        model=_model_name(model), optimizer=_optimizer(cfg.optim_wrapper),
        schedule='; '.join(_scheduler(node) for node in param_schedulers(cfg)) or 'constant',
        length=f'{iters or train.max_epochs} {unit}',
        batch=str(cfg.train_dataloader.batch_size), input=_input_size(cfg),
        augmentation=', '.join(_steps(cfg)) or 'none', mixing=_mixing(cfg),
        teacher=_teacher(cfg), loss='soft' if _is_soft(cfg) else 'hard', select=chosen,
        validation=f'every {train.get("val_interval", 1)} {unit}' if select else 'none',
        starts_from=', '.join(weights) or ('nothing' if not cfg.get('load_from')
                                           else str(cfg.load_from)))


def protocol_settings(runs: List[Any], task: str) -> Dict[str, Any]:
    """Settings of an evaluation: what all arms share, and what each has of its own.

    Args:
        runs: One or more :class:`StudentRun` per arm.
        task: Task of the protocol.

    Returns:
        dict: ``task``, ``shared`` (see :func:`describe_student`) and ``arms``: by
        arm ``images``, ``updates`` and the settings that differ.
    """
    found = {}
    for run in runs:
        found.setdefault(run.arm, (run, Config(run.config)))
    own = {arm: describe_student(cfg) for arm, (_, cfg) in found.items()}
    keys = list(LABELS)
    first = next(iter(own.values()))
    shared = {key: first[key] for key in keys
              if all(value[key] == first[key] for value in own.values())}
    arms = {}
    for arm, (run, cfg) in found.items():
        images = run.images or run.listed
        updates = num_updates(cfg, images) if images else None
        arms[arm] = dict(
            images=images, updates=updates,
            **{key: own[arm][key] for key in keys if key not in shared})
        warning = updates and endless_warm_up(cfg, updates)
        if warning:
            arms[arm]['warning'] = warning
    return dict(task=task, shared=shared, arms=arms)


def settings_lines(settings: Mapping[str, Any]) -> List[str]:
    """The shared settings, one per line; those that do not apply are left out."""
    return [f'task: {settings["task"]}'] + [
        f'{LABELS[key]}: {value}' for key, value in settings['shared'].items()
        if value is not None]


def arm_line(arm: str, own: Mapping[str, Any], sets: int = 1) -> str:
    """What is trained on an arm, in one line."""
    images = '? images' if own['images'] is None else f'{own["images"]} images'
    updates = '? updates' if own['updates'] is None else f'{own["updates"]} updates'
    several = f'{sets} sets of ' if sets > 1 else ''
    rest = ''.join(f', {LABELS[key]} {value}' for key, value in own.items()
                   if key in LABELS and value is not None)
    if own.get('warning'):
        rest += f', {own["warning"]}'
    return f'{arm}: {several}{images}, {updates}{rest}'


def _nodes(node: Any) -> List[Mapping[str, Any]]:
    """All dicts inside a config."""
    if isinstance(node, Mapping):
        return [node] + [found for value in node.values() for found in _nodes(value)]
    if isinstance(node, (list, tuple)):
        return [found for value in node for found in _nodes(value)]
    return []


def _name(value: Any) -> str:
    return (value if isinstance(value, str) else getattr(value, '__name__', str(value))).rsplit(
        '.', 1)[-1]


def _model_name(model: Mapping[str, Any]) -> str:
    text, backbone = _name(model['type']), model.get('backbone')
    if not backbone:
        return text
    more = ''.join(f'-{backbone[key]}' for key in ('depth', 'arch') if key in backbone)
    return f'{text} ({_name(backbone["type"])}{more})'


def _optimizer(wrapper: Mapping[str, Any]) -> str:
    optimizer = wrapper.get('optimizer')
    if optimizer is None:
        return _name(wrapper.get('constructor', '?'))
    text = _name(optimizer['type'])
    for key in ('lr', 'momentum', 'weight_decay'):
        if key in optimizer:
            text += f' {key} {optimizer[key]:g}'
    clip = (wrapper.get('clip_grad') or {}).get('max_norm')
    return text + (f', gradients clipped at {clip:g}' if clip else '')


def _scheduler(node: Mapping[str, Any]) -> str:
    values = [f'{key} {node[key]}' for key in SCHEDULER_KEYS if node.get(key) is not None]
    unit = 'by epoch' if node.get('by_epoch', True) else 'by update'
    return ' '.join([_name(node['type']), *values, unit])


def _steps(cfg: Config) -> List[str]:
    pipeline = leaf_dataset(cfg.train_dataloader.dataset).get('pipeline') or []
    return [_name(step['type']) for step in pipeline if _name(step['type']) not in PLUMBING]


def _input_size(cfg: Config) -> Optional[str]:
    """The size that the last resizing or cropping step of the training pipeline makes."""
    found = None
    for step in leaf_dataset(cfg.train_dataloader.dataset).get('pipeline') or []:
        for key in SIZE_KEYS:
            if isinstance(step.get(key), (int, list, tuple)):
                found = step[key]
                break
    if found is None:
        return None
    sides = [found, found] if isinstance(found, int) else list(found)
    return ' x '.join(str(side) for side in sides)


def _mixing(cfg: Config) -> Optional[str]:
    augments = list((cfg.model.get('train_cfg') or {}).get('augments') or [])
    if cfg.model.get('mix'):
        augments.append(cfg.model.mix)
    if (cfg.get('soft_labels') or {}).get('cutmix'):
        augments.append(dict(type='CutMix of the stored labels'))
    return ', '.join(_name(augment['type']) for augment in augments) or None


def _is_soft(cfg: Config) -> bool:
    return cfg.get('soft_labels') is not None or _name(cfg.model.type) == 'SoftLabelClassifier'


def _teacher(cfg: Config) -> Optional[str]:
    teacher = cfg.model.get('teacher') or (cfg.get('soft_labels') or {}).get('teacher')
    if not teacher:
        return None
    inner = teacher.get('cfg')
    name = _model_name(inner['model']) if isinstance(inner, Mapping) and 'model' in inner \
        else str(inner)
    return f'{name}, {teacher.get("checkpoint") or "not trained yet"}'
