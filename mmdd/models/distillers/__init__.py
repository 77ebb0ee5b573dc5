"""Methods that make a dataset."""
from .base import DatasetDistiller
from .d4m import D4M
from .patch_selection import PatchSelection
from .prototypes import PrototypeDistiller
from .unidd import UniDD

__all__ = ['D4M', 'DatasetDistiller', 'PatchSelection', 'PrototypeDistiller', 'UniDD']
