"""The denoising loop: from noise, or from clean latents, to images."""
import inspect
import itertools
import logging
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmdd.structures import DenoiseState, DistillSlot
from mmdd.utils.finite import finite_rows
from mmdd.utils.seed import generator
from .forward_process import ForwardProcess

# Attributes of diffusers' schedulers that hold values of a batch between steps.
SCHEDULER_MEMORY = ('ets', 'model_outputs', 'derivatives', 'prev_derivative', 'last_sample',
                    'sample')


def no_hook(name: str, **kwargs) -> None:
    """Stand-in for ``Runner.call_hook`` outside of a Runner."""


@dataclass
class SamplingRun:
    """A batch on its way from noise to images, see :meth:`SamplingLoop.begin`.

    Attributes:
        state: What hooks see.
        latents: z_t (B, C, h, w) in the scheduler's units.
        timesteps: The scheduler's timesteps of the whole way.
        condition: What the adapter made of the slots.
        steps: Number of denoising steps that the scheduler was set to.
        skipped: How many of its timesteps SDEdit leaves out.
        done: How many of ``timesteps`` are behind it.
    """
    state: DenoiseState
    latents: Tensor
    timesteps: List[Tensor]
    condition: Any
    steps: int
    skipped: int = 0
    done: int = 0

    def following(self, step: int) -> Optional[Tensor]:
        """The timestep after ``step``; None after the last one."""
        return self.timesteps[step + 1] if step + 1 < len(self.timesteps) else None


