"""Seeds that depend on what is made, never on when or where."""
import hashlib
from typing import Union

import torch


def derive_seed(*parts: Union[int, str]) -> int:
    """Hash numbers and names to one seed in [0, 2**63).

    The same parts give the same seed on every machine, in every process and
    order.
    """
    text = '/'.join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], 'big') >> 1


def generator(*parts: Union[int, str]) -> torch.Generator:
    """A CPU generator seeded by :func:`derive_seed`; CPU so that noise is the
    same on every device."""
    return torch.Generator().manual_seed(derive_seed(*parts))
