"""One interface over diffusers' latent diffusion models."""
import hashlib
import inspect
import logging
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Callable, List, Mapping, Optional, Sequence, Set, Tuple

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor

from mmdd.structures import DenoiseState, DistillSlot
from mmdd.utils.finite import finite_rows
from mmdd.utils.seed import generator


def _no_hook(name: str, **kwargs) -> None:
    """Stand-in for ``Runner.call_hook`` outside of a Runner."""


# Attributes of diffusers' schedulers that hold values of a batch between steps.
SCHEDULER_MEMORY = ('ets', 'model_outputs', 'derivatives', 'prev_derivative', 'last_sample',
                    'sample')


@dataclass
class SamplingRun:
    """A batch on its way from noise to images, see :meth:`BaseDiffusion.begin`.

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


class BaseDiffusion(BaseModule):
    """A frozen generative prior.

    A subclass provides ``encode_images``, ``decode_latents``,
    ``encode_conditions``, ``predict_branches`` and ``latent_shape``; this class
    owns the denoising loop, whose steps are those of a diffusers scheduler.

    Args:
        scheduler: A diffusers scheduler that takes noise predictions ('epsilon').
        steps: Number of denoising steps.
        prediction_type: What the denoiser predicts: 'epsilon', the noise, or
            'v_prediction', alpha epsilon - sigma z_0.

    Attributes:
        cfg_scale: Scale of classifier-free guidance; above 1 the denoiser runs
            for two branches.
        reads_prompts: Whether images depend on the prompts of their slots.
        passes: Denoiser evaluations outside of :meth:`sample`, one per image
            and branch, see :meth:`count_passes`.
    """

    cfg_scale: float = 1.
    reads_prompts: bool = False
    limits = dict(steps=dict(low=1), cfg_scale=dict(low=0), seed=dict(low=0),
                  dtype=('auto', 'fp32', 'fp16', 'bf16'))

    def __init__(self, scheduler, steps: int, prediction_type: str = 'epsilon') -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f'{type(self).__name__}: steps must be at least 1, got {steps}')
        self.scheduler = scheduler
        self.steps = steps
        self.prediction_type = prediction_type
        self.passes = 0
        self._warned_sizes: Set[Tuple[int, int]] = set()

    def count_passes(self, number: int) -> None:
        """Count denoiser evaluations outside of :meth:`sample`.

        Scoring and fine-tuning call it, so that the cost of a set is whole.

        Args:
            number: Images that the denoiser saw; twice as many where
                classifier-free guidance doubles the batch.
        """
        self.passes += int(number)

    @property
    def branches(self) -> int:
        """Denoiser evaluations of one noise prediction: 2 with classifier-free guidance."""
        return 2 if self.cfg_scale > 1 else 1

    @property
    def denoiser(self) -> torch.nn.Module:
        """The network that predicts noise."""
        raise NotImplementedError

    @property
    def num_timesteps(self) -> int:
        """Length of the schedule that the denoiser was trained on."""
        return int(self.scheduler.config.num_train_timesteps)

    def alpha_bars(self, timesteps: Tensor) -> Tensor:
        """Cumulative products of 1 - beta for timesteps (B,), fp32 (B, 1, 1, 1)."""
        alphas = self.scheduler.alphas_cumprod.to(timesteps.device)
        return alphas[timesteps].float().view(-1, 1, 1, 1)

    @property
    def v_prediction(self) -> bool:
        """Whether the denoiser predicts v instead of noise (SD 2.x, the embedded priors)."""
        return self.prediction_type == 'v_prediction'

    def alphas_sigmas(self, timesteps: Tensor) -> Tuple[Tensor, Tensor]:
        """Factors of z_t = alpha z_0 + sigma epsilon for timesteps (B,), fp32 (B, 1, 1, 1)."""
        alpha_bars = self.alpha_bars(timesteps)
        return alpha_bars**0.5, (1 - alpha_bars)**0.5

    def as_noise(self, output: Tensor, latents: Tensor, timestep: Tensor) -> Tensor:
        """The noise (B, C, h, w) that the output of the denoiser stands for.

        Args:
            output: Prediction of noise or of v (B, C, h, w).
            latents: z_t (B, C, h, w) that the denoiser saw.
            timestep: The scheduler's timestep, or one per latent (B,).
        """
        if not self.v_prediction:
            return output
        alpha, sigma = (self.alphas_sigmas(timestep) if timestep.ndim
                        else self._alpha_sigma(timestep))
        return alpha * output + sigma * latents.float()

    def training_target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the denoiser is trained to predict at z_t (B, C, h, w): the noise, or v.

        Args:
            latents: z_0 (B, C, h, w).
            noise: (B, C, h, w).
            timesteps: (B,) int64.
        """
        if not self.v_prediction:
            return noise
        alphas, sigmas = self.alphas_sigmas(timesteps)
        return alphas * noise - sigmas * latents

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """z_t of the forward process, in variance-preserving units whatever the scheduler.

        Args:
            latents: Clean latents (B, C, h, w).
            noise: (B, C, h, w).
            timesteps: (B,) int64.
        """
        alphas, sigmas = self.alphas_sigmas(timesteps)
        return alphas * latents + sigmas * noise

    def clean_estimate(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """(z_t - sigma epsilon) / alpha, (B, C, h, w): equation 3 of UniDD.

        Args:
            latents: z_t (B, C, h, w).
            noise: Prediction of epsilon (B, C, h, w).
            timesteps: (B,) int64.
        """
        alphas, sigmas = self.alphas_sigmas(timesteps)
        return (latents - sigmas * noise) / alphas

    def weights_digest(self) -> str:
        """SHA-256 of the weights of all networks but the small decoder, hexadecimal."""
        return digest_weights({name: weight for name, weight in self.state_dict().items()
                               if not name.startswith('small_decoder.')})

    def encode_images(self, images: Tensor,
                      generators: Optional[Sequence[torch.Generator]] = None) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] to scaled latents (B, C, h, w).

        Args:
            images: RGB images.
            generators: One per image, to draw the latents from the autoencoder's
                posterior; None takes its mean.
        """
        raise NotImplementedError

    def autoencoder_digest(self) -> str:
        """SHA-256 of the weights that make latents of images, as hexadecimal digits."""
        return digest_weights(self.vae.state_dict())

    def decode_latents(self, latents: Tensor, fast: bool = False) -> Tensor:
        """Scaled latents (B, C, h, w) to images (B, 3, H, W), differentiable.

        Args:
            latents: fp32 latents.
            fast: Use the small decoder, where there is one.
        """
        raise NotImplementedError

    def encode_conditions(self, slots: Sequence[DistillSlot]) -> Any:
        """What ``predict_noise`` needs to know of the slots."""
        raise NotImplementedError

    def predict_noise(self, latents: Tensor, timestep: Tensor, condition: Any) -> Tensor:
        """Noise prediction (B, C, h, w) in fp32, classifier-free guidance inside."""
        return self.combine_branches(*self.predict_branches(latents, timestep, condition))

    def predict_branches(self, latents: Tensor, timestep: Tensor,
                         condition: Any) -> Tuple[Tensor, Optional[Tensor]]:
        """Noise predictions (B, C, h, w) in fp32 with and without the condition.

        The second is None where ``condition`` has one branch only. With one branch each
        image may have a timestep of its own, (B,).
        """
        raise NotImplementedError(
            f'{type(self).__name__} has no predict_branches, which gives the branches of '
            f'classifier-free guidance')

    def combine_branches(self, text: Tensor, uncond: Optional[Tensor]) -> Tensor:
        """Classifier-free guidance (B, C, h, w): uncond + cfg_scale (text - uncond)."""
        return text if uncond is None else uncond + self.cfg_scale * (text - uncond)

    @property
    def trained_size(self) -> Optional[Tuple[int, int]]:
        """(height, width) of the images that the prior was trained on; None if unknown."""
        return None

    def latent_shape(self, size: Tuple[int, int]) -> Tuple[int, int, int]:
        """(C, h, w) of the latents of an image of ``size`` (height, width)."""
        raise NotImplementedError

    @classmethod
    def check_config(cls, cfg: Mapping) -> None:
        """Check a config, and that its weights are there, without loading them.

        Args:
            cfg: Config of this adapter.

        Raises:
            ValueError: If a setting is unknown, or weights are missing or damaged.
        """

    @classmethod
    def check_classes(cls, cfg: Mapping, classes: Sequence[str]) -> None:
        """Check that this prior can draw the classes of the real set, without loading it.

        Args:
            cfg: Config of this adapter.
            classes: Class names by label index.

        Raises:
            ValueError: If not.
        """

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def train(self, mode: bool = True):
        """Stay in evaluation mode: the prior is frozen."""
        return super().train(False)

    def init_weights(self) -> None:
        """Keep the weights that were loaded."""

    @torch.no_grad()
    def sample(self,
               slots: Sequence[DistillSlot],
               init: Optional[Tensor] = None,
               strength: float = 1.,
               steps: Optional[int] = None,
               call_hook: Callable = _no_hook,
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
            latent or pixel is not finite, and
            one dict of counters per slot; ``unguided`` among them is the number of guidance
            hooks none of whose steps had a finite gradient, ``denoiser_passes``
            the number of evaluations of the denoiser for the slot, that is
            steps (and their recurrences) times :attr:`branches`, and one for each
            sub-prompt of the slot in each step that uses them.
        """
        run = self.begin(slots, init, strength, steps, call_hook)
        self.advance(run, len(run.timesteps), call_hook)
        return self.finish(run, call_hook, fast)

    @torch.no_grad()
    def begin(self, slots: Sequence[DistillSlot], init: Optional[Tensor] = None,
              strength: float = 1., steps: Optional[int] = None,
              call_hook: Callable = _no_hook) -> SamplingRun:
        """Start :meth:`sample`, whose arguments these are; no denoising step is done yet."""
        if not 0 < strength <= 1:
            raise ValueError(f'{type(self).__name__}: strength must be in (0, 1], got {strength}')
        slots, steps = list(slots), steps or self.steps
        self._set_timesteps(steps)
        timesteps, skip = list(self.scheduler.timesteps), 0
        state, noise = self._start(slots, len(timesteps))
        condition = self.encode_conditions(slots)
        x = noise * self.scheduler.init_noise_sigma
        if init is not None:
            skip = self._skipped_timesteps(steps, strength)
            timesteps = timesteps[skip:]
            state.num_steps = len(timesteps)
            if hasattr(self.scheduler, 'set_begin_index'):
                self.scheduler.set_begin_index(skip)
            start = timesteps[0].view(1).expand(len(slots))
            x = self.scheduler.add_noise(init.to(noise), noise, start)
        call_hook('before_sample', state=state)
        return SamplingRun(state, x, timesteps, condition, steps, skip)

    @torch.no_grad()
    def advance(self, run: SamplingRun, until: int, call_hook: Callable = _no_hook) -> None:
        """Denoise a batch up to ``until`` of its timesteps are done."""
        for step in range(run.done, until):
            run.state.step = step
            following = run.timesteps[step + 1] if step + 1 < len(run.timesteps) else None
            run.latents = self._step(run.state, run.latents, run.timesteps[step], following,
                                     run.condition, call_hook)
        run.done = max(run.done, until)

    @torch.no_grad()
    def finish(self, run: SamplingRun, call_hook: Callable = _no_hook,
               fast: bool = False) -> Tuple[Tensor, List[dict]]:
        """The images and counters of a batch whose timesteps are done, see :meth:`sample`."""
        run.state.latents = run.latents
        images = self.decode_latents(run.latents, fast=fast)
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
                call_hook: Callable = _no_hook) -> SamplingRun:
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
        self._set_timesteps(first.steps)
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

    def _set_timesteps(self, steps: int) -> None:
        try:
            self.scheduler.set_timesteps(steps, device=self.device)
        except ValueError as e:
            raise ValueError(f'{type(self.scheduler).__name__}: {steps} steps: {e}') from None

    def _start(self, slots: List[DistillSlot], num_steps: int) -> Tuple[DenoiseState, Tensor]:
        sizes = {tuple(slot.size) for slot in slots}
        if len(sizes) != 1:
            raise ValueError(f'slots of one batch must have one size, got {sorted(sizes)}')
        size = sizes.pop()
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
        if trained in (None, size) or size in self._warned_sizes:
            return
        self._warned_sizes.add(size)
        print_log(f'{type(self).__name__} makes images of {size[0]} x {size[1]} pixels; it was '
                  f'trained on {trained[0]} x {trained[1]}, other sizes may look worse: set '
                  f'model.image_size', 'current', logging.WARNING)

    def _step(self, state: DenoiseState, x: Tensor, t: Tensor, following: Optional[Tensor],
              condition: Any, call_hook: Callable) -> Tensor:
        """Denoise from ``t`` to ``following`` as often as the hooks ask for."""
        state.recurrence = 1
        repeat = 0
        while True:
            state.repeat = repeat
            self._denoise(state, x, t, condition, call_hook)
            previous = self._scheduler_step(state, t, x)
            state.latents = previous
            call_hook('after_step', state=state)
            previous = state.latents
            repeat += 1
            if repeat >= state.recurrence:
                return previous
            x = self._renoise(previous, t, following, state.generators)

    def _denoise(self, state: DenoiseState, x: Tensor, t: Tensor, condition: Any,
                 call_hook: Callable) -> None:
        """Fill the state with the noise prediction and the clean estimate.

        ``state.latents`` is always in variance-preserving units, also for
        schedulers that count in sigmas (``scale_model_input`` maps them).
        """
        state.latents = self.scheduler.scale_model_input(x, t).detach()
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

    def _alpha_bar(self, t: Tensor) -> float:
        if float(self.scheduler.init_noise_sigma) != 1:
            sigma = float(self.scheduler.sigmas[self.scheduler.step_index])
            return 1 / (1 + sigma**2)
        return float(self.scheduler.alphas_cumprod[int(t)])

    def _alpha_sigma(self, t: Tensor) -> Tuple[float, float]:
        """Factors of z_t = alpha z_0 + sigma epsilon at the scheduler's timestep."""
        alpha_bar = self._alpha_bar(t)
        return alpha_bar**0.5, (1 - alpha_bar)**0.5

    def _scheduler_step(self, state: DenoiseState, t: Tensor, x: Tensor) -> Tensor:
        options = {}
        if 'generator' in inspect.signature(self.scheduler.step).parameters:
            options['generator'] = state.generators
        return self.scheduler.step(state.guided_noise, t, x, **options).prev_sample

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


def draw_latents(posterior: Any,
                 generators: Optional[Sequence[torch.Generator]] = None) -> Tensor:
    """Unscaled latents (B, C, h, w) fp32 of a posterior of diffusers: its mean, or draws.

    Args:
        posterior: ``DiagonalGaussianDistribution`` of B images.
        generators: One per image; None takes the mean.
    """
    latents = posterior.mean.float()
    if generators is None:
        return latents
    noise = torch.stack([torch.randn(latents.shape[1:], generator=g) for g in generators])
    return latents + posterior.std.float() * noise.to(latents)


def digest_weights(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of named weights, as hexadecimal digits."""
    digest = hashlib.sha256()
    for name, weight in weights.items():
        digest.update(f'{name} {weight.dtype} {tuple(weight.shape)}'.encode())
        digest.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
