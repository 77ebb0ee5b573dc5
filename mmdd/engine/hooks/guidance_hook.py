"""The base of everything that changes the noise prediction at a step."""
import math
from dataclasses import replace
from typing import Any, List, Mapping, Optional, Tuple

import torch
from mmengine.hooks import Hook
from torch import Tensor

from mmdd.registry import HOOKS, MODELS, TASK_UTILS
from mmdd.structures import DenoiseState
from mmdd.utils.components import class_of
from mmdd.utils.finite import finite_rows
from mmdd.utils.numbers import check_number
from mmdd.utils.signature import defaults_of
from .guidance import (
    SCHEDULES,
    STEPS,
    check_direction,
    check_energy,
    gradient_by,
    smoothed_state,
    step_factor,
    strength_factor,
    viewed_state,
)

BRANCHES = ('combined', 'text', 'uncond')


@HOOKS.register_module()
class GuidanceHook(Hook):
    r"""Adds a gradient to the noise prediction at each denoising step.

    Equations 8 and 9 of `Towards Universal Dataset Distillation via
    Task-Driven Diffusion` (CVPR 2025) for any energy :math:`\mathcal{L}`:

    .. math::
        \hat\epsilon = \epsilon + \lambda_s \sigma_t \nabla_{z_t} \mathcal{L}(\hat z_0),
        \quad z_t = \alpha_t z_0 + \sigma_t \epsilon,
        \quad \sigma_t = \sqrt{1 - \bar\alpha_t}

    An author overrides :meth:`energy`, or :meth:`guidance` where the direction
    is no gradient. Several hooks add up, whatever their order: each reads the
    raw prediction and adds to the guided one. ``docs/guidance.md`` says when
    which option is of use.

    Args:
        scale: :math:`\lambda_s`; c for the other rules of ``step``.
        wrt: 'latent' takes the gradient through decoder and denoiser
            (equation 10); 'denoised' goes around the denoiser, with the
            Jacobian of :math:`\hat z_0` replaced by :math:`\alpha_t`
            (:math:`\alpha_t / (\alpha_t^2 + \sigma_t^2)` with flow matching),
            which is exact for latents of unit variance: cheaper, no graph
            through the denoiser.
        start: Share of the steps after which guidance begins, in [0, 1].
        stop: Share of the steps after which guidance ends, in [0, 1].
        every: Guide every n-th step of the window.
        max_norm: Longest change of the noise prediction of one sample, as an
            L2 norm; None does not clip.
        recurrence: How often a guided step is done, with noise added back in
            between (self-recurrence of Universal Guidance); 1 is plain.
        step: How long the change is for a gradient g. 'scale': the equation
            above. 'relative': :math:`c \|\epsilon\| g / \|g\|`. 'polyak':
            :math:`c \|\epsilon\| \mathcal{L} g / \|g\|^2`. Neither of these two
            holds the factor :math:`\sigma_t`; both leave a sample as it is where
            ‖g‖ < 1e-6. See ``step_factor``.
        schedule: Factor on ``scale`` and ``inner_scale`` over the steps of the
            window: 'constant', 'linear', 'cosine', 'sigma' or 'alpha', see
            ``strength_factor``.
        views: Config of :class:`RandomViews`: the energy is the mean over random
            views of the decoded image, to which boxes and masks move along. It
            must be one of images, ``state.decode(state.denoised)``. None looks
            at the image itself.
        inner_steps: Gradient steps on the clean estimate alone, around the
            denoiser, at every guided step (mean guidance of TFG, 2409.15761;
            with ``scale=0`` as MPGD, 2311.16424). The noise is rebuilt from the
            moved estimate: :math:`\Delta\epsilon = -\alpha_t / \sigma_t\,
            \Delta\hat z_0`, while both papers keep the noise for what is
            left of the path: their move is larger by
            :math:`1 / (1 - \sigma_{t-1} \alpha_t / (\sigma_t \alpha_{t-1}))` with DDIM.
        inner_scale: :math:`\mu` of :math:`\hat z_0 \leftarrow \hat z_0 - \mu f g`,
            with f by ``step`` and the clean estimate in the place of the noise.
        smoothing: The energy is the mean over copies of the clean estimate with
            Gaussian noise of the standard deviation smoothing ·
            :math:`\sigma_t` (implicit dynamics of TFG); 0 is off.
        smoothing_draws: Number of these copies.
        branch: Which noise prediction of classifier-free guidance the clean
            estimate of the energy comes from. 'combined', as in UniDD and
            Universal Guidance. 'text' and 'uncond' are those with and without
            the condition: each is an expected clean image, which the combined
            one, extrapolated by ``cfg_scale``, is not. The change is added to
            the combined prediction in any case, with no factor of ``cfg_scale``.
        loss_scale: The energy is multiplied by this before the gradient is
            taken, which is divided by it: keeps small gradients from vanishing
            in fp16 (a power of 2, such as 1024).

    Raises:
        ValueError: If an argument is out of range, or an option of the energy is set where
            there is none.
    """

    limits = dict(wrt=('latent', 'denoised'), start=dict(low=0, high=1), stop=dict(low=0, high=1),
                  every=dict(low=1), max_norm=dict(above=0), recurrence=dict(low=1),
                  step=tuple(STEPS), schedule=tuple(SCHEDULES), branch=tuple(BRANCHES),
                  inner_steps=dict(low=0), inner_scale=dict(low=0), smoothing=dict(low=0),
                  smoothing_draws=dict(low=1), loss_scale=dict(above=0))

    def __init__(self,
                 scale: float,
                 wrt: str = 'latent',
                 start: float = 0.,
                 stop: float = 1.,
                 every: int = 1,
                 max_norm: Optional[float] = None,
                 recurrence: int = 1,
                 step: str = 'scale',
                 schedule: str = 'constant',
                 views: Optional[dict] = None,
                 inner_steps: int = 0,
                 inner_scale: float = 0.,
                 smoothing: float = 0.,
                 smoothing_draws: int = 1,
                 branch: str = 'combined',
                 loss_scale: float = 1.) -> None:
        self.scale = scale
        self.wrt = wrt
        self.start = start
        self.stop = stop
        self.every = every
        self.max_norm = max_norm
        self.recurrence = recurrence
        self.step = step
        self.schedule = schedule
        self.inner_steps = inner_steps
        self.inner_scale = inner_scale
        self.smoothing = smoothing
        self.smoothing_draws = smoothing_draws
        self.branch = branch
        self.loss_scale = loss_scale
        self._check(views is not None)
        self.views = None if views is None else TASK_UTILS.build(views)

    def _check(self, has_views: bool) -> None:
        name = type(self).__name__
        for key in ('scale', 'start', 'stop', 'inner_scale', 'smoothing'):
            check_number(f'{name}: {key}', getattr(self, key))
        check_number(f'{name}: loss_scale', self.loss_scale, above=0)
        for key in ('every', 'recurrence', 'smoothing_draws'):
            check_number(f'{name}: {key}', getattr(self, key), low=1, integer=True)
        check_number(f'{name}: inner_steps', self.inner_steps, low=0, integer=True)
        if self.max_norm is not None:
            check_number(f'{name}: max_norm', self.max_norm, above=0)
        for key, known in (('wrt', ('latent', 'denoised')), ('step', STEPS),
                           ('schedule', SCHEDULES), ('branch', BRANCHES)):
            if getattr(self, key) not in known:
                raise ValueError(f'{name}: {key} must be one of {known}, got '
                                 f'{getattr(self, key)!r}')
        if not 0 <= self.start <= self.stop <= 1:
            raise ValueError(f'{name}: the window must satisfy 0 <= start <= stop <= 1, got '
                             f'{self.start}, {self.stop}')
        if (self.inner_steps > 0) != (self.inner_scale > 0):
            raise ValueError(
                f'{name}: inner_steps and inner_scale must be both 0 or both above, got '
                f'{self.inner_steps} and {self.inner_scale}')
        if self.smoothing < 0 or (self.smoothing_draws > 1 and self.smoothing == 0):
            raise ValueError(
                f'{name}: smoothing must not be negative, and above 0 for several '
                f'smoothing_draws, got {self.smoothing} and {self.smoothing_draws}')
        if type(self).energy is GuidanceHook.energy and (
                has_views or self.inner_steps or self.smoothing or self.step == 'polyak'):
            raise ValueError(f"{name}: views, inner_steps, smoothing and step='polyak' need an "
                             f'energy, and {name} has none')

    def check_model(self, model: Mapping[str, Any]) -> None:
        """Check, before a job begins, that its model has what this hook needs.

        Args:
            model: Config of the distiller.

        Raises:
            ValueError: If the diffusion cannot do steps again, or has no such branch.
        """
        diffusion = model.get('diffusion')
        if diffusion is None or not self.guided_steps(1000):
            return
        kind = class_of(MODELS, diffusion)
        if self.recurrence > 1:
            kind.check_recurrence(diffusion)
        if self.branch != 'combined' and diffusion.get(
                'cfg_scale', defaults_of(kind).get('cfg_scale', 1.)) <= 1:
            raise ValueError(self._no_branch())

    def _no_branch(self) -> str:
        return (f'{type(self).__name__}: branch={self.branch!r} needs model.diffusion.cfg_scale '
                f'above 1')

    def energy(self, state: DenoiseState) -> Tensor:
        """One differentiable number per sample, (B,), lower is better.

        It must depend on ``state.denoised``, and that of one sample not on the
        other samples of the batch. With ``views`` or ``smoothing`` the state has
        several copies of each slot: one number for each of ``state.slots``.
        """
        raise NotImplementedError

    def guidance(self, state: DenoiseState) -> Tensor:
        """Gradient of the energy with respect to the latents, (B, C, h, w)."""
        with torch.enable_grad():
            estimate = self.estimate(state)
            if self.wrt == 'latent':
                return self._gradient(state, estimate, state.latents, 0,
                                      retain_graph=state.graph_users > 0)[1]
            estimate = estimate.detach().requires_grad_()
            return self._gradient(state, estimate, estimate, 0)[1] * state.clean_slope

    def estimate(self, state: DenoiseState) -> Tensor:
        """The clean estimate of ``branch``, (B, C, h, w).

        Raises:
            ValueError: If the adapter does not run that branch.
        """
        if self.branch == 'combined':
            assert state.denoised is not None
            return state.denoised
        assert state.branches is not None
        noise = state.branches[self.branch]
        if noise is None:
            raise ValueError(self._no_branch())
        return (state.latents - state.sigma * noise) / state.alpha

    def inner_change(self, state: DenoiseState, factor: float) -> Tensor:
        """Change of the noise prediction by ``inner_steps`` on the clean estimate.

        Args:
            state: The state.
            factor: Factor of the schedule on ``inner_scale``.

        Returns:
            Tensor: (B, C, h, w).
        """
        with torch.enable_grad():
            first = self.estimate(state).detach()
            moved = first
            for i in range(self.inner_steps):
                target = moved.clone().requires_grad_()
                energy, gradient = self._gradient(state, target, target, 1 + i)
                length = step_factor(self.step, gradient, first, energy)
                moved = moved - self.inner_scale * factor * length * gradient
        return state.alpha / state.sigma * (first - moved)

    def _gradient(self, state: DenoiseState, denoised: Tensor, target: Tensor, key: int,
                  retain_graph: bool = False) -> Tuple[Tensor, Tensor]:
        """Energies (B,) of clean estimates and their gradient by ``target``."""
        energy = self._mean_energy(state, denoised, key)
        if state.energy is None:
            state.energy = energy.detach()
            for stats, value in zip(state.stats, energy.tolist()):
                if math.isfinite(value):  # JSON has no word for the others
                    stats['energy'] = value
        if not energy.requires_grad:
            return energy, torch.zeros_like(target)
        gradient = gradient_by(type(self).__name__, energy.sum() * self.loss_scale, target,
                               retain_graph)
        return energy.detach(), gradient / self.loss_scale

    def _mean_energy(self, state: DenoiseState, denoised: Tensor, key: int) -> Tensor:
        """The energy (B,) as a mean over smoothing copies and views."""
        seen = replace(state, denoised=denoised)
        if self.smoothing:
            seen = smoothed_state(seen, denoised, self.smoothing * state.sigma,
                                  self.smoothing_draws, key)
        if self.views is not None:
            seen = viewed_state(seen, self.views, key)
        energy = check_energy(type(self).__name__, self.energy(seen), len(seen.slots),
                              self.views is not None)
        copies = len(seen.slots) // len(state.slots)
        return energy if copies == 1 else energy.view(copies, -1).mean(0)

    def guided_steps(self, num_steps: int) -> List[int]:
        """Indices of the steps that are guided, every n-th of the window."""
        if self.scale == 0 and self.inner_steps == 0:
            return []
        inside = [i for i in range(num_steps) if self.start <= i / num_steps < self.stop]
        return inside[::self.every]

    def is_active(self, state: DenoiseState) -> bool:
        """Whether this step is guided."""
        return state.step in self.guided_steps(state.num_steps)

    def strength(self, state: DenoiseState) -> float:
        """Factor of the schedule at this step, in [0, 1]."""
        guided = self.guided_steps(state.num_steps)
        progress = guided.index(state.step) / len(guided)
        return strength_factor(self.schedule, progress, state.alpha, state.sigma)

    def change(self, state: DenoiseState) -> Tensor:
        """Change of the noise prediction before it is clipped and checked, (B, C, h, w)."""
        factor = self.strength(state)
        change: Any = 0.
        if self.scale != 0:
            assert state.noise_pred is not None
            gradient = check_direction(type(self).__name__, self.guidance(state), state.latents)
            length = state.sigma if self.step == 'scale' else step_factor(
                self.step, gradient, state.noise_pred.detach(), state.energy)
            change = self.scale * factor * length * gradient
        if self.inner_steps:
            change = change + self.inner_change(state, factor)
        return change

    def apply(self, state: DenoiseState) -> None:
        """Add the scaled, clipped and checked guidance to ``state.guided_noise``.

        A sample whose energy or gradient is not finite is left as it is in this step.
        """
        state.energy = None
        change = self.change(state)
        finite = finite_rows(change)
        if state.energy is not None:
            finite &= finite_rows(state.energy[:, None])
        state.note_guidance(self, finite.tolist())
        change = torch.where(finite.view(-1, 1, 1, 1), change, torch.zeros_like(change))
        if self.max_norm is not None:
            norm = change.flatten(1).norm(dim=1).clamp_min(1e-12)
            change = change * (self.max_norm / norm).clamp_max(1).view(-1, 1, 1, 1)
        assert state.guided_noise is not None
        state.guided_noise = state.guided_noise + change

    @property
    def needs_graph(self) -> bool:
        """Whether the gradient goes through the denoiser."""
        return self.wrt == 'latent' and self.scale != 0

    def before_denoise(self, runner, state: DenoiseState) -> None:
        """Ask for the graph through the denoiser and for the branches where they are needed."""
        if self.is_active(state):
            state.needs_grad |= self.needs_graph
            state.graph_users += self.needs_graph
            state.needs_branches |= self.branch != 'combined'
            state.recurrence = max(state.recurrence, self.recurrence)

    def after_denoise(self, runner, state: DenoiseState) -> None:
        """Guide this step if it lies in the window."""
        if self.is_active(state):
            state.graph_users -= self.needs_graph
            self.apply(state)
