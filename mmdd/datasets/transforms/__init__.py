"""Steps of a data pipeline that mm* does not have."""
from .patch_shuffle import PatchShuffle
from .pca_lighting import PCALighting
from .recorded_crop import RecordedCrop

__all__ = ['PCALighting', 'PatchShuffle', 'RecordedCrop']
