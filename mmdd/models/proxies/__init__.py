"""Task models that give energy, score, labels and features."""
from .backbone_features import BackboneFeatures
from .base import TaskProxy
from .classifier import ClassifierProxy
from .clip_features import CLIPFeatures
from .detector import DetectorProxy
from .segmentor import SegmentorProxy

__all__ = [
    'BackboneFeatures', 'CLIPFeatures', 'ClassifierProxy', 'DetectorProxy', 'SegmentorProxy',
    'TaskProxy'
]
