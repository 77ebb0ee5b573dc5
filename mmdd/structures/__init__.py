"""Plain data that the parts of mmdd hand to each other."""
from .budget import IPC, BaseBudget, Ratio, Total
from .denoise_state import DENOISE_STAGES, DenoiseState
from .layout import (
    Canvas,
    ComposedLayout,
    Ground,
    Layout,
    Part,
    RealAnnotation,
    RealObject,
    Source,
)
from .mask import (
    BACKGROUND,
    IGNORE,
    decode_mask,
    encode_mask,
    reduce_zero_label,
    resize_mask,
    restore_zero_label,
)
from .sample_sequence import SampleSequence
from .slot import DistilledSample, DistillSlot, slot_seed
from .target import (
    BoxTarget,
    ClassTarget,
    MaskTarget,
    Target,
    check_boxes,
    check_mask,
    load_target,
    make_target,
    read_target,
)

__all__ = [
    'BACKGROUND', 'BaseBudget', 'BoxTarget', 'Canvas', 'ClassTarget', 'ComposedLayout',
    'DENOISE_STAGES', 'DenoiseState', 'DistillSlot', 'DistilledSample', 'Ground', 'IGNORE',
    'IPC', 'Layout', 'MaskTarget', 'Part', 'Ratio', 'RealAnnotation', 'RealObject',
    'SampleSequence', 'Source', 'Target', 'Total', 'check_boxes', 'check_mask', 'decode_mask',
    'encode_mask', 'load_target', 'make_target', 'read_target', 'reduce_zero_label',
    'resize_mask', 'restore_zero_label', 'slot_seed'
]
