"""RDED: crops that a teacher scores, tiled."""
from .crop_scorer import CropScorer, CropSettings
from .random_crops import random_windows
from .rded import RDED

__all__ = ['CropScorer', 'CropSettings', 'RDED', 'random_windows']
