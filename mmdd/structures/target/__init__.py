"""The label of an image, one type per task."""
from .base import Reading, Target, load_target, make_target, part_names, read_target
from .box_target import BoxTarget, check_boxes
from .class_target import ClassTarget
from .instance_target import InstanceTarget
from .labelled import UNSET, Labelled, resolve
from .mask_target import MaskTarget, check_mask
from .masked_box_target import MaskedBoxTarget

__all__ = [
    'BoxTarget', 'ClassTarget', 'InstanceTarget', 'Labelled', 'MaskTarget', 'MaskedBoxTarget',
    'Reading', 'Target', 'UNSET', 'check_boxes', 'check_mask', 'load_target', 'make_target',
    'part_names', 'read_target', 'resolve'
]
