"""A student from config to result, repeated over seeds."""
from .recipes import ScheduleRule
from .student import evaluate_sets
from .summary import summarize, write_report

__all__ = ['ScheduleRule', 'evaluate_sets', 'summarize', 'write_report']
