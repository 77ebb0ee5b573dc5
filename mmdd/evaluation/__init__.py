"""Students on a set, repeated over seeds, and the table of their metrics."""
from .dd_ranking import augmentation_robust_score, label_robust_score, rank_protocols, rank_set
from .report import summarize, write_report
from .schedule_rules import DSASchedule, FKDSchedule, IDCSchedule, RDEDSchedule
from .schedules import EpochsByIPC, ScheduleRule, ShortWarmUp
from .student import evaluate_sets

__all__ = [
    'DSASchedule', 'EpochsByIPC', 'FKDSchedule', 'IDCSchedule', 'RDEDSchedule', 'ScheduleRule',
    'ShortWarmUp', 'augmentation_robust_score', 'evaluate_sets', 'label_robust_score',
    'rank_protocols', 'rank_set', 'summarize', 'write_report'
]
