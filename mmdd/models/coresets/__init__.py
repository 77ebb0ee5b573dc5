"""Baselines that pick real images."""
from .base import CoresetBaseline
from .craig import CRAIGCoreset
from .densest import DensestCoreset
from .el2n import EL2NCoreset
from .facility_location import FacilityLocationCoreset
from .forgetting import ForgettingCoreset
from .grand import GraNdCoreset
from .herding import HerdingCoreset
from .k_center import KCenterCoreset
from .random import RandomCoreset
from .score import ScoreCoreset
from .uncertainty import UncertaintyCoreset
from .uniform import UniformCoreset

__all__ = [
    'CRAIGCoreset', 'CoresetBaseline', 'DensestCoreset', 'EL2NCoreset', 'FacilityLocationCoreset',
    'ForgettingCoreset', 'GraNdCoreset', 'HerdingCoreset', 'KCenterCoreset', 'RandomCoreset',
    'ScoreCoreset', 'UncertaintyCoreset', 'UniformCoreset'
]
