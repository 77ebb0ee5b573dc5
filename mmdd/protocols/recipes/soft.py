"""What recipes with a teacher have in common."""
import copy
from typing import Any, Dict, Optional

from mmengine.config import Config

from mmdd.datasets.class_mapping import class_columns
from mmdd.datasets.views import check_class_order, loader_dataset, read_classes
from mmdd.models.proxies.base import reads_rgb
from mmdd.utils.config import load_config
from .base import ClassificationRule

CLASSES_FIX = ('give a teacher of the same classes, or say which are the same in '
               'protocol.schedule.teacher.mapping')


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

    limits: Dict[str, Any] = dict(temperature=dict(above=0))

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
            known, wanted = (read_classes(each, 'mmpretrain') for each in (teacher, cfg))
            if self.teacher.get('mapping') is None:
                check_class_order('the teacher', known, 'the set', wanted, CLASSES_FIX)
            else:
                columns['columns'] = list(class_columns(self.teacher['mapping'], known, wanted))
        teacher.model.pop('train_cfg', None)
        # Without paths: where the real set lies does not make another protocol.
        leaf = loader_dataset(teacher, 'train_dataloader')
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
