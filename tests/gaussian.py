"""A diffusion model whose every quantity is known in closed form."""
from types import SimpleNamespace

import torch
from diffusers import DDIMScheduler
from mmengine.runner import Runner
from torch import nn

from mmdd.models import BaseDiffusion
from mmdd.structures import DistillSlot, slot_seed


class GaussianDiffusion(BaseDiffusion):
    """The exact noise prediction for latents z0 ~ N(mean, std^2).

    With a = alpha_bar, z_t has the variance v = a std^2 + 1 - a, and the clean estimate
    mean + sqrt(a) std^2 / v (z_t - sqrt(a) mean). A pixel is a latent.
    """

    def __init__(self, mean=0.5, std=1., steps=4, shape=(2, 4, 4), spacing='leading'):
        super().__init__(DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear', clip_sample=False,
            timestep_spacing=spacing), steps)
        self.weight = nn.Parameter(torch.zeros(()))
        self.mean, self.std, self.shape = mean, std, shape
        self.calls = []

    def latent_shape(self, size):
        return self.shape

    def encode_conditions(self, slots):
        return None

    def decode_latents(self, latents, fast=False):
        return latents

    def predict_noise(self, latents, timestep, condition):
        self.calls.append(int(timestep))
        a = self._alpha_bar(timestep)
        variance = a * self.std**2 + 1 - a
        return (1 - a)**.5 * (latents - a**.5 * self.mean) / variance + 0 * self.weight


def slots(num, start=0):
    """Slots without a label."""
    return [DistillSlot(i, slot_seed(0, i), (4, 4), None) for i in range(start, start + num)]


def caller(*hooks, **runner):
    """``call_hook`` of a stock Runner that has these hooks."""
    fake = SimpleNamespace(_hooks=list(hooks), **runner)
    return lambda name, **kwargs: Runner.call_hook(fake, name, **kwargs)


class Recorder:
    """Keeps what a hook sees: copies of the state at one stage."""

    def __init__(self, *stages):
        self.seen = []
        for stage in stages or ('after_denoise', ):
            setattr(self, stage, self._record(stage))

    def _record(self, stage):
        def record(runner, state):
            self.seen.append(SimpleNamespace(
                stage=stage, step=state.step, timestep=state.timestep,
                alpha_bar=state.alpha_bar, num_steps=state.num_steps,
                **{name: None if value is None else value.detach().clone()
                   for name, value in (('latents', state.latents), ('noise', state.noise_pred),
                                       ('guided', state.guided_noise),
                                       ('denoised', state.denoised))}))
        return record


def run(diffusion, num=2, hooks=(), **kwargs):
    """Sample; returns final latents (B, C, h, w), counters and the last recorder's states."""
    final = Recorder('after_sample')
    _, stats = diffusion.sample(slots(num), call_hook=caller(*hooks, final), **kwargs)
    return final.seen[0].latents, stats
