"""A student from config to result, repeated over seeds."""
from .schedule_rules import DSASchedule, FKDSchedule, IDCSchedule, RDEDSchedule
from .schedules import EpochsByIPC, ScheduleRule, ShortWarmUp
from .student import evaluate_sets
from .summary import summarize, write_report

__all__ = [
    'DSASchedule', 'EpochsByIPC', 'FKDSchedule', 'IDCSchedule', 'RDEDSchedule', 'ScheduleRule',
    'ShortWarmUp', 'evaluate_sets', 'summarize', 'write_report'
]
