"""The base of everything that changes the noise prediction at a step."""
import math
from dataclasses import replace
from typing import Optional

import torch
from mmengine.hooks import Hook
from torch import Tensor

from mmdd.registry import HOOKS
from mmdd.structures import DenoiseState


@HOOKS.register_module()
class GuidanceHook(Hook):
    r"""Adds a gradient to the noise prediction at each denoising step.

    Equations 8 and 9 of `Towards Universal Dataset Distillation via
    Task-Driven Diffusion` (CVPR 2025) for any energy :math:`\mathcal{L}`:

    .. math::
        \hat\epsilon = \epsilon + \lambda_s \sqrt{1 - \bar\alpha_t}\,
        \nabla_{z_t} \mathcal{L}(\hat z_0)

    An author overrides :meth:`energy`, or :meth:`guidance` where the direction
    is no gradient. Several hooks add up, whatever their order: each reads the
    raw prediction and adds to the guided one.

    Args:
        scale: :math:`\lambda_s`.
        wrt: 'latent' takes the gradient through decoder and denoiser
            (equation 10); 'denoised' goes around the denoiser, with the
            Jacobian of :math:`\hat z_0` replaced by :math:`\sqrt{\bar\alpha_t}`,
            which is exact for latents of unit variance: cheaper, no graph
            through the denoiser.
        start: Share of the steps after which guidance begins, in [0, 1].
        stop: Share of the steps after which guidance ends, in [0, 1].
        every: Guide every n-th step of the window.
        max_norm: Longest change of the noise prediction of one sample, as an
            L2 norm; None does not clip.
        recurrence: How often a guided step is done, with noise added back in
            between (self-recurrence of Universal Guidance); 1 is plain.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self,
                 scale: float,
                 wrt: str = 'latent',
                 start: float = 0.,
                 stop: float = 1.,
                 every: int = 1,
                 max_norm: Optional[float] = None,
                 recurrence: int = 1) -> None:
        name = type(self).__name__
        if wrt not in ('latent', 'denoised'):
            raise ValueError(f"{name}: wrt must be 'latent' or 'denoised', got {wrt!r}")
        if not 0 <= start <= stop <= 1:
            raise ValueError(
                f'{name}: the window must satisfy 0 <= start <= stop <= 1, got {start}, {stop}')
        if every < 1 or recurrence < 1:
            raise ValueError(
                f'{name}: every and recurrence must be at least 1, got {every}, {recurrence}')
        if max_norm is not None and max_norm <= 0:
            raise ValueError(f'{name}: max_norm must be above 0 or None, got {max_norm}')
        self.scale = scale
        self.wrt = wrt
        self.start = start
        self.stop = stop
        self.every = every
        self.max_norm = max_norm
        self.recurrence = recurrence

    def energy(self, state: DenoiseState) -> Tensor:
        """One differentiable number per sample, (B,), lower is better.

        It must depend on ``state.denoised``, and that of one sample not on the
        other samples of the batch.
        """
        raise NotImplementedError

    def guidance(self, state: DenoiseState) -> Tensor:
        """Gradient of the energy with respect to the latents, (B, C, h, w)."""
        with torch.enable_grad():
            if self.wrt == 'latent':
                target, view = state.latents, state
            else:
                target = state.denoised.detach().requires_grad_()
                view = replace(state, denoised=target)
            energy = self.energy(view)
            shape = getattr(energy, 'shape', None)
            if shape != (len(state.slots), ):
                raise ValueError(
                    f'{type(self).__name__}.energy must return one number per sample, a tensor '
                    f'of shape ({len(state.slots)},), got {shape or type(energy).__name__}')
            for i, value in enumerate(energy.tolist()):
                if math.isfinite(value):  # JSON has no word for the others
                    state.stats[i]['energy'] = value
            if not energy.requires_grad:
                return torch.zeros_like(state.latents)
            gradient = torch.autograd.grad(energy.sum(), target, retain_graph=True)[0]
        return gradient if self.wrt == 'latent' else gradient * state.alpha_bar**0.5

    def is_active(self, state: DenoiseState) -> bool:
        """Whether this step lies in the window."""
        inside = self.start <= state.step / state.num_steps < self.stop
        first = next(i for i in range(state.num_steps + 1) if self.start <= i / state.num_steps)
        return self.scale != 0 and inside and (state.step - first) % self.every == 0

    def apply(self, state: DenoiseState) -> None:
        """Add the scaled, clipped and checked guidance to ``state.guided_noise``."""
        strength = self.scale * (1 - state.alpha_bar)**0.5
        change = strength * self.guidance(state).detach().float()
        finite = torch.isfinite(change).flatten(1).all(1)
        for i in (~finite).nonzero().flatten().tolist():
            state.count(i, 'skipped_gradients')
        change = torch.where(finite.view(-1, 1, 1, 1), change, torch.zeros_like(change))
        if self.max_norm is not None:
            norm = change.flatten(1).norm(dim=1).clamp_min(1e-12)
            change = change * (self.max_norm / norm).clamp_max(1).view(-1, 1, 1, 1)
        state.guided_noise = state.guided_noise + change

    def before_denoise(self, runner, state: DenoiseState) -> None:
        """Ask for the graph through the denoiser where it is needed."""
        if self.is_active(state):
            state.needs_grad |= self.wrt == 'latent'
            state.recurrence = max(state.recurrence, self.recurrence)

    def after_denoise(self, runner, state: DenoiseState) -> None:
        """Guide this step if it lies in the window."""
        if self.is_active(state):
            self.apply(state)
