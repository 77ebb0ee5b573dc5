"""Distilled sets in standard formats."""
from .base import BaseWriter
from .class_folder_writer import ClassFolderWriter
from .coco_writer import COCOWriter
from .seg_map_writer import SegMapWriter
from .voc_writer import VOCWriter

__all__ = ['BaseWriter', 'COCOWriter', 'ClassFolderWriter', 'SegMapWriter', 'VOCWriter']
