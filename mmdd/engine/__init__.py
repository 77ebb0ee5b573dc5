"""The distillation loop and its hooks."""
from .distill_loop import DistillLoop
from .hooks import ContactSheetHook, FeatureMetricsHook, GuidanceHook, TaskGuidanceHook

__all__ = [
    'ContactSheetHook', 'DistillLoop', 'FeatureMetricsHook', 'GuidanceHook', 'TaskGuidanceHook'
]
