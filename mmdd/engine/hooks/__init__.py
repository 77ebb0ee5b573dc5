"""Hooks of distillation jobs."""
from .contact_sheet_hook import ContactSheetHook
from .guidance_hook import GuidanceHook
from .task_guidance_hook import TaskGuidanceHook

__all__ = ['ContactSheetHook', 'GuidanceHook', 'TaskGuidanceHook']
