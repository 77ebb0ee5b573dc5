"""Digests of weights."""
import hashlib
from typing import Mapping

import torch
from torch import Tensor


def digest_weights(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of named weights, as hexadecimal digits."""
    digest = hashlib.sha256()
    for name, weight in weights.items():
        digest.update(f'{name} {weight.dtype} {tuple(weight.shape)}'.encode())
        digest.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
