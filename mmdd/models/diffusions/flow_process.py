"""The forward process of flow matching, and what its denoiser predicts of it."""
from typing import Any, Dict, List, Mapping, Optional, Tuple

import torch
from torch import Tensor

from mmdd.structures import DenoiseState

# Noise predictions stand for velocities up to this sigma, see :class:`FlowProcess`.
MAX_SIGMA = 0.99
NO_RECURRENCE = 'recurrence is not supported with priors of flow matching; set recurrence=1'


class FlowProcess:
    r"""z_t = (1 - sigma) z_0 + sigma epsilon, for a denoiser that predicts a velocity.

    Takes the place of :class:`ForwardProcess` in adapters of flow matching; timesteps are
    those of ``FlowMatchEulerDiscreteScheduler``, 1000 sigma with 1000 training steps.

    The velocity is v = epsilon - z_0, so epsilon = z_t + (1 - sigma) v and z_0 = z_t - sigma v.
    At sigma = 1, where sampling starts, z_t is the noise whatever the denoiser says. Between
    noise and velocity sigma is therefore at most 0.99, in both directions: what is not guided
    comes back as it was, and the clean estimate of that step is z_t - 0.99 v.

    Guidance changes the noise prediction, which is a change of the velocity by
    :math:`\Delta v = \Delta\epsilon / (1 - \sigma)`. A step to :math:`\sigma'` divides by no less
    than :math:`\sigma - \sigma'`, so that it moves z by :math:`\Delta\epsilon` at most: from pure
    noise by just that.
    """

    # What :class:`BaseDiffusion` has.
    scheduler: Any
    num_timesteps: int

    def sigmas_at(self, timesteps: Tensor) -> Tensor:
        """Shares of noise at timesteps, fp32, of the same shape."""
        return timesteps.float() / self.num_timesteps

    def alphas_sigmas(self, timesteps: Tensor) -> Tuple[Tensor, Tensor]:
        """Factors between noise and velocity for timesteps (B,), fp32 (B, 1, 1, 1)."""
        sigmas = self.sigmas_at(timesteps).clamp_max(MAX_SIGMA).view(-1, 1, 1, 1)
        return 1 - sigmas, sigmas

    def alpha_bars(self, timesteps: Tensor) -> Tensor:
        """Those of betas with the same signal-to-noise ratio, fp32 (B, 1, 1, 1)."""
        alphas, sigmas = self.alphas_sigmas(timesteps)
        return alphas**2 / (alphas**2 + sigmas**2)

    def as_noise(self, output: Tensor, latents: Tensor, timestep: Tensor) -> Tensor:
        """The noise (B, C, h, w) that a velocity stands for, see :class:`ForwardProcess`."""
        return latents.float() + self.alphas_sigmas(timestep)[0] * output

    def as_velocity(self, noise: Tensor, latents: Tensor, timestep: Tensor) -> Tensor:
        """The velocity (B, C, h, w) that a noise prediction stands for: undoes as_noise."""
        return (noise - latents) / self.alphas_sigmas(timestep)[0]

    def scheduler_input(self, state: DenoiseState, latents: Tensor, t: Tensor) -> Tensor:
        """The guided velocity (B, C, h, w), see above."""
        assert state.guided_noise is not None and state.noise_pred is not None
        sigmas, step = self.scheduler.sigmas, self.scheduler.index_for_timestep(t)
        least = max(state.alpha, float(sigmas[step] - sigmas[step + 1]))
        change = state.guided_noise - state.noise_pred
        return self.as_velocity(state.noise_pred, latents, t) + change / least

    def training_timesteps(self, number: int, draws: torch.Generator) -> Tensor:
        """Random timesteps (B,) to train at: each sigma of the scheduler's own schedule, shifted
        as its settings say, as often."""
        schedule = type(self.scheduler).from_config(self.scheduler.config).timesteps
        return schedule[torch.randint(len(schedule), (number, ), generator=draws)]

    def training_target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The velocity (B, C, h, w) from clean latents to noise."""
        return noise - latents

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """z_t (B, C, h, w) for timesteps (B,); noise alone at the last one."""
        sigmas = self.sigmas_at(timesteps).view(-1, 1, 1, 1)
        return (1 - sigmas) * latents + sigmas * noise

    def timestep_settings(self, steps: int, size: Tuple[int, int]) -> Dict[str, Any]:
        """Sigmas of the steps, and the shift mu by the size where the scheduler has one."""
        from diffusers.pipelines.flux.pipeline_flux import calculate_shift
        settings: Dict[str, Any] = {}
        if self.step_sigmas(steps) is not None:
            settings['sigmas'] = self.step_sigmas(steps)
        config = self.scheduler.config
        if config.use_dynamic_shifting:
            settings['mu'] = calculate_shift(
                self.image_tokens(size), config.base_image_seq_len, config.max_image_seq_len,
                config.base_shift, config.max_shift)
        return settings

    def step_sigmas(self, steps: int) -> Optional[List[float]]:
        """Sigmas of the steps before they are shifted; None for those of the scheduler."""
        return None

    def image_tokens(self, size: Tuple[int, int]) -> int:
        """Tokens that the denoiser makes of an image of ``size`` (height, width)."""
        raise NotImplementedError

    def first_latents(self, noise: Tensor) -> Tensor:
        """Sampling starts from noise as it is."""
        return noise

    def noised_start(self, init: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """z_t (B, C, h, w) of SDEdit, by the scheduler's own rule."""
        return self.scheduler.scale_noise(init, timesteps, noise)

    def model_input(self, latents: Tensor, t: Tensor) -> Tensor:
        """The denoiser sees latents as the scheduler counts them."""
        return latents

    def _alpha_bar(self, t: Tensor) -> float:
        return float(self.alpha_bars(t))

    def _alpha_sigma(self, t: Tensor) -> Tuple[float, float]:
        sigma = min(float(t) / self.num_timesteps, MAX_SIGMA)
        return 1 - sigma, sigma

    def _skipped_timesteps(self, steps: int, strength: float) -> int:
        """How many timesteps SDEdit leaves out: the rule of the pipelines of flow matching.

        They round steps * strength up, unlike those of Stable Diffusion.
        """
        return min(int(max(steps - steps * strength, 0)), steps - 1)

    @classmethod
    def check_recurrence(cls, cfg: Mapping) -> None:
        """Refuse it: nothing says how a step of flow matching is undone."""
        raise ValueError(NO_RECURRENCE)

    def _renoise(self, previous: Tensor, t: Tensor, following: Optional[Tensor],
                 generators: List[torch.Generator]) -> Tensor:
        raise ValueError(NO_RECURRENCE)
