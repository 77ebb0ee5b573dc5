"""What turns finished samples into the images of a set."""
from .base import SetStage, SetStages
from .post_augmentation import PostAugmentation

__all__ = ['PostAugmentation', 'SetStage', 'SetStages']
