"""A student from config to result, repeated over seeds."""
from .recipes import ScheduleRule
from .results import MethodRuns, Run, by_method
from .student import evaluate_sets

__all__ = ['MethodRuns', 'Run', 'ScheduleRule', 'by_method', 'evaluate_sets']
