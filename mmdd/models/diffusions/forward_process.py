"""The forward process of a prior, and what its denoiser predicts of it."""
from typing import Any, Dict, Tuple

import torch
from torch import Tensor

from mmdd.structures import DenoiseState


class ForwardProcess:
    """z_t = alpha_t z_0 + sigma_t epsilon by the betas of a diffusers scheduler.

    A part of :class:`BaseDiffusion`, which sets both attributes.

    Attributes:
        scheduler: A diffusers scheduler over betas.
        prediction_type: 'epsilon' or 'v_prediction', alpha epsilon - sigma z_0.
    """
    scheduler: Any
    prediction_type: str

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

    def training_timesteps(self, number: int, draws: torch.Generator) -> Tensor:
        """Random timesteps (B,) to train at, each one as often; int64.

        Args:
            number: B.
            draws: Source of randomness, on the CPU.
        """
        return torch.randint(self.num_timesteps, (number, ), generator=draws)

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

    def timestep_settings(self, steps: int, size: Tuple[int, int]) -> Dict[str, Any]:
        """What the scheduler's ``set_timesteps`` is told beside the number of steps.

        Args:
            steps: Number of denoising steps.
            size: (height, width) of the images.
        """
        return {}

    def first_latents(self, noise: Tensor) -> Tensor:
        """z_T (B, C, h, w) in the scheduler's units."""
        return noise * self.scheduler.init_noise_sigma

    def noised_start(self, init: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """z_t (B, C, h, w) of SDEdit, in the scheduler's units.

        Args:
            init: Clean latents (B, C, h, w).
            noise: (B, C, h, w).
            timesteps: The scheduler's timestep of the first step that is done, (B,).
        """
        return self.scheduler.add_noise(init, noise, timesteps)

    def model_input(self, latents: Tensor, t: Tensor) -> Tensor:
        """What the denoiser sees of latents in the scheduler's units, (B, C, h, w)."""
        return self.scheduler.scale_model_input(latents, t)

    def scheduler_input(self, state: DenoiseState, latents: Tensor, t: Tensor) -> Tensor:
        """What the scheduler takes for the guided noise prediction at z_t, (B, C, h, w)."""
        assert state.guided_noise is not None
        return state.guided_noise

    def _alpha_bar(self, t: Tensor) -> float:
        if float(self.scheduler.init_noise_sigma) != 1:
            sigma = float(self.scheduler.sigmas[self.scheduler.step_index])
            return 1 / (1 + sigma**2)
        return float(self.scheduler.alphas_cumprod[int(t)])

    def _alpha_sigma(self, t: Tensor) -> Tuple[float, float]:
        """Factors of z_t = alpha z_0 + sigma epsilon at the scheduler's timestep."""
        alpha_bar = self._alpha_bar(t)
        return alpha_bar**0.5, (1 - alpha_bar)**0.5
