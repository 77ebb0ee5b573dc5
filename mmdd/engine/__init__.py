"""Jobs: preparing, training, the distillation loop, and its hooks."""
from mmdd.utils.components import class_of
from .distill_loop import DistillLoop
from .hooks import (
    ContactSheetHook,
    FeatureMetricsHook,
    GuidanceHook,
    TaskGuidanceHook,
    TerminalPreviewHook,
    TrainCostHook,
)
from .journal import Journal
from .trained_checkpoint import TrainedCheckpoint

__all__ = [
    'ContactSheetHook', 'DistillLoop', 'FeatureMetricsHook', 'GuidanceHook', 'Journal',
    'TaskGuidanceHook', 'TerminalPreviewHook', 'TrainCostHook', 'TrainedCheckpoint', 'class_of'
]
