"""Distilled sets in standard formats."""
from .base import BaseWriter
from .class_folder import ClassFolderWriter
from .coco import COCOWriter
from .seg_map import SegMapWriter
from .voc import VOCWriter

__all__ = ['BaseWriter', 'COCOWriter', 'ClassFolderWriter', 'SegMapWriter', 'VOCWriter']
