"""What sampling starts from instead of noise."""
from .collage import CollageInitializer
from .cutout import cut_out

__all__ = ['CollageInitializer', 'cut_out']
