"""States of several copies of a batch, for energies that are means."""
from dataclasses import replace

import torch
from torch import Tensor

from mmdd.structures import DenoiseState
from mmdd.utils.seed import generator
from .random_views import RandomViews


def smoothed_state(state: DenoiseState, denoised: Tensor, std: float, draws: int,
                   key: int) -> DenoiseState:
    """Gaussian copies of a clean estimate: the implicit dynamics of TFG (2409.15761).

    The noise comes from the slots' seeds, the step and ``key``; the generators of the images
    are not touched.

    Args:
        state: B slots.
        denoised: Clean estimate (B, C, h, w).
        std: Standard deviation of the noise.
        draws: Number of copies.
        key: Tells several evaluations at one step apart.

    Returns:
        DenoiseState: draws · B slots, one copy of the batch after the other.
    """
    noise = torch.stack([
        torch.randn(denoised.shape[1:], generator=generator(
            'smoothing', slot.seed, state.step, state.repeat, key, draw))
        for draw in range(draws) for slot in state.slots])
    return replace(
        state, slots=list(state.slots) * draws, stats=state.stats * draws,
        generators=list(state.generators) * draws, latents=state.latents.repeat(draws, 1, 1, 1),
        denoised=denoised.repeat(draws, 1, 1, 1) + std * noise.to(denoised))


def viewed_state(state: DenoiseState, views: RandomViews, key: int) -> DenoiseState:
    """A state whose ``decode`` gives random views of the images, and whose slots fit these.

    Args:
        state: B slots.
        views: What makes the views.
        key: As for :func:`smoothed_state`.

    Returns:
        DenoiseState: num · B slots, one view of the batch after the other. ``latents`` and
        ``denoised`` stay those of B samples: only the images have views.
    """
    draws = views.draw(state.slots, state.step, state.repeat, key)
    return replace(
        state, slots=views.move_slots(state.slots, draws), stats=state.stats * views.num,
        generators=list(state.generators) * views.num,
        decode=lambda latents: views(state.decode(latents), draws))
