"""Distilled sets in standard formats."""
from .base import BaseWriter
from .voc_writer import VOCWriter

__all__ = ['BaseWriter', 'VOCWriter']
