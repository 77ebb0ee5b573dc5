"""Steps of a data pipeline that mm* does not have."""
from .cached_steps import CachedSteps
from .patch_shuffle import PatchShuffle
from .pca_lighting import PCALighting
from .random_affine import RandomAffine
from .random_channels import RandomChannels
from .recorded_crop import RecordedCrop

__all__ = ['CachedSteps', 'PCALighting', 'PatchShuffle', 'RandomAffine', 'RandomChannels',
           'RecordedCrop']
