"""Whether tensors, images and weights are fit for use: finite, and a picture at all."""
from typing import Mapping, Optional, Sequence, Union

import numpy as np
import torch
from torch import Tensor, nn

# Why an attempt at an image fails.
NOT_FINITE = 'not finite'
BLACK = 'black'
ONE_COLOUR = 'of one colour'
UNGUIDED = 'unguided: none of its gradients was finite'
NO_SCORE = 'score not finite'

# An image without a brighter value than this, of 255, is black.
BLACK_LEVEL = 8
# Levels, of 255, that the pixels of an image of one colour may differ by.
SPREAD = 1


def finite_rows(values: Tensor) -> Tensor:
    """Which samples hold finite values alone, (B,) bool.

    Args:
        values: (B, ...), on any device.
    """
    return torch.isfinite(values).flatten(1).all(1)


def image_fault(image: np.ndarray) -> str:
    """Why an image is no picture: 'black' or 'of one colour'; '' where it is one.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    pixels = image.reshape(-1, image.shape[-1])
    low, high = pixels.min(0).astype(int), pixels.max(0).astype(int)
    if high.max() < BLACK_LEVEL:
        return BLACK
    return ONE_COLOUR if (high - low).max() <= SPREAD else ''


def check_features(features: np.ndarray, names: Sequence[str], fix: str,
                   what: str = 'features') -> None:
    """Check that what a network made of images is finite.

    Args:
        features: (B, ...) of B images.
        names: How the images are called, such as their files.
        fix: What the reader can do about it.
        what: What was made, in the plural.

    Raises:
        ValueError: If not; names the first such image.
    """
    finite = np.isfinite(features).reshape(len(features), -1).all(1)
    if not finite.all():
        raise ValueError(f'{names[int(finite.argmin())]}: its {what} are not finite (so in '
                         f'{int((~finite).sum())} of {len(finite)} of its batch); {fix}')


def bad_weight(weights: Union[nn.Module, Mapping[str, Tensor]]) -> Optional[str]:
    """Name of the first parameter that holds NaN or infinity; None without one.

    Buffers may be infinite, as masks of attention are, but not NaN.

    Args:
        weights: A network, or a state dict.
    """
    if isinstance(weights, nn.Module):
        for name, value in weights.named_buffers():
            if value.is_floating_point() and bool(torch.isnan(value).any()):
                return name
        weights = dict(weights.named_parameters())
    for name, value in weights.items():
        if value.is_floating_point() and not bool(torch.isfinite(value.detach()).all()):
            return name
    return None


def check_weights(weights: Union[nn.Module, Mapping[str, Tensor]], place: str) -> None:
    """Check that loaded weights are finite.

    Args:
        weights: A network, or a state dict.
        place: Where they come from, and what they are.

    Raises:
        ValueError: If one is NaN or infinite; names the place and the first of them.
    """
    name = bad_weight(weights)
    if name is not None:
        raise ValueError(f'{place}: the weights are not finite, the first of them is {name!r}; '
                         f'their training diverged or the file is damaged: give other weights')
