"""What a student protocol does, in words: printed before a training and kept in the report."""
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence

from mmengine.config import Config

from mmdd.datasets.views import leaf_dataset
from mmdd.models.students.label_regimes import REGIMES
from mmdd.models.students.teacher import teachers_of
from mmdd.utils.components import short_name
from mmdd.utils.grouping import grouped
from .protocol import pretrained_weights, selection
from .recipes.lengths import endless_warm_up, num_updates, param_schedulers

# Pipeline steps that read or pack: everything else is augmentation or resizing.
PLUMBING = ('LoadImageFromFile', 'CachedSteps', 'LoadAnnotations', 'PackInputs', 'PackDetInputs',
            'PackSegInputs')
SELECTED = dict(val='by the validation split',
                test='by the test split, as the papers do: optimistic')
SIZE_KEYS = ('crop_size', 'scale', 'size')
SCHEDULER_KEYS = ('milestones', 'gamma', 'T_max', 'eta_min', 'eta_max', 'power', 'end',
                  'total_steps', 'pct_start', 'start_factor')
LABELS = dict(
    model='model', optimizer='optimizer', schedule='learning-rate schedule', length='length',
    batch='batch size', input='input size', augmentation='training pipeline',
    mixing='batch augmentation', teacher='teacher', loss='labels', criterion='loss',
    average='average of weights', select='best checkpoint',
    validation='validation', starts_from='starts from')


@dataclass
class MethodSettings:
    """What is trained on the sets of one method."""
    images: Optional[int] = None  # images of a set; None if only the training will tell
    updates: Optional[int] = None  # updates of a student, likewise
    # Settings that other methods do not share, see :func:`describe_student`.
    own: Dict[str, Optional[str]] = field(default_factory=dict)
    warning: Optional[str] = None  # what is wrong with its schedule, if anything
    # Labels of a classification student, a key of ``REGIMES``; None of other tasks.
    regime: Optional[str] = None
    label_mib: Optional[float] = None  # MiB of its soft labels on disk; None if not known

    def line(self, method: str, sets: int = 1) -> str:
        """All of it in one line."""
        images, updates = ('?' if number is None else number
                           for number in (self.images, self.updates))
        several = f'{sets} sets of ' if sets > 1 else ''
        more = [f'{LABELS[key]} {value}' for key, value in self.own.items() if value is not None]
        labels = [f'{self.regime} labels ({REGIMES[self.regime]})'] if self.regime else []
        if self.label_mib:
            labels.append(f'{self.label_mib:.1f} MiB of labels')
        return ', '.join([f'{method}: {several}{images} images', f'{updates} updates', *labels,
                          *more, *([self.warning] if self.warning else [])])


@dataclass
class ProtocolSettings:
    """The settings of an evaluation."""
    task: str  # task of the protocol
    # What all methods share, see :func:`describe_student`.
    shared: Dict[str, Optional[str]] = field(default_factory=dict)
    # What each has of its own, by name.
    methods: Dict[str, MethodSettings] = field(default_factory=dict)

    @property
    def shared_lines(self) -> List[str]:
        """The shared settings, one per line; those that do not apply are left out."""
        return [f'task: {self.task}'] + [
            f'{label}: {self.shared[key]}' for key, label in LABELS.items()
            if self.shared.get(key) is not None]

    @property
    def lines(self) -> List[str]:
        """The shared settings, then a line for each method."""
        return self.shared_lines + [own.line(name) for name, own in self.methods.items()]


def describe_student(cfg: Config) -> Dict[str, Any]:
    """The settings of a student: a short text for each key of ``LABELS``, None of some."""
    model, train, select = cfg.model.get('student') or cfg.model, cfg.train_cfg, selection(cfg)
    unit = 'updates' if train.get('max_iters') else 'epochs'
    steps = leaf_dataset(cfg.train_dataloader.dataset).get('pipeline') or []
    soft = short_name(cfg.model.type) == 'SoftLabelClassifier'
    return dict(
        model=_model_name(model), optimizer=_optimizer(cfg.optim_wrapper),
        schedule='; '.join(_scheduler(node) for node in param_schedulers(cfg)) or 'constant',
        length=f'{train.get("max_iters") or train.max_epochs} {unit}',
        batch=str(cfg.train_dataloader.batch_size), input=_input_size(steps),
        augmentation=', '.join(name for name in map(short_name, (step['type'] for step in steps))
                               if name not in PLUMBING) or 'none',
        mixing=_mixing(cfg), teacher=_teacher(cfg), loss='soft' if soft else 'hard',
        criterion=_criterion(cfg.model), average=_average(cfg),
        select=SELECTED.get(select or '', 'none is selected'),
        validation=f'every {train.get("val_interval", 1)} {unit}' if select else 'none',
        starts_from=', '.join(pretrained_weights(model)) or str(cfg.get('load_from') or 'nothing'))


