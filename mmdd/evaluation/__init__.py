"""Measures of a set and of what students learn from it."""
from .robust_scores import augmentation_robust_score, label_robust_score
from .voc_metric import InProcessVOCMetric

__all__ = ['InProcessVOCMetric', 'augmentation_robust_score', 'label_robust_score']
