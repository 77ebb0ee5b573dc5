"""Things by what they have in common."""
from typing import Dict, Iterable, List, Tuple, TypeVar

Key = TypeVar('Key')
Value = TypeVar('Value')


def grouped(pairs: Iterable[Tuple[Key, Value]]) -> Dict[Key, List[Value]]:
    """The values of each key, keys and values in the order in which they come."""
    found: Dict[Key, List[Value]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
