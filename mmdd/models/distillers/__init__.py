"""Methods that make a dataset."""
from .base import DatasetDistiller
from .unidd import UniDD

__all__ = ['DatasetDistiller', 'UniDD']
