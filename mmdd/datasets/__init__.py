"""Real-set views, the digit-scenes builder, writers and the manifest."""
from .annotations import annotations_from_batch, load_image
from .checks import check_real_set
from .digit_instances import DigitInstances
from .digit_scenes import DigitScenes
from .formats import BaseWriter, ClassFolderWriter, COCOWriter, SegMapWriter, VOCWriter
from .manifest import write_manifest
from .replay import ReplaySampler, SoftLabelDataset
from .samplers import WholeSetSampler
from .subset import ClassSubset

__all__ = [
    'BaseWriter', 'COCOWriter', 'ClassFolderWriter', 'ClassSubset', 'DigitInstances',
    'DigitScenes', 'ReplaySampler', 'SegMapWriter', 'SoftLabelDataset', 'VOCWriter',
    'WholeSetSampler', 'annotations_from_batch', 'check_real_set', 'load_image',
    'write_manifest'
]
