"""What turns finished samples into the images of a set."""
from .base import SetStage, SetStages
from .post_augmentation import PostAugmentation
from .subset_of_pool import SubsetOfPool

__all__ = ['PostAugmentation', 'SetStage', 'SetStages', 'SubsetOfPool']
