"""Methods that make a dataset."""
from .base import DatasetDistiller
from .d4m import D4M
from .minimax import Minimax
from .patch_distiller import PatchDistiller
from .patch_selection import PatchSelection
from .prototypes import PrototypeDistiller
from .rded import RDED
from .sdxl_turbo import SDXLTurbo
from .unidd import UniDD

__all__ = [
    'D4M', 'DatasetDistiller', 'Minimax', 'PatchDistiller', 'PatchSelection',
    'PrototypeDistiller', 'RDED', 'SDXLTurbo', 'UniDD'
]
