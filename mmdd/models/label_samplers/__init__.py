"""Which objects the synthetic images are made for."""
from .composed import ComposedLabelSampler
from .coreset import CoresetLabelSampler
from .samplers import (
    BalancedLabelSampler,
    BaseLabelSampler,
    DensestLabelSampler,
    RandomLabelSampler,
    balanced_choice,
)

__all__ = ['BalancedLabelSampler', 'BaseLabelSampler', 'ComposedLabelSampler',
           'CoresetLabelSampler', 'DensestLabelSampler', 'RandomLabelSampler', 'balanced_choice']
