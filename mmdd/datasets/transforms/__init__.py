"""Steps of a data pipeline that mm* does not have."""
from .cached_steps import CachedSteps
from .patch_shuffle import PatchShuffle
from .pca_lighting import PCALighting
from .recorded_crop import RecordedCrop

__all__ = ['CachedSteps', 'PCALighting', 'PatchShuffle', 'RecordedCrop']
