"""A student from config to result, repeated over seeds."""
from .results import MethodRuns, Run, by_method
from .schedule_rules import DSASchedule, FKDSchedule, IDCSchedule, RDEDSchedule
from .schedules import EpochsByIPC, ScheduleRule, ShortWarmUp
from .student import evaluate_sets

__all__ = [
    'DSASchedule', 'EpochsByIPC', 'FKDSchedule', 'IDCSchedule', 'MethodRuns',
    'RDEDSchedule', 'Run', 'ScheduleRule', 'ShortWarmUp', 'by_method', 'evaluate_sets'
]
