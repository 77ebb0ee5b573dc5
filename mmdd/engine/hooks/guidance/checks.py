"""Checks of what the methods of a guidance return."""
from typing import Any

import torch
from torch import Tensor


def check_energy(name: str, energy: Any, num: int, views: bool) -> Tensor:
    """An energy in at least single precision, checked.

    Args:
        name: Class of the hook.
        energy: What ``energy`` returned.
        num: How many samples it was asked about.
        views: Whether these are views of images.

    Raises:
        ValueError: If it is no tensor of one number for each sample.
    """
    if not isinstance(energy, Tensor) or energy.shape != (num, ):
        raise ValueError(
            f'{name}.energy must return one number per sample, a tensor of shape ({num},), got '
            f'{_form(energy)}'
            + ('; with views it must look at state.decode(state.denoised)' if views else ''))
    return energy.float() if energy.dtype in (torch.float16, torch.bfloat16) else energy


def check_direction(name: str, direction: Any, latents: Tensor) -> Tensor:
    """The direction of a guidance in fp32, checked.

    Args:
        name: Class of the hook.
        direction: What ``guidance`` returned.
        latents: (B, C, h, w).

    Raises:
        ValueError: If it is no tensor of the shape of the latents.
    """
    if not isinstance(direction, Tensor) or direction.shape != latents.shape:
        raise ValueError(f'{name}.guidance must return a tensor of the shape of state.latents, '
                         f'{tuple(latents.shape)}, got {_form(direction)}')
    return direction.detach().float()


def _form(value: Any) -> str:
    """The shape of a tensor, or the type of what is none, for a message."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    return str(tuple(value.shape)) if value.ndim else 'a single number'


def gradient_by(name: str, total: Tensor, target: Tensor, retain_graph: bool) -> Tensor:
    """The gradient of a sum of energies by ``target``, in fp32.

    Raises:
        ValueError: If it does not depend on it.
    """
    gradient = torch.autograd.grad(total, target, retain_graph=retain_graph,
                                   allow_unused=True)[0]
    if gradient is None:
        raise ValueError(f'{name}.energy does not depend on state.denoised: compute it from '
                         f'state.denoised or state.decode(state.denoised)')
    return gradient.float()
