"""Checks of dicts with a fixed set of keys: sections of configs, entries of suites."""
from typing import Any, Mapping, Optional, Tuple

from .config import suggestion
from .signature import Limit, check_value, shown

# Key -> its type and its range, see ``check_value``.
Section = Mapping[str, Tuple[Any, Optional[Limit]]]


def check_section(where: str, node: Any, known: Section, closed: bool = True,
                  joint: str = '.') -> None:
    """Check the keys and values of a dict.

    Args:
        where: Its place, for the message.
        node: The dict.
        known: What it may hold.
        closed: Whether other keys are errors.
        joint: What stands between ``where`` and a key.

    Raises:
        ValueError: If it is no dict, or a key or a value is wrong.
    """
    if not isinstance(node, Mapping):
        raise ValueError(f'{where} must be a dict with {", ".join(known)}, got {shown(node)}')
    for key, value in node.items():
        if key in known:
            check_value(f'{where}{joint}{key}', value, *known[key])
        elif closed:
            raise ValueError(f'{where}{joint}{key}: there is no such setting'
                             f'{suggestion(str(key), known)}')
