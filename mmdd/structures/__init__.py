"""Plain data that the parts of mmdd hand to each other."""
from .annotation import RealAnnotation
from .budget import IPC, BaseBudget, Ratio, Total
from .denoise_state import DENOISE_STAGES, DenoiseState
from .slot import DistilledSample, DistillSlot, slot_seed

__all__ = [
    'BaseBudget', 'DENOISE_STAGES', 'DenoiseState', 'DistillSlot', 'DistilledSample', 'IPC',
    'Ratio', 'RealAnnotation', 'Total', 'slot_seed'
]
