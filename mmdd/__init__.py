"""mmdd: dataset distillation with diffusion models inside OpenMMLab."""
from .version import __version__

__all__ = ['__version__']
