"""Students on a set, repeated over seeds, and the table of their metrics."""
from .report import summarize, write_report
from .student import evaluate_sets

__all__ = ['evaluate_sets', 'summarize', 'write_report']
