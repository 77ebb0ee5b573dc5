"""Baselines that pick real images."""
from .base import CoresetBaseline
from .random import RandomCoreset
from .uniform import UniformCoreset

__all__ = ['CoresetBaseline', 'RandomCoreset', 'UniformCoreset']
