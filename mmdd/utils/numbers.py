"""Checks of numbers that settings give."""
import math
from numbers import Integral, Real
from typing import Optional


def check_number(name: str, value, low: Optional[float] = None, high: Optional[float] = None,
                 integer: bool = False, above: Optional[float] = None):
    """Check that a setting is a finite number of a range.

    Args:
        name: The setting in the message, with its component: 'D4M: strength'.
        value: What was given.
        low: The least it may be; None has no bound.
        high: The most it may be; None has no bound.
        integer: Whether it must be a whole number (``int`` or numpy's).
        above: It must be greater than this; None has no such bound.

    Returns:
        The value as it was given.

    Raises:
        ValueError: If it is a bool or no number, NaN, infinite or out of range.
    """
    kind = Integral if integer else Real
    known = isinstance(value, kind) and not isinstance(value, bool)
    inside = known and math.isfinite(value) and not (
        (low is not None and value < low) or (high is not None and value > high)
        or (above is not None and value <= above))
    if not inside:
        raise ValueError(f'{name} must be {_expected(low, high, integer, above)}, got {value!r}')
    return value


def _expected(low: Optional[float], high: Optional[float], integer: bool,
              above: Optional[float]) -> str:
    noun = 'a whole number' if integer else 'a finite number'
    bounds = [f'above {above:.10g}'] if above is not None else []
    bounds += [f'at least {low:.10g}'] if low is not None else []
    bounds += [f'at most {high:.10g}'] if high is not None else []
    return ', '.join([noun, ' and '.join(bounds)]) if bounds else noun
