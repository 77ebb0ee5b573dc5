"""Parts of guidance: how far a step goes, how strong it is when, and what the energy sees."""
from .checks import check_direction, check_energy, gradient_by
from .copies import smoothed_state, viewed_state
from .random_views import RandomViews
from .schedules import SCHEDULES, strength_factor
from .step_rules import STEPS, step_factor

__all__ = [
    'RandomViews', 'SCHEDULES', 'STEPS', 'check_direction', 'check_energy', 'gradient_by',
    'smoothed_state', 'step_factor', 'strength_factor', 'viewed_state'
]
