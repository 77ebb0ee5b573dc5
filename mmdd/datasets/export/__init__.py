"""A distilled set in the forms in which sets are published and looked at."""
from .run import TARGETS, export_set

__all__ = ['TARGETS', 'export_set']
