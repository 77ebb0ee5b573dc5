"""Formats of sets: each writes, checks, and says how a student reads it."""
from .base import BaseWriter
from .class_folder import ClassFolderFormat, ClassFolderWriter
from .coco import COCOFormat, COCOWriter
from .seg_map import SegMapFormat, SegMapWriter
from .set_format import SetContent, SetFormat, all_formats, format_of
from .voc import VOCFormat, VOCWriter

__all__ = [
    'BaseWriter', 'COCOFormat', 'COCOWriter', 'ClassFolderFormat', 'ClassFolderWriter',
    'SegMapFormat', 'SegMapWriter', 'SetContent', 'SetFormat', 'VOCFormat', 'VOCWriter',
    'all_formats', 'format_of'
]
