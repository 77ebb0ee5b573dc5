"""What sampling starts from instead of noise."""
from .collage import CollageInitializer

__all__ = ['CollageInitializer']
