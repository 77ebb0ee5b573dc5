"""Hooks of distillation jobs."""
from .contact_sheet_hook import ContactSheetHook
from .feature_metrics_hook import FeatureMetricsHook
from .fine_tune_check_hook import FineTuneCheckHook
from .guidance_hook import GuidanceHook
from .lora_hook import LoRAHook
from .task_guidance_hook import TaskGuidanceHook
from .terminal_preview_hook import TerminalPreviewHook
from .time_budget_hook import TimeBudgetHook
from .train_cost_hook import TrainCostHook

__all__ = [
    'ContactSheetHook', 'FeatureMetricsHook', 'FineTuneCheckHook', 'GuidanceHook',
    'LoRAHook', 'TaskGuidanceHook', 'TerminalPreviewHook', 'TimeBudgetHook', 'TrainCostHook'
]
