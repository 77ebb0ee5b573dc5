"""Rules of classification protocols: what depends on the size of the set."""
import copy
import math
from typing import Any, Dict, Optional, Sequence, Tuple

from mmengine.config import Config

from mmdd.datasets.class_mapping import class_columns
from mmdd.models.proxies.base import read_classes, reads_rgb
from mmdd.registry import TASK_UTILS
from mmdd.utils.config import load_config
from .adapters import leaf_dataset
from .schedules import EpochsByIPC, ScheduleRule, param_schedulers, set_batch_size, set_epochs

Table = Sequence[Tuple[int, int]]


def at_least(table: Table, ipc: float) -> int:
    """The value of the last entry (limit, value) with ``limit <= ipc``, else the first one."""
    table = sorted(table)
    return ([value for limit, value in table if limit <= ipc] or [table[0][1]])[-1]


def set_image_size(cfg: Config, size: int, written_for: int) -> None:
    """Change the image size of all three pipelines.

    Sizes that are ``written_for`` become ``size``. Others are larger, for a crop
    from the centre; they keep their ratio in steps of a seventh, so that 256
    of 224 becomes ``size // 7 * 8``.

    Args:
        cfg: Student config, changed in place.
        size: Side of the images in pixels.
        written_for: Side that the pipelines of the config are for.
    """
    if size == written_for:
        return
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for step in leaf_dataset((cfg.get(name) or {}).get('dataset') or {}).get('pipeline', ()):
            for key in ('scale', 'crop_size', 'size'):
                if key in step:
                    step[key] = _scaled(step[key], size, written_for)


