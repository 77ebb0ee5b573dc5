"""Recipes of students: what of a training depends on the size of the set, or needs a teacher."""
from .base import ClassificationRule, ScheduleRule
from .by_size import EpochsByIPC, ShortWarmUp
from .dsa import DSASchedule
from .fkd import FKDSchedule
from .idc import IDCSchedule
from .image_labels import ImageLabels
from .online_teacher import OnlineTeacher
from .rded import RDEDSchedule
from .soft import SoftRule
from .stored import StoredLabels

__all__ = [
    'ClassificationRule', 'DSASchedule', 'EpochsByIPC', 'FKDSchedule', 'IDCSchedule',
    'ImageLabels', 'OnlineTeacher', 'RDEDSchedule', 'ScheduleRule', 'ShortWarmUp', 'SoftRule',
    'StoredLabels'
]
