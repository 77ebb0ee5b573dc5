"""Parts of patch selection and RDED: scores of real images, their ranking, and mosaics."""
from .compositor import compose, crop_photograph, read_resized
from .crop_scorer import CropScorer, CropSettings
from .differential_loss import best_window, differential_loss
from .patch_features import PatchFeatures
from .random_crops import random_windows
from .ranking import choose_patches
from .score_pass import ScorePass
from .score_store import ScoreStore
from .scorer import PatchScorer, ScoreSettings, check_prompts

__all__ = [
    'CropScorer', 'CropSettings', 'PatchFeatures', 'PatchScorer', 'ScorePass', 'ScoreSettings',
    'ScoreStore', 'best_window', 'check_prompts', 'choose_patches', 'compose',
    'crop_photograph', 'differential_loss', 'random_windows', 'read_resized'
]
