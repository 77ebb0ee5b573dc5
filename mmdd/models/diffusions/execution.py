"""Settings of how networks are run: they change speed and memory, images by round-off alone."""
from typing import Any, Optional, Sequence

import torch

from .loading import first_line

# Denoisers whose attention asks diffusers which backend to take.
READ_BACKEND = ('FluxTransformer2DModel', )
# Settings of every adapter that its `run_as` takes.
EXECUTION = ('compile', 'gradient_checkpointing', 'channels_last', 'attention_backend')


def run_as(denoiser: Any,
           decoders: Sequence[Any],
           compile: bool = False,
           gradient_checkpointing: bool = False,
           channels_last: bool = False,
           attention_backend: Optional[str] = None) -> None:
    """Set how the networks of a prior are run.

    Args:
        denoiser: Model of diffusers.
        decoders: The autoencoder and the small decoder, None where there is none.
        compile: Whether to ``torch.compile`` the denoiser.
        gradient_checkpointing: Compute activations of guided steps again for the gradient.
        channels_last: Lay the weights of U-Net and autoencoder out by pixel.
        attention_backend: One of diffusers' attention backends for the denoiser; None leaves
            torch's choice.

    Raises:
        ValueError: If the backend is unknown, misses a package, or the denoiser has no choice.
    """
    from diffusers import AutoencoderKL, UNet2DConditionModel
    if gradient_checkpointing:
        for part in (denoiser, *decoders):
            if part is not None:
                part.enable_gradient_checkpointing()
    if channels_last:
        for part in (denoiser, decoders[0]):
            if type(part) in (UNet2DConditionModel, AutoencoderKL):
                part.to(memory_format=torch.channels_last)
    if attention_backend is not None:
        set_attention_backend(denoiser, attention_backend)
    if compile:
        denoiser.compile()


def check_attention_backend(name: Optional[str], denoiser: str) -> None:
    """Check a choice of attention backend by the name of the denoiser's class, without loading it.

    Raises:
        ValueError: If the denoiser does not read it: the attention of U-Nets, DiT and SD3 calls
            torch's kernels directly.
    """
    if name is not None and denoiser not in READ_BACKEND:
        raise ValueError(f'model.diffusion.attention_backend: {denoiser} calls '
                         f"torch's attention itself and has no choice; leave it out")


def set_attention_backend(denoiser: Any, name: str) -> None:
    """Set the attention backend of a denoiser by diffusers' own switch.

    Raises:
        ValueError: If it is unknown, misses a package, or the denoiser does not read it.
    """
    check_attention_backend(name, type(denoiser).__name__)
    try:
        denoiser.set_attention_backend(name)
    except (ValueError, RuntimeError, ImportError) as e:
        raise ValueError(f'model.diffusion.attention_backend {name!r} cannot be used '
                         f'({first_line(e)})') from None
