"""Baselines that pick real images."""
from .base import CoresetBaseline
from .herding import HerdingCoreset
from .k_center import KCenterCoreset
from .random import RandomCoreset
from .uniform import UniformCoreset

__all__ = [
    'CoresetBaseline', 'HerdingCoreset', 'KCenterCoreset', 'RandomCoreset', 'UniformCoreset'
]
