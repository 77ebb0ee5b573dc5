"""Which real labels the synthetic images are made for."""
from .samplers import BalancedLabelSampler, BaseLabelSampler, RandomLabelSampler, balanced_choice

__all__ = ['BalancedLabelSampler', 'BaseLabelSampler', 'RandomLabelSampler', 'balanced_choice']
