"""Images to latents and back, the same for all adapters on an autoencoder of diffusers."""
from typing import Any, Dict, Optional, Sequence

import torch
from torch import Tensor

from .latents import encode_latents


class AutoencoderMixin:
    """Encoding and decoding by ``vae``, and by a ``small_decoder`` where there is one.

    Scaled latents are (z - shift) * scale with the ``shift_factor`` and ``scaling_factor``
    of the autoencoder's config.

    Attributes:
        vae: ``AutoencoderKL``, or an ``AutoencoderTiny``.
        small_decoder: ``AutoencoderTiny`` that decodes clean estimates for the energy, or None.
        final_dtype: 'fp32' decodes final images in fp32, one at a time, also where the weights
            of the decoder are in half precision, whose eight bits of mantissa show as bands in
            smooth areas; 'auto' decodes them in the dtype of the weights.
    """

    vae: Any
    small_decoder: Any
    final_dtype: str
    limits: Dict[str, Any] = dict(final_dtype=('fp32', 'auto'))

    @property
    def factor(self) -> int:
        """Pixels per latent cell."""
        return 2**(len(self.vae.config.block_out_channels) - 1)

    def encode_images(self, images: Tensor,
                      generators: Optional[Sequence[torch.Generator]] = None) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] to scaled latents, see :class:`BaseDiffusion`."""
        latents = encode_latents(self.vae, images * 2 - 1, generators)
        return (latents - self._shift) * self.vae.config.scaling_factor

    def decode_latents(self, latents: Tensor, fast: bool = False) -> Tensor:
        """Scaled latents (B, C, h, w) to images (B, 3, H, W), differentiable."""
        if fast and self.small_decoder is not None:
            # AutoencoderTiny takes scaled latents.
            image = self.small_decoder.decode(latents.to(self.small_decoder.dtype)).sample
        else:
            latents = latents / self.vae.config.scaling_factor + self._shift
            image = self.vae.decode(latents.to(self.vae.dtype)).sample
        return image.float() / 2 + 0.5

    @torch.no_grad()
    def decode_final(self, latents: Tensor) -> Tensor:
        """Scaled latents (B, C, h, w) to the images that are kept, see ``final_dtype``."""
        dtype = self.vae.dtype
        if self.final_dtype == 'auto' or dtype == torch.float32:
            return self.decode_latents(latents)
        # Module's own, as that of diffusers warns of every change of the dtype.
        torch.nn.Module.to(self.vae, torch.float32)
        try:
            return torch.cat([self.decode_latents(z[None]) for z in latents])
        finally:
            torch.nn.Module.to(self.vae, dtype)

    @property
    def _shift(self) -> float:
        return self.vae.config.shift_factor or 0.
