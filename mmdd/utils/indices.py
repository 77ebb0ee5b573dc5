"""Checks of a choice that a method of an author returned."""
import operator
from typing import Any, List


def check_indices(method: str, picked: Any, num: int, total: int) -> List[int]:
    """Check that a method chose as many different things as it was asked for.

    Args:
        method: Its name for the message: 'MyCoreset.select'.
        picked: What it returned: a list, an array or a tensor of whole numbers.
        num: How many indices are wanted.
        total: How many things there are to choose from.

    Returns:
        list: The indices in their order.

    Raises:
        ValueError: If it returned anything but ``num`` distinct indices in [0, ``total``).
    """
    wanted = f'{method} must return {num} distinct indices in [0, {total})'
    try:
        items = list(picked)
    except TypeError:
        raise ValueError(f'{wanted}, got {picked!r}') from None
    chosen = []
    for item in items:
        try:
            chosen.append(operator.index(item))
        except TypeError:
            shown = ' '.join(str(item).split())[:80]
            raise ValueError(f'{wanted} as whole numbers, got {shown!r} of type '
                             f'{type(item).__name__} among them') from None
    outside = [i for i in chosen if not 0 <= i < total]
    if outside or len(chosen) != num or len(set(chosen)) != num:
        named = f', {outside[0]} among them' if outside else ''
        raise ValueError(f'{wanted}, got {len(chosen)} ({len(set(chosen))} distinct){named}')
    return chosen
