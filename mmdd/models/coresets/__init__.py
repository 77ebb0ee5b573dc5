"""Baselines that pick real images."""
from .base import CoresetBaseline
from .densest import DensestCoreset
from .herding import HerdingCoreset
from .k_center import KCenterCoreset
from .random import RandomCoreset
from .uniform import UniformCoreset

__all__ = [
    'CoresetBaseline', 'DensestCoreset', 'HerdingCoreset', 'KCenterCoreset', 'RandomCoreset',
    'UniformCoreset'
]
