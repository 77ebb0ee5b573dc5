"""The variational bound that trains a learned variance."""
import math

import torch
from torch import Tensor


def variational_bound(out: Tensor, clean: Tensor, noisy: Tensor, t: Tensor,
                      alphas_cumprod: Tensor) -> Tensor:
    """L_vlb of `Improved Denoising Diffusion Probabilistic Models
    <https://arxiv.org/abs/2102.09672>`_, equations 3 to 6 and 15, in bits per dimension.

    The mean takes part as it is, without gradient: the bound trains the variance alone.
    At t = 0 it is the likelihood of ``clean`` in bins of 1/127.5, as in the code of DiT.

    Args:
        out: Outputs of the transformer, (B, 2C, h, w): noise, then the interpolation of
            the log variance in [-1, 1].
        clean: z_0, (B, C, h, w).
        noisy: z_t, (B, C, h, w).
        t: Timesteps (B,).
        alphas_cumprod: Cumulative products of 1 - beta, (T,).

    Returns:
        Tensor: (B,).
    """
    noise, fraction = out.chunk(2, 1)
    bars = alphas_cumprod.to(noisy)
    bar = bars[t].view(-1, 1, 1, 1)
    before = torch.where(t > 0, bars[(t - 1).clamp(min=0)], torch.ones_like(bars[t]))
    before = before.view(-1, 1, 1, 1)
    beta = 1 - bar / before
    # The posterior variance is 0 at t = 0; the code of DiT takes that of t = 1.
    second = (1 - bars[0]) / (1 - bars[1]) * (1 - bars[1] / bars[0])
    posterior = ((1 - before) / (1 - bar) * beta).clamp(min=float(second))
    weight_0, weight_t = before**0.5 * beta / (1 - bar), (bar / before)**0.5 * (1 - before) / (
        1 - bar)
    estimate = (noisy - (1 - bar)**0.5 * noise.detach()) / bar**0.5
    mean, true_mean = (weight_0 * z + weight_t * noisy for z in (estimate, clean))
    fraction = (fraction + 1) / 2
    log_var = fraction * beta.log() + (1 - fraction) * posterior.log()
    kl = 0.5 * (log_var - posterior.log() - 1 + (posterior.log() - log_var).exp()
                + (true_mean - mean)**2 * (-log_var).exp())
    first = -bin_log_likelihood(clean, mean, 0.5 * log_var)
    bound = torch.where((t == 0).view(-1, 1, 1, 1), first, kl)
    return bound.mean((1, 2, 3)) / math.log(2)


def bin_log_likelihood(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log probability of the bin of width 2/255 around x under a normal distribution; the
    outermost bins of [-1, 1] are open."""
    inverse = (-log_std).exp()
    upper, lower = (torch.special.ndtr((x - mean + side / 255) * inverse) for side in (1, -1))
    open_below, open_above = x < -0.999, x > 0.999
    mass = torch.where(open_below, upper, torch.where(open_above, 1 - lower, upper - lower))
    return mass.clamp(min=1e-12).log()