def _scaled(value: Any, size: int, written_for: int) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_scaled(side, size, written_for) for side in value)
    return size if value == written_for else value * (size // 7) // (written_for // 7)


def set_length(cfg: Config, epochs: int, val_interval: int,
               milestones: Optional[Sequence[float]] = None) -> None:
    """Set the epochs of a training and how often it is evaluated and saved, in place.

    Args:
        cfg: Student config.
        epochs: Epochs.
        val_interval: Epochs between two evaluations.
        milestones: Steps of the learning rate as shares of the epochs.
    """
    set_epochs(cfg, epochs, milestones)
    cfg.train_cfg.val_interval = max(1, val_interval)
    hook = cfg.get('default_hooks', {}).get('checkpoint')
    if hook:  # beside the best one: ten to go on from
        hook.interval = max(1, epochs // 10)


class ClassificationRule(ScheduleRule):
    """What the rules of classification have in common.

    Args:
        image_size: Side of the student's images in pixels.
        written_for: Side that the pipelines of the config are for.
    """

    limits = dict(image_size=dict(low=8), written_for=dict(low=8))

    def __init__(self, image_size: int = 224, written_for: int = 224) -> None:
        self.image_size = image_size
        self.written_for = written_for

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """Change a student config in place.

        Args:
            cfg: Student config.
            images: Images of the set; None for the full real set.
            num_classes: Classes of the set.

        Raises:
            ValueError: If the number of classes is not known.
        """
        if num_classes < 1:
            raise ValueError('the classes of the protocol\'s training set are not known; give it '
                             'metainfo=dict(classes=...)')
        val = (cfg.get('val_dataloader') or {}).get('dataset') or {}
        if val and 'type' not in leaf_dataset(val):
            # The real set has no validation split: only the protocol's pipeline is there.
            cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
            cfg.get('default_hooks', {}).get('checkpoint', {}).pop('save_best', None)
        set_image_size(cfg, self.image_size, self.written_for)


@TASK_UTILS.register_module()
class IDCSchedule(ClassificationRule):
    """Hard labels as in IDC and Minimax: the fewer images, the more epochs.

    Args:
        epochs: Settings of :class:`EpochsByIPC`: ``table``, ``above``, ``factors`` and
            ``multiple``.
        milestones: Where the learning rate falls, as shares of the epochs.
        validations: How often the student is evaluated.
        large_classes: Sets of more classes take the settings ``large``.
        large: ``lr``, ``weight_decay`` and ``batch_size``.
        kwargs: See :class:`ClassificationRule`.
    """

    limits = dict(milestones=dict(low=0, high=1), validations=dict(low=1),
                  large_classes=dict(low=1), large=dict(low=0))

    def __init__(self,
                 epochs: Optional[Dict[str, Any]] = None,
                 milestones: Sequence[float] = (2 / 3, 5 / 6),
                 validations: int = 100,
                 large_classes: int = 100,
                 large: Optional[Dict[str, float]] = None,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        table = {1: 3000, 10: 2000, 50: 1500, 200: 1000, 500: 500}
        self.rule = EpochsByIPC(**dict(
            dict(table=table, above=300, factors={100: 2 / 3}, multiple=100), **(epochs or {})))
        self.milestones = milestones
        self.validations = validations
        self.large_classes = large_classes
        self.large = dict(dict(lr=0.1, weight_decay=1e-4, batch_size=128), **(large or {}))

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        ipc = None if images is None else images / num_classes
        epochs = self.rule.epochs(ipc, num_classes)
        set_length(cfg, epochs, epochs // self.validations, self.milestones)
        if num_classes > self.large_classes:
            cfg.optim_wrapper.optimizer.lr = self.large['lr']
            cfg.optim_wrapper.optimizer.weight_decay = self.large['weight_decay']
            set_batch_size(cfg, int(self.large['batch_size']))


@TASK_UTILS.register_module()
class DSASchedule(ClassificationRule):
    """Hard labels as in DC and DSA: the learning rate falls once, after half of the epochs.

    Their code counts from 0 to ``epochs``, both included, and lowers the rate after the
    epoch ``epochs // 2 + 1``: 1001 epochs, the last 499 of them at a tenth.

    Args:
        epochs: Epochs less one, whatever the size of the set.
        kwargs: See :class:`ClassificationRule`.
    """

    limits = dict(epochs=dict(low=1))

    def __init__(self, epochs: int = 1000, **kwargs) -> None:
        super().__init__(**kwargs)
        self.epochs = epochs

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        set_length(cfg, self.epochs + 1, self.epochs + 1)
        for scheduler in param_schedulers(cfg):
            if 'milestones' in scheduler:
                scheduler.milestones = [self.epochs // 2 + 2]


class SoftRule(ClassificationRule):
    """A protocol whose student learns from a teacher.

    Args:
        teacher: ``cfg``, anything ``load_config`` takes, and ``checkpoint``. Without
            ``cfg`` the teacher is the student's own network; where weights are
            missing, it is trained on the protocol's real set first. ``mapping``, for
            a teacher of more classes than the set, see :func:`class_columns`.
        temperature: T of the loss.
        squared: Whether the loss is multiplied by T squared.
        kwargs: See :class:`ClassificationRule`.
    """

    limits = dict(temperature=dict(above=0))

    def __init__(self, teacher: Optional[Dict[str, Any]] = None, temperature: float = 20.,
                 squared: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.teacher = dict(teacher or {})
        self.temperature = temperature
        self.squared = squared

    def read_teacher(self, cfg: Config) -> Dict[str, Any]:
        """The teacher's ``cfg`` (model and kind of dataset alone) and ``checkpoint``.

        With a ``mapping`` also ``columns``, its logits that count.

        Raises:
            ValueError: If its classes are not those of the student's set, and no mapping
                says which are.
        """
        columns = {}
        if self.teacher.get('cfg') is None:
            teacher = copy.deepcopy(cfg)
        else:
            teacher = load_config(self.teacher['cfg'])
            names = [read_classes(each, 'mmpretrain') for each in (teacher, cfg)]
            if self.teacher.get('mapping') is None:
                check_classes(names[1], names[0])
            else:
                columns['columns'] = list(class_columns(self.teacher['mapping'], *names))
        teacher.model.pop('train_cfg', None)
        # Without paths: where the real set lies does not make another protocol.
        leaf = training_set(teacher)
        dataset = {key: leaf[key] for key in ('type', '_scope_', 'metainfo') if key in leaf}
        return dict(
            cfg=dict(model=teacher.model, train_dataloader=dict(dataset=dataset)),
            checkpoint=self.teacher.get('checkpoint'), **columns)

    def wrap(self, cfg: Config, **options: Any) -> None:
        """Put the student of a config into a ``SoftLabelClassifier``."""
        student = cfg.model
        options['reads_rgb'] = reads_rgb(cfg)
        student.pop('train_cfg', None)  # batch augmentations, which would come twice
        if student.get('data_preprocessor') is None and cfg.get('data_preprocessor'):
            student['data_preprocessor'] = cfg.data_preprocessor
        cfg.model = dict(type='mmdd.SoftLabelClassifier', student=student,
                         temperature=self.temperature, squared=self.squared, **options)


@TASK_UTILS.register_module()
class OnlineTeacher(SoftRule):
    """A teacher that labels every batch; the schedule stays that of the protocol.

    Beside a protocol with hard labels it differs in the labels alone: the same
    images, augmentations and updates.

    Args:
        mix: mmpretrain batch augmentation, e.g. ``dict(type='CutMix', alpha=1.)``,
            before the teacher sees the batch; None for none.
        kwargs: See :class:`SoftRule`.
    """

    def __init__(self, mix: Optional[Dict[str, Any]] = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.mix = mix

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        self.wrap(cfg, teacher=self.read_teacher(cfg), mix=self.mix)


@TASK_UTILS.register_module()
class RDEDSchedule(SoftRule):
    """An online teacher as in RDED; the batch depends on the images per class.

    Args:
        epochs: Epochs, whatever the size of the set.
        batches: (images per class, batch): the last entry that is not larger counts,
            so an IPC of 5 takes that of 1, and one of 20 that of 10.
        factors: (number of classes, factor on the batch).
        fixed: (number of classes, batch), which counts before ``batches``.
        factor: Patches along a side of PatchShuffle; None is 2 for images above
            64 pixels and 1 for smaller ones. Crops take at least 1 / factor of the area.
        lr_stretch: The cosine ends after ``lr_stretch * epochs``. 2 is RDED, where
            the last learning rate is half of the first; with 1 it is 0.
        mix: 'CutMix' or 'Mixup'.
        temperature: None is 20 for CutMix and 4 for Mixup.
        pollute_norm: See ``SoftLabelClassifier``.
        first_validation: Evaluated after every tenth epoch beyond this share of the epochs.
        rates: Learning rate by the beginning of the backbone's type.
        kwargs: See :class:`SoftRule`.
    """

    limits = dict(epochs=dict(low=1), batches=dict(low=1), factors=dict(low=1), fixed=dict(low=1),
                  factor=dict(low=1), lr_stretch=dict(above=0), mix=('CutMix', 'Mixup'),
                  first_validation=dict(low=0, high=1))

    def __init__(self,
                 epochs: int = 300,
                 batches: Table = ((1, 10), (10, 50), (50, 100)),
                 factors: Table = ((100, 2), (1000, 2)),
                 fixed: Table = ((200, 100), ),
                 factor: Optional[int] = None,
                 lr_stretch: float = 2.,
                 mix: str = 'CutMix',
                 temperature: Optional[float] = None,
                 pollute_norm: bool = True,
                 first_validation: float = 0.8,
                 rates: Optional[Dict[str, float]] = None,
                 **kwargs) -> None:
        temperatures = dict(CutMix=20., Mixup=4.)
        if mix not in temperatures:
            raise ValueError(f'RDEDSchedule: mix must be CutMix or Mixup, got {mix!r}')
        temperature = temperatures[mix] if temperature is None else temperature
        super().__init__(temperature=temperature, **kwargs)
        self.epochs = epochs
        self.batches, self.factors, self.fixed = batches, dict(factors), dict(fixed)
        self.factor = factor or (2 if self.image_size > 64 else 1)
        self.lr_stretch = lr_stretch
        self.mix = mix
        self.pollute_norm = pollute_norm
        self.first_validation = first_validation
        self.rates = dict(rates or {})

    def batch_size(self, images: Optional[int], num_classes: int) -> int:
        """Batch of the student; the largest one for the full set."""
        if num_classes in self.fixed:
            return self.fixed[num_classes]
        # Rounded up, so that a set that misses an image keeps its batch.
        ipc = math.inf if images is None else math.ceil(images / num_classes)
        batch = at_least(self.batches, ipc)
        return batch * self.factors.get(num_classes, 1)

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        set_length(cfg, self.epochs, 10)
        # RDED looks after epoch 10 k where the one before, counted from 0, is beyond the share.
        cfg.train_cfg.val_begin = min(
            self.epochs, int(self.first_validation * self.epochs) + 2)
        self.set_rate(cfg)
        set_batch_size(cfg, self.batch_size(images, num_classes))
        for step in leaf_dataset(cfg.train_dataloader.dataset)['pipeline']:
            if step['type'].endswith('PatchShuffle'):
                step['factor'] = self.factor
            elif step['type'].endswith('RandomResizedCrop'):
                step['crop_ratio_range'] = (1 / self.factor, 1.)
        for scheduler in param_schedulers(cfg):
            if 'T_max' in scheduler:
                scheduler.T_max = self.lr_stretch * self.epochs
        self.wrap(cfg, teacher=self.read_teacher(cfg), pollute_norm=self.pollute_norm,
                  mix=dict(type=self.mix, alpha=1. if self.mix == 'CutMix' else 0.8))


    def set_rate(self, cfg: Config) -> None:
        """Set the learning rate that RDED takes for the network of a config, in place."""
        kind = str(cfg.model.get('backbone', {}).get('type')).rpartition('.')[2]
        for beginning, rate in self.rates.items():
            if kind.startswith(beginning):
                cfg.optim_wrapper.optimizer.lr = rate


@TASK_UTILS.register_module()
class FKDSchedule(SoftRule):
    """Stored soft labels as in FKD, SRe2L and D4M.

    Args:
        epochs: Epochs, whatever the size of the set.
        batch_size: Batch of the student, and images among which partners are drawn.
        crop_area: Smallest and largest share of the area of a crop.
        flip_prob: Probability of a flip.
        cutmix: Alpha of CutMix; 0 for none.
        topk: Classes whose logits are stored; all if None. The others share what
            is left of the probability at ``temperature``.
        pool: Stored epochs, which later ones repeat; ``epochs`` if None.
        seed: Seed of the labels. It is not that of the student: all read the same.
        labels: Folder of labels that are there already; made under the work dir if None.
        kwargs: See :class:`SoftRule`.
    """

    limits = dict(epochs=dict(low=1), batch_size=dict(low=1), crop_area=dict(above=0, high=1),
                  flip_prob=dict(low=0, high=1), cutmix=dict(low=0), topk=dict(low=1),
                  pool=dict(low=1), seed=dict(low=0))

    def __init__(self,
                 epochs: int = 300,
                 batch_size: int = 1024,
                 crop_area: Tuple[float, float] = (0.08, 1.),
                 flip_prob: float = 0.5,
                 cutmix: float = 1.,
                 topk: Optional[int] = None,
                 pool: Optional[int] = None,
                 seed: int = 42,
                 labels: Optional[str] = None,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        if pool is not None and not 1 <= pool <= epochs:
            raise ValueError(f'FKDSchedule: pool must be 1 to {epochs} epochs, got {pool}')
        self.epochs = epochs
        self.batch_size = batch_size
        self.crop_area, self.flip_prob, self.cutmix = crop_area, flip_prob, cutmix
        self.topk, self.pool, self.seed, self.labels = topk, pool, seed, labels

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        set_length(cfg, self.epochs, min(50, self.epochs))
        for scheduler in param_schedulers(cfg):
            if 'T_max' in scheduler:
                scheduler.T_max = self.epochs
        if self.topk is not None and not 0 < self.topk < num_classes:
            raise ValueError(f'FKDSchedule: topk must be 1 to {num_classes - 1}, got {self.topk}')
        # Read by write_soft_labels; the Runner does not know it.
        cfg.soft_labels = dict(
            teacher=self.read_teacher(cfg), epochs=self.pool or self.epochs,
            batch_size=self.batch_size, image_size=self.image_size,
            crop_area=list(self.crop_area), flip_prob=self.flip_prob, cutmix=self.cutmix,
            topk=self.topk, temperature=self.temperature, seed=self.seed)
        loader = cfg.train_dataloader
        loader.batch_size = self.batch_size
        loader.dataset = dict(type='mmdd.SoftLabelDataset', dataset=loader.dataset,
                              labels=self.labels, reuse=self.pool)
        loader.sampler = dict(type='mmdd.ReplaySampler')
        self.wrap(cfg)


def training_set(cfg: Config) -> Dict[str, Any]:
    """The innermost training set of a config; empty where it has none."""
    return leaf_dataset((cfg.get('train_dataloader') or {}).get('dataset') or {})


def check_classes(student: Optional[Sequence[str]], teacher: Optional[Sequence[str]]) -> None:
    """Compare the classes of student and teacher, where both give names.

    Raises:
        ValueError: If they differ, in their order too.
    """
    if not student or not teacher or list(student) == list(teacher):
        return
    if sorted(student) == sorted(teacher):
        raise ValueError('the teacher has the classes of the set in another order; make '
                         'metainfo.classes of both configs equal')
    missing = sorted(set(student) - set(teacher))
    raise ValueError(f'the teacher has {len(teacher)} classes, the set {len(student)}, and they '
                     f'differ (not known to the teacher: {", ".join(missing[:5]) or "none"}); '
                     f'give a teacher of the same classes, or say which are the same in '
                     f'protocol.schedule.teacher.mapping')
