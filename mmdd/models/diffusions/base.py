"""One interface over diffusers' latent diffusion models."""
import warnings
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmdd.structures import DistillSlot
from mmdd.utils.digest import digest_weights
from .execution import EXECUTION
from .forward_process import ForwardProcess
from .sampling import SamplingLoop
from .scheduling import check_renoise, check_scheduler
from .weights import locate_weights


class BaseDiffusion(SamplingLoop, ForwardProcess, BaseModule):
    """A frozen generative prior.

    A subclass provides ``encode_images``, ``decode_latents``,
    ``encode_conditions``, ``predict_branches`` and ``latent_shape``. The forward process
    (:class:`ForwardProcess`) and the denoising loop (:class:`SamplingLoop`) are the same for
    all; steps are those of a diffusers scheduler.

    Args:
        scheduler: A diffusers scheduler that takes noise predictions ('epsilon'), or
            velocities with priors of flow matching.
        steps: Number of denoising steps.
        prediction_type: What the denoiser predicts: 'epsilon', the noise, or
            'v_prediction', alpha epsilon - sigma z_0; 'flow', epsilon - z_0.

    Attributes:
        cfg_scale: Scale of classifier-free guidance; above 1 the denoiser runs
            for two branches.
        reads_prompts: Whether images depend on the prompts of their slots.
        passes: Denoiser evaluations outside of :meth:`sample`, one per image
            and branch, see :meth:`count_passes`.
    """

    cfg_scale: float = 1.
    reads_prompts: bool = False
    runtime_settings: Tuple[str, ...] = EXECUTION
    limits: Dict[str, Any] = dict(
        steps=dict(low=1), cfg_scale=dict(low=0), seed=dict(low=0),
        dtype=('auto', 'fp32', 'fp16', 'bf16'))

    def __init__(self, scheduler, steps: int, prediction_type: str = 'epsilon') -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f'{type(self).__name__}: steps must be at least 1, got {steps}')
        self.scheduler = scheduler
        self.steps = steps
        self.prediction_type = prediction_type
        self.passes = 0

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

    def decode_latents(self, latents: Tensor, fast: bool = False) -> Tensor:
        """Scaled latents (B, C, h, w) to images (B, 3, H, W), differentiable.

        Args:
            latents: fp32 latents.
            fast: Use the small decoder, where there is one.
        """
        raise NotImplementedError

    def decode_final(self, latents: Tensor) -> Tensor:
        """Scaled latents (B, C, h, w) to the images that are kept (B, 3, H, W)."""
        return self.decode_latents(latents)

    def autoencoder_digest(self) -> str:
        """SHA-256 of the weights that make latents of images, as hexadecimal digits."""
        return digest_weights(self.vae.state_dict())

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

    def run_denoiser(self, z: Tensor, timesteps: Tensor, condition: Any) -> Tensor:
        """What the denoiser itself predicts, (B, C, h, w): noise, v or velocity.

        Args:
            z: z_t (B, C, h, w) in the dtype of the denoiser.
            timesteps: The scheduler's timesteps, (B,).
            condition: What it is told of each of them.
        """
        raise NotImplementedError(f'{type(self).__name__} has no run_denoiser, which the training '
                                  f'of LoRA weights needs')

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
    def check_recurrence(cls, cfg: Mapping) -> None:
        """Check that denoising steps can be done again, see :class:`GuidanceHook`.

        Args:
            cfg: Config of this adapter.

        Raises:
            ValueError: If its scheduler does not allow it.
        """
        folder = cfg.get('pretrained')
        check_renoise(check_scheduler(None if folder is None else locate_weights(folder),
                                      cfg.get('scheduler')))

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


def warn_of_negative_prompt(negative_prompt: str, cfg_scale: float) -> None:
    """Say that a negative prompt has no branch to go into, where that is so."""
    if negative_prompt and cfg_scale <= 1:
        warnings.warn(f'negative_prompt is ignored at cfg_scale {cfg_scale}; raise it above 1',
                      stacklevel=3)
