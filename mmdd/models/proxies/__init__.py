"""Task models that give energy, score, labels and features."""
from .backbone_features import BackboneFeatures
from .base import TaskProxy
from .classifier import ClassifierProxy
from .detector import DetectorProxy
from .segmentor import SegmentorProxy

__all__ = [
    'BackboneFeatures', 'ClassifierProxy', 'DetectorProxy', 'SegmentorProxy', 'TaskProxy'
]
