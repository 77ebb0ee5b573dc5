"""Recipes of students: what of a training depends on the size of the set, or needs a teacher."""
from .base import ClassificationRule, ScheduleRule
from .fkd import FKDSchedule
from .hard import DSASchedule, IDCSchedule
from .lengths import EpochsByIPC, ShortWarmUp
from .rded import RDEDSchedule
from .soft import OnlineTeacher, SoftRule
from .stored import ImageLabels, StoredLabels

__all__ = [
    'ClassificationRule', 'DSASchedule', 'EpochsByIPC', 'FKDSchedule', 'IDCSchedule',
    'ImageLabels', 'OnlineTeacher', 'RDEDSchedule', 'ScheduleRule', 'ShortWarmUp', 'SoftRule',
    'StoredLabels'
]