def protocol_settings(runs: Sequence[Any], task: str) -> ProtocolSettings:
    """What all methods of an evaluation share, and what each has of its own.

    There are one or more :class:`StudentRun` per method.
    """
    first_runs = [own[0] for own in grouped((run.method, run) for run in runs).values()]
    described = {run.method: describe_student(Config(run.config)) for run in first_runs}
    first, *others = described.values()
    shared = {key: first[key] for key in LABELS
              if all(other[key] == first[key] for other in others)}
    methods = {}
    for run in first_runs:
        cfg = Config(run.config)
        updates = num_updates(cfg, run.images) if run.images else None
        methods[run.method] = MethodSettings(
            run.images, updates,
            {key: value for key, value in described[run.method].items() if key not in shared},
            endless_warm_up(cfg, updates) if updates else None,
            *run.label_facts(run.images))
    return ProtocolSettings(task, shared, methods)


def _model_name(model: Mapping[str, Any]) -> str:
    text, backbone = short_name(model['type']), model.get('backbone')
    if not backbone:
        return text
    more = ''.join(f'-{backbone[key]}' for key in ('depth', 'arch') if key in backbone)
    return f'{text} ({short_name(backbone["type"])}{more})'


def _optimizer(wrapper: Mapping[str, Any]) -> str:
    optimizer = wrapper.get('optimizer')
    if optimizer is None:
        return short_name(wrapper.get('constructor', '?'))
    text = short_name(optimizer['type'])
    for key in ('lr', 'momentum', 'weight_decay'):
        if key in optimizer:
            text += f' {key} {optimizer[key]:g}'
    clip = (wrapper.get('clip_grad') or {}).get('max_norm')
    return text + (f', gradients clipped at {clip:g}' if clip else '')


def _scheduler(node: Mapping[str, Any]) -> str:
    values = [f'{key} {node[key]}' for key in SCHEDULER_KEYS if node.get(key) is not None]
    unit = 'by epoch' if node.get('by_epoch', True) else 'by update'
    return ' '.join([short_name(node['type']), *values, unit])


def _input_size(steps: Sequence[Mapping[str, Any]]) -> Optional[str]:
    """The size that the last resizing or cropping step of a pipeline makes."""
    for step in reversed(steps):
        for size in map(step.get, SIZE_KEYS):
            if isinstance(size, (int, list, tuple)):
                return ' x '.join(map(str, [size, size] if isinstance(size, int) else size))
    return None


def _mixing(cfg: Config) -> Optional[str]:
    augments = list((cfg.model.get('train_cfg') or {}).get('augments') or [])
    if cfg.model.get('mix'):
        augments.append(cfg.model.mix)
    if (cfg.get('soft_labels') or {}).get('cutmix'):
        augments.append(dict(type='CutMix of the stored labels'))
    return ', '.join(short_name(augment['type']) for augment in augments) or None


def _teacher(cfg: Config) -> Optional[str]:
    labels = cfg.get('soft_labels') or {}
    names = []
    for teacher in teachers_of(cfg.model.get('teacher') or labels.get('teacher')):
        inner = teacher.get('cfg')
        name = _model_name(inner['model']) if isinstance(inner, Mapping) and 'model' in inner \
            else str(inner)
        names.append(f'{name}, {teacher.get("checkpoint") or "not trained yet"}')
    if len(names) < 2:
        return names[0] if names else None
    how = dict(mean='mean of', sample='one, drawn for each batch, of')
    combine = cfg.model.get('combine') or labels.get('combine') or 'mean'
    return f'{how[combine]} {"; ".join(names)}'


def _criterion(model: Mapping[str, Any]) -> Optional[str]:
    """The loss of a student with soft labels."""
    if short_name(model['type']) != 'SoftLabelClassifier':
        return None
    kind = model.get('loss', 'kl')
    text = dict(kl='KL divergence', ce='cross-entropy', mse='squared error of logits')[kind]
    if kind != 'mse':
        text += f' at T {model.get("temperature", 20.):g}'
        text += ' times T squared' if model.get('squared') else ''
    weight = model.get('hard_weight')
    return text + (f' + {weight:g} cross-entropy with hard labels' if weight else '')


def _average(cfg: Config) -> Optional[str]:
    """The average of weights that is tested in place of the weights, if there is one."""
    return next((f'exponential, decay {1 - hook.get("momentum", 0.0002):g}'
                 for hook in cfg.get('custom_hooks') or []
                 if short_name(hook['type']) == 'EMAHook'), None)
