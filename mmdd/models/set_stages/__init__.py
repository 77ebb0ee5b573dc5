"""What turns finished samples into the images of a set."""
from .base import SetStage, SetStages

__all__ = ['SetStage', 'SetStages']
