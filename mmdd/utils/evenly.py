"""Some of many things, spread over all of them."""
from typing import Any, List, Sequence

import numpy as np


def evenly_chosen(items: Sequence[Any], num: int) -> List[Any]:
    """At most ``num`` items at even distances."""
    if len(items) <= num:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, num).round().astype(int)]
