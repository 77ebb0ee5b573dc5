"""The distillation loop and its hooks."""
from .distill_loop import DistillLoop
from .hooks import (
    ContactSheetHook,
    FeatureMetricsHook,
    GuidanceHook,
    TaskGuidanceHook,
    TrainCostHook,
)

__all__ = [
    'ContactSheetHook', 'DistillLoop', 'FeatureMetricsHook', 'GuidanceHook', 'TaskGuidanceHook',
    'TrainCostHook'
]
