"""The distillation loop and its hooks."""
from .distill_loop import DistillLoop
from .hooks import ContactSheetHook, GuidanceHook, TaskGuidanceHook

__all__ = ['ContactSheetHook', 'DistillLoop', 'GuidanceHook', 'TaskGuidanceHook']
