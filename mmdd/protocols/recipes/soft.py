"""Recipes with a teacher: what they have in common, and one that labels every batch."""
import copy
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Union

from mmengine.config import Config

from mmdd.datasets.class_mapping import class_columns
from mmdd.datasets.views import check_class_order, loader_dataset, read_classes
from mmdd.models.proxies.base import reads_rgb
from mmdd.models.students.soft_losses import KINDS
from mmdd.models.students.teacher import CLASSES_FIX, of_each, teachers_of
from mmdd.registry import TASK_UTILS
from mmdd.utils.config import load_config
from .base import ClassificationRule


@dataclass
class SoftRule(ClassificationRule):
    """A protocol whose student learns from a teacher.

    Args:
        teacher: ``cfg``, anything ``load_config`` takes, and ``checkpoint``. Without
            ``cfg`` the teacher is the student's own network; where weights are
            missing, it is trained on the protocol's real set first. ``mapping``, for
            a teacher of more classes than the set, see :func:`class_columns`. A list of these
            is several teachers.
        combine: What several teachers say together: 'mean' is the mean of their logits,
            'sample' those of one of them, drawn for each batch.
        loss: ``kind`` of ``SoftLoss``: 'kl', 'ce' or 'mse'.
        hard_weight: Weight of the cross-entropy with hard labels that is added.
        temperature: T of the loss; None is 20.
        squared: Whether the loss is multiplied by T squared.
    """

    teacher: Union[Dict[str, Any], List[Dict[str, Any]], None] = None
    temperature: Optional[float] = None
    squared: bool = False
    combine: str = 'mean'
    loss: str = 'kl'
    hard_weight: float = 0.

    limits = dict(temperature=dict(above=0), combine=('mean', 'sample'), loss=KINDS,
                  hard_weight=dict(low=0))

    def __post_init__(self) -> None:
        if self.temperature is None:
            self.temperature = 20.

    def read_teachers(self, cfg: Config) -> Union[Dict[str, Any], List[Dict[str, Any]]]:
        """The teacher's ``cfg`` (model and kind of dataset alone) and ``checkpoint``.

        With a ``mapping`` also ``columns``, its logits that count. A list of several. Without
        one its classes must be those of the student's set.
        """
        return of_each([_read_teacher(node, cfg) for node in teachers_of(self.teacher) or [{}]])

    @property
    def combining(self) -> Dict[str, str]:
        """``combine`` where it matters."""
        return dict(combine=self.combine) if len(teachers_of(self.teacher)) > 1 else {}

    def wrap(self, cfg: Config, **options: Any) -> None:
        """Put the student of a config into a ``SoftLabelClassifier``."""
        student = cfg.model
        options['reads_rgb'] = reads_rgb(cfg)
        if self.loss != 'kl':
            options['loss'] = self.loss
        if self.hard_weight:
            options['hard_weight'] = self.hard_weight
        student.pop('train_cfg', None)  # batch augmentations, which would come twice
        if student.get('data_preprocessor') is None and cfg.get('data_preprocessor'):
            student['data_preprocessor'] = cfg.data_preprocessor
        cfg.model = dict(type='mmdd.SoftLabelClassifier', student=student,
                         temperature=self.temperature, squared=self.squared, **options)


def _read_teacher(node: Dict[str, Any], cfg: Config) -> Dict[str, Any]:
    """One of :meth:`SoftRule.read_teachers`."""
    columns = {}
    if node.get('cfg') is None:
        teacher = copy.deepcopy(cfg)
    else:
        teacher = load_config(node['cfg'])
        known, wanted = (read_classes(each, 'mmpretrain') for each in (teacher, cfg))
        if node.get('mapping') is None:
            check_class_order('the teacher', known, 'the set', wanted, CLASSES_FIX)
        else:
            columns['columns'] = list(class_columns(node['mapping'], known, wanted))
    teacher.model.pop('train_cfg', None)
    # Without paths: where the real set lies does not make another protocol.
    leaf = loader_dataset(teacher, 'train_dataloader')
    dataset = {key: leaf[key] for key in ('type', '_scope_', 'metainfo') if key in leaf}
    return dict(
        cfg=dict(model=teacher.model, train_dataloader=dict(dataset=dataset)),
        checkpoint=node.get('checkpoint'), **columns)


@TASK_UTILS.register_module()
@dataclass
class OnlineTeacher(SoftRule):
    """A teacher that labels every batch; the schedule stays that of the protocol.

    Beside a protocol with hard labels it differs in the labels alone: the same
    images, augmentations and updates.

    Args:
        mix: mmpretrain batch augmentation, e.g. ``dict(type='CutMix', alpha=1.)``,
            before the teacher sees the batch; None for none.
    """

    mix: Optional[Dict[str, Any]] = None

    def apply(self, cfg: Config, images: Optional[int], num_classes: int) -> None:
        """See :meth:`ClassificationRule.apply`."""
        super().apply(cfg, images, num_classes)
        self.wrap(cfg, teacher=self.read_teachers(cfg), mix=self.mix, **self.combining)
