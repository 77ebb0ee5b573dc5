"""Networks that students use and mm* does not have."""
from .convnet import ConvNet

__all__ = ['ConvNet']
