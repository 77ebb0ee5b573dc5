"""Task models that give energy, score, labels and features."""
from .base import TaskProxy
from .detector import DetectorProxy

__all__ = ['DetectorProxy', 'TaskProxy']
