"""Methods that make a dataset."""
from .base import DatasetDistiller
from .d4m import D4M
from .minimax import ClassMemory, Minimax, MinimaxFineTuner
from .patch_selection import PatchDistiller, PatchSelection
from .prototypes import PrototypeDistiller
from .rded import RDED
from .sdxl_turbo import SDXLTurbo
from .unidd import UniDD

__all__ = [
    'ClassMemory', 'D4M', 'DatasetDistiller', 'Minimax', 'MinimaxFineTuner', 'PatchDistiller',
    'PatchSelection', 'PrototypeDistiller', 'RDED', 'SDXLTurbo', 'UniDD'
]
