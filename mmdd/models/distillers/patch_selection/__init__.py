"""Diffusion-driven patch selection, and what every choice of patches shares."""
from .compositor import compose, crop_photograph, read_resized
from .differential_loss import best_window, differential_loss
from .patch_distiller import PatchDistiller
from .patch_features import PatchFeatures
from .patch_selection import PatchSelection
from .ranking import choose_patches
from .score_pass import ScorePass
from .score_store import ScoreStore
from .scorer import PatchScorer, ScoreSettings, check_prompts

__all__ = [
    'PatchDistiller', 'PatchFeatures', 'PatchScorer', 'PatchSelection', 'ScorePass',
    'ScoreSettings', 'ScoreStore', 'best_window', 'check_prompts', 'choose_patches', 'compose',
    'crop_photograph', 'differential_loss', 'read_resized'
]
