"""v-prediction, and the noise levels that a denoiser is trained on."""
import torch
from diffusers import DDIMScheduler
from torch import Tensor


def make_scheduler(prediction_type: str = 'v_prediction') -> DDIMScheduler:
    """The noise schedule of the embedded priors: that of Stable Diffusion."""
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear', clip_sample=False,
        set_alpha_to_one=False, steps_offset=1, prediction_type=prediction_type)


class NoiseLevels:
    """Draws timesteps, most of them where the denoiser learns most.

    A Laplace distribution of the log signal-to-noise ratio, as in `Improved Noise
    Schedule for Diffusion Training <https://arxiv.org/abs/2407.03297>`_ (equation
    9), mixed with a share of uniform timesteps so that both ends are seen.

    Args:
        alpha_bars: Cumulative products of the schedule (T,).
        uniform: Share of the uniform ones, in [0, 1].
        scale: Scale b of the Laplace distribution.
    """

    def __init__(self, alpha_bars: Tensor, uniform: float = 0.25, scale: float = 1.) -> None:
        log_snr = (alpha_bars / (1 - alpha_bars)).double().log()
        self.ascending = log_snr.flip(0)
        self.uniform, self.scale = uniform, scale

    def draw(self, num: int, g: torch.Generator) -> Tensor:
        """``num`` timesteps, (num,) int64."""
        total = len(self.ascending)
        u = torch.rand(num, generator=g, dtype=torch.float64) - 0.5
        wanted = -self.scale * u.sign() * (1 - 2 * u.abs()).clamp_min(1e-12).log()
        right = torch.searchsorted(self.ascending, wanted).clamp(1, total - 1)
        nearer = (wanted - self.ascending[right - 1]) < (self.ascending[right] - wanted)
        laplace = total - 1 - (right - nearer.long())
        anywhere = torch.randint(0, total, (num, ), generator=g)
        return torch.where(torch.rand(num, generator=g) < self.uniform, anywhere, laplace)


def velocity_loss(predict, latents: Tensor, noise: Tensor, alpha_bars: Tensor) -> Tensor:
    """Mean squared error of v = alpha * noise - sigma * z_0, one number per sample (B,).

    Args:
        predict: Maps z_t (B, C, h, w) to predictions of v of that shape.
        latents: z_0 (B, C, h, w).
        noise: (B, C, h, w).
        alpha_bars: (B,) cumulative products at the timesteps of the samples.
    """
    alpha, sigma = (x.view(-1, 1, 1, 1) for x in (alpha_bars**0.5, (1 - alpha_bars)**0.5))
    v = predict(alpha * latents + sigma * noise).float()
    return (v - (alpha * noise - sigma * latents)).square().mean((1, 2, 3))