class SamplingLoop(ForwardProcess):
    """Denoising with hooks; a part of :class:`BaseDiffusion`, whose networks it calls.

    :meth:`sample` is the whole of it. A pool of candidates takes its three parts one by one,
    to choose between images that are on their way: :meth:`begin`, :meth:`advance`, whose loop
    is the sampler, and :meth:`finish`.
    """
    steps: int

    if TYPE_CHECKING:  # what BaseDiffusion has
        @property
        def branches(self) -> int: ...

        @property
        def trained_size(self) -> Optional[Tuple[int, int]]: ...

        @property
        def device(self) -> torch.device: ...

        def latent_shape(self, size: Tuple[int, int]) -> Tuple[int, int, int]: ...

        def decode_final(self, latents: Tensor) -> Tensor: ...

        def encode_conditions(self, slots: Sequence[DistillSlot]) -> Any: ...

        def decode_latents(self, latents: Tensor, fast: bool = False) -> Tensor: ...

        def predict_noise(self, latents: Tensor, timestep: Tensor, condition: Any) -> Tensor: ...

        def predict_branches(self, latents: Tensor, timestep: Tensor,
                             condition: Any) -> Tuple[Tensor, Optional[Tensor]]: ...

        def combine_branches(self, text: Tensor, uncond: Optional[Tensor]) -> Tensor: ...

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._warned_sizes: Set[Tuple[int, int]] = set()

    @torch.no_grad()
    def sample(self,
               slots: Sequence[DistillSlot],
               init: Optional[Tensor] = None,
               strength: float = 1.,
               steps: Optional[int] = None,
               call_hook: Callable = no_hook,
               fast: bool = False) -> Tuple[Tensor, List[dict]]:
        """Make one image for each slot.

        Args:
            slots: B slots of one size.
            init: Clean latents (B, C, h, w) to start from (SDEdit); None starts
                from noise.
            strength: How much of the path to noise ``init`` goes, in (0, 1].
            steps: Number of denoising steps; the adapter's own if None.
            call_hook: ``runner.call_hook``; fires ``DENOISE_STAGES``.
            fast: Decode the images by the small decoder, where there is one.

        Returns:
            tuple: images (B, 3, H, W) in [0, 1] on the adapter's device, all NaN where a
            latent or pixel is not finite, and one dict of counters per slot; ``unguided``
            among them is the number of guidance hooks none of whose steps had a finite
            gradient, ``denoiser_passes`` the number of evaluations of the denoiser for the
            slot, that is steps (and their recurrences) times :attr:`branches`.
        """
        run = self.begin(slots, init, strength, steps, call_hook)
        self.advance(run, len(run.timesteps), call_hook)
        return self.finish(run, call_hook, fast)

    @torch.no_grad()
    def begin(self, slots: Sequence[DistillSlot], init: Optional[Tensor] = None,
              strength: float = 1., steps: Optional[int] = None,
              call_hook: Callable = no_hook) -> SamplingRun:
        """Start :meth:`sample`, whose arguments these are; no denoising step is done yet."""
        if not 0 < strength <= 1:
            raise ValueError(f'{type(self).__name__}: strength must be in (0, 1], got {strength}')
        slots, steps = list(slots), steps or self.steps
        self._set_timesteps(steps, slots[0].size)
        timesteps, skip = list(self.scheduler.timesteps), 0
        state, noise = self._start(slots, len(timesteps))
        condition = self.encode_conditions(slots)
        x = self.first_latents(noise)
        if init is not None:
            skip = self._skipped_timesteps(steps, strength)
            timesteps = timesteps[skip:]
            state.num_steps = len(timesteps)
            if hasattr(self.scheduler, 'set_begin_index'):
                self.scheduler.set_begin_index(skip)
            start = timesteps[0].view(1).expand(len(slots))
            x = self.noised_start(init.to(noise), noise, start)
        call_hook('before_sample', state=state)
        return SamplingRun(state, x, timesteps, condition, steps, skip)

    @torch.no_grad()
    def advance(self, run: SamplingRun, until: int, call_hook: Callable = no_hook) -> None:
        """Denoise a batch up to ``until`` of its timesteps are done: the loop of the sampler."""
        state, x = run.state, run.latents
        for state.step in range(run.done, until):
            t, state.recurrence = run.timesteps[state.step], 1
            for state.repeat in itertools.count():
                # The noise prediction of z_t, its clean estimate, and guidance on both.
                self._denoise(state, x, t, run.condition, call_hook)
                # z_{t-1} by the scheduler's rule.
                state.latents = self._scheduler_step(state, t, x)
                call_hook('after_step', state=state)
                if state.repeat + 1 >= state.recurrence:
                    break
                # A hook asked to do this step again: back to z_t.
                x = self._renoise(state.latents, t, run.following(state.step), state.generators)
            x = state.latents
        run.latents, run.done = x, max(run.done, until)

    @torch.no_grad()
    def finish(self, run: SamplingRun, call_hook: Callable = no_hook,
               fast: bool = False) -> Tuple[Tensor, List[dict]]:
        """The images and counters of a batch whose timesteps are done, see :meth:`sample`."""
        run.state.latents = run.latents
        decode = partial(self.decode_latents, fast=True) if fast else self.decode_final
        images = decode(run.latents)
        finite = finite_rows(run.latents) & finite_rows(images)
        images = images.clamp(0, 1)
        images[~finite] = float('nan')
        for i, hooks in enumerate(run.state.guided_by):
            if not all(hooks.values()):
                run.state.count(i, 'unguided', sum(not done for done in hooks.values()))
        call_hook('after_sample', state=run.state)
        return images, run.state.stats

    @torch.no_grad()
    def regroup(self, picked: Sequence[Tuple[SamplingRun, int]],
                call_hook: Callable = no_hook) -> SamplingRun:
        """One batch of images that are on their way in several, to continue with them alone.

        Hooks see ``before_sample`` again, with a state that is not at its first step.

        Args:
            picked: Batches that are equally far, each with an index into it.
            call_hook: ``runner.call_hook``.

        Raises:
            ValueError: If the scheduler remembers earlier steps of its batch.
        """
        self.check_regrouping()
        first = picked[0][0]
        states = [(run.state, i) for run, i in picked]
        self._set_timesteps(first.steps, states[0][0].slots[0].size)
        if hasattr(self.scheduler, 'set_begin_index'):
            self.scheduler.set_begin_index(first.skipped + first.done)
        latents = torch.stack([run.latents[i] for run, i in picked])
        state = DenoiseState(
            [state.slots[i] for state, i in states], latents,
            [state.generators[i] for state, i in states], first.state.decode,
            first.state.num_steps, step=first.done, stats=[state.stats[i] for state, i in states],
            guided_by=[state.guided_by[i] for state, i in states])
        call_hook('before_sample', state=state)
        return SamplingRun(state, latents, first.timesteps, self.encode_conditions(state.slots),
                           first.steps, first.skipped, first.done)

    def check_regrouping(self) -> None:
        """Check that batches can be regrouped on their way.

        Raises:
            ValueError: If the scheduler remembers earlier steps of its batch.
        """
        if any(hasattr(self.scheduler, name) for name in SCHEDULER_MEMORY):
            raise ValueError(
                f'{type(self.scheduler).__name__} remembers earlier steps, so a batch cannot be '
                f'divided on its way; set model.diffusion.scheduler to one without memory such as '
                f'DDIMScheduler')

    def _skipped_timesteps(self, steps: int, strength: float) -> int:
        """How many timesteps SDEdit leaves out: the rule of diffusers' image-to-image pipelines.

        Of ``steps`` steps int(steps * strength) are done, at least one.
        """
        left = max(1, min(int(steps * strength), steps))
        return (steps - left) * getattr(self.scheduler, 'order', 1)

    def _set_timesteps(self, steps: int, size: Tuple[int, int]) -> None:
        try:
            self.scheduler.set_timesteps(steps, device=self.device,
                                         **self.timestep_settings(steps, size))
        except ValueError as e:
            raise ValueError(f'{type(self.scheduler).__name__}: {steps} steps: {e}') from None

    def _start(self, slots: List[DistillSlot], num_steps: int) -> Tuple[DenoiseState, Tensor]:
        sizes = {tuple(slot.size) for slot in slots}
        if len(sizes) != 1:
            raise ValueError(f'slots of one batch must have one size, got {sorted(sizes)}')
        height, width = sizes.pop()
        size = (height, width)
        shape = self.latent_shape(size)
        self._warn_of_size(size)
        generators = [generator('image', slot.seed) for slot in slots]
        noise = torch.stack([torch.randn(shape, generator=g) for g in generators])
        noise = noise.to(self.device)
        state = DenoiseState(slots, noise, generators, num_steps=num_steps,
                             decode=lambda z: self.decode_latents(z, fast=True))
        return state, noise

    def _warn_of_size(self, size: Tuple[int, int]) -> None:
        """Say once per size that the prior was trained on another one."""
        trained = self.trained_size
        if trained is None or trained == size or size in self._warned_sizes:
            return
        self._warned_sizes.add(size)
        print_log(f'{type(self).__name__} makes images of {size[0]} x {size[1]} pixels; it was '
                  f'trained on {trained[0]} x {trained[1]}, other sizes may look worse: set '
                  f'model.image_size', 'current', logging.WARNING)

    def _denoise(self, state: DenoiseState, x: Tensor, t: Tensor, condition: Any,
                 call_hook: Callable) -> None:
        """Fill the state with the noise prediction and the clean estimate.

        ``state.latents`` is always in variance-preserving units, also for
        schedulers that count in sigmas (``scale_model_input`` maps them).
        """
        state.latents = self.model_input(x, t).detach()
        state.timestep = int(t)
        state.alpha_bar = self._alpha_bar(t)
        state.alpha, state.sigma = self._alpha_sigma(t)
        state.needs_grad = state.needs_branches = False
        state.graph_users, state.energy = 0, None
        call_hook('before_denoise', state=state)
        with torch.enable_grad() if state.needs_grad else nullcontext():
            if state.needs_grad:
                state.latents.requires_grad_()
            noise = self._predict(state, t, condition)
            for i in range(len(state.slots)):
                state.count(i, 'denoiser_passes', self.branches)
            state.noise_pred = noise
            # Equation 3 of UniDD: the clean estimate of DDIM.
            state.denoised = (state.latents - state.sigma * noise) / state.alpha
        state.guided_noise = noise.detach()
        call_hook('after_denoise', state=state)
        state.noise_pred = state.noise_pred.detach()
        state.denoised = state.denoised.detach()
        state.latents = state.latents.detach()
        state.branches = None

    def _predict(self, state: DenoiseState, t: Tensor, condition: Any) -> Tensor:
        """The noise prediction; its branches go into the state where a hook asked for them."""
        if not state.needs_branches:
            return self.predict_noise(state.latents, t, condition)
        text, uncond = self.predict_branches(state.latents, t, condition)
        state.branches = dict(text=text, uncond=uncond)
        return self.combine_branches(text, uncond)

    def _scheduler_step(self, state: DenoiseState, t: Tensor, x: Tensor) -> Tensor:
        options: Dict[str, Any] = {}
        if 'generator' in inspect.signature(self.scheduler.step).parameters:
            options['generator'] = state.generators
        output = self.scheduler_input(state, x, t)
        return self.scheduler.step(output, t, x, **options).prev_sample

    def _renoise(self, previous: Tensor, t: Tensor, following: Optional[Tensor],
                 generators: List[torch.Generator]) -> Tensor:
        """Add back the noise that one step removed (Universal Guidance, eq. 9)."""
        if getattr(self.scheduler, 'step_index', None) is not None or hasattr(
                self.scheduler, 'ets'):
            raise ValueError(
                f'recurrence needs a scheduler without memory such as DDIMScheduler, not '
                f'{type(self.scheduler).__name__}')
        alphas = self.scheduler.alphas_cumprod
        after = alphas[int(following)] if following is not None else \
            getattr(self.scheduler, 'final_alpha_cumprod', alphas[0])
        beta = float(alphas[int(t)] / after)
        noise = torch.stack([torch.randn(previous.shape[1:], generator=g) for g in generators])
        return beta**0.5 * previous + (1 - beta)**0.5 * noise.to(previous)
