"""How much better a denoiser does when it is told the class, place by place."""
from typing import Any, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def differential_loss(diffusion, latents: Tensor, without: Any, within: Any,
                      timesteps: Tensor, noise: Tensor, batch_size: int) -> Tensor:
    """Map of the difference of two losses, averaged over draws (equations 5 and 6).

    D = ‖ε − ε_θ(z_t, t, ∅)‖² − ‖ε − ε_θ(z_t, t, c)‖² at each place of the
    latents, the squared norm being over channels. It is high where the class
    prompt c explains the image. Both prompts go through the denoiser in one call.

    Args:
        diffusion: Diffusion adapter.
        latents: Clean latents z_0, (B, C, h, w).
        without: Condition (B, L, D) of the empty prompt ∅.
        within: Condition (B, L, D) of the class prompts.
        timesteps: (B, M) int64, M draws for each image.
        noise: ε, (B, M, C, h, w).
        batch_size: Draws in one call of the denoiser; it sees twice as many latents.

    Returns:
        Tensor: (B, h, w) fp32 on the CPU.
    """
    num, draws = timesteps.shape
    pairs = torch.arange(num * draws)
    total = torch.zeros(num, *latents.shape[2:])
    for chunk in pairs.split(batch_size):
        image, draw = chunk // draws, chunk % draws
        t = timesteps[image, draw].to(latents.device)
        epsilon = noise[image, draw].to(latents)
        z = diffusion.add_noise(latents[image.to(latents.device)], epsilon, t)
        picked = image.to(without.device)
        condition = torch.cat([without[picked], within[picked]])
        predicted = diffusion.predict_noise(torch.cat([z, z]), torch.cat([t, t]), condition)
        diffusion.count_passes(len(condition))
        loss = (predicted.float() - torch.cat([epsilon, epsilon])).square().sum(1)
        plain, told = loss.cpu().chunk(2)
        total.index_add_(0, image, plain - told)
    return total / draws


def best_window(maps: Tensor, window: Optional[Tuple[int, int]]) -> Tuple[Tensor, Tensor]:
    """The window with the highest mean of each map: R(x) and where it is.

    Args:
        maps: Differential losses (B, h, w).
        window: (height, width) of the window in places; None takes whole maps.

    Returns:
        tuple: R, (B,), the mean inside of the window; and its upper left corner,
        (B, 2) int64 (y, x), the first one in reading order among equals.
    """
    if window is None:
        return maps.mean((1, 2)), torch.zeros(len(maps), 2, dtype=torch.int64)
    means = F.avg_pool2d(maps[:, None], window, stride=1)[:, 0]
    best, at = means.flatten(1).max(1)
    width = means.shape[2]
    return best, torch.stack([at // width, at % width], 1)


def draw_timesteps(limits: Sequence[float], steps: int, num: int,
                   generator: torch.Generator) -> Tensor:
    """Timesteps drawn uniformly from a part of the schedule, (num,) int64.

    Args:
        limits: (first, last) as fractions of the schedule, both included.
        steps: Length of the schedule.
        num: How many to draw.
        generator: Source of randomness.
    """
    low, high = (min(int(round(limit * steps)), steps - 1) for limit in limits)
    return torch.randint(low, high + 1, (num, ), generator=generator)
