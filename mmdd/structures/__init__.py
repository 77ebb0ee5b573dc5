"""Plain data that the parts of mmdd hand to each other."""
from .annotation import RealAnnotation
from .budget import IPC, BaseBudget, Ratio, Total
from .denoise_state import DENOISE_STAGES, DenoiseState
from .mask import BACKGROUND, IGNORE, decode_mask, encode_mask, resize_mask
from .slot import DistilledSample, DistillSlot, slot_seed

__all__ = [
    'BACKGROUND', 'BaseBudget', 'DENOISE_STAGES', 'DenoiseState', 'DistillSlot',
    'DistilledSample', 'IGNORE', 'IPC', 'Ratio', 'RealAnnotation', 'Total', 'decode_mask',
    'encode_mask', 'resize_mask', 'slot_seed'
]
