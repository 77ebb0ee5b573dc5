"""Images to latents, by whichever autoencoder of diffusers a prior has."""
from typing import Any, Optional, Sequence

import torch
from torch import Tensor


def encode_latents(vae: Any, images: Tensor,
                   generators: Optional[Sequence[torch.Generator]] = None) -> Tensor:
    """Unscaled latents (B, C, h, w) in fp32 of images (B, 3, H, W) in [-1, 1].

    Args:
        vae: An ``AutoencoderKL``, or an ``AutoencoderTiny``, which has no posterior to draw
            from.
        images: RGB images.
        generators: One per image, to draw from the posterior; None takes its mean.
    """
    encoded = vae.encode(images.to(vae.dtype))
    if 'latents' in encoded:
        return encoded.latents.float()
    posterior = encoded.latent_dist
    latents = posterior.mean.float()
    if generators is None:
        return latents
    noise = torch.stack([torch.randn(latents.shape[1:], generator=g) for g in generators])
    return latents + posterior.std.float() * noise.to(latents)
