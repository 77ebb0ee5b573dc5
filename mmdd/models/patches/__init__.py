"""Parts of patch selection: scores of real images, their ranking, and mosaics."""
from .compositor import compose, crop_photograph, read_resized
from .differential_loss import best_window, differential_loss
from .patch_features import PatchFeatures
from .ranking import choose_patches
from .score_pass import ScorePass
from .score_store import ScoreStore
from .scorer import PatchScorer, ScoreSettings, check_prompts

__all__ = [
    'PatchFeatures', 'PatchScorer', 'ScorePass', 'ScoreSettings', 'ScoreStore', 'best_window',
    'check_prompts', 'choose_patches', 'compose', 'crop_photograph', 'differential_loss',
    'read_resized'
]
