"""Real-set views, the digit-scenes builder, writers and the manifest."""
from .annotations import annotations_from_batch, check_boxes, load_image
from .checks import check_real_set
from .class_subset import ClassSubset
from .digit_scenes import DigitScenes
from .journal import Journal
from .manifest import write_manifest
from .replay import ReplaySampler, SoftLabelDataset
from .samplers import WholeSetSampler
from .writers import BaseWriter, ClassFolderWriter, COCOWriter, SegMapWriter, VOCWriter

__all__ = [
    'BaseWriter', 'COCOWriter', 'ClassFolderWriter', 'ClassSubset', 'DigitScenes', 'Journal',
    'ReplaySampler', 'SegMapWriter', 'SoftLabelDataset', 'VOCWriter', 'WholeSetSampler',
    'annotations_from_batch', 'check_boxes', 'check_real_set', 'load_image', 'write_manifest'
]
