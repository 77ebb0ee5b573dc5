"""FLUX.1 through diffusers."""
from typing import Any, List, Mapping, Optional, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmdd.registry import MODELS
from mmdd.utils.numbers import check_number
from .flow_prior import FlowCondition, FlowPrior
from .text_widths import Width
from .tokenizer import token_ids


@MODELS.register_module()
class Flux(FlowPrior):
    """`FLUX.1 <https://github.com/black-forest-labs/flux>`_: a transformer of flow matching on
    latents of 16 channels, of which it sees 2 x 2 cells as one token.

    The denoiser sees the hidden states of T5 and the pooled output of a CLIP text encoder.
    FLUX.1 [dev] is distilled from classifier-free guidance and takes its scale as an input;
    FLUX.1 [schnell] is distilled to four steps and has no such input. Either runs one branch.

    Args:
        embedded_guidance: Scale of guidance that the denoiser is told; not read by one without
            that input (schnell).
        cfg_scale: Scale of classifier-free guidance in two branches; 1 runs one.
        kwargs: See :class:`FlowPrior`.

    Raises:
        ValueError: See :class:`FlowPrior`.
    """

    TRANSFORMER = 'FluxTransformer2DModel'
    ENCODERS = dict(text_encoder='pooled', text_encoder_2='t5')
    limits = dict(embedded_guidance=dict(low=0))

    def __init__(self,
                 pretrained: Optional[str] = None,
                 steps: int = 28,
                 cfg_scale: float = 1.,
                 embedded_guidance: float = 3.5,
                 max_sequence_length: int = 512,
                 **kwargs) -> None:
        check_number('model.diffusion: embedded_guidance', embedded_guidance, low=0)
        super().__init__(pretrained, steps, cfg_scale, max_sequence_length=max_sequence_length,
                         **kwargs)
        self.embedded_guidance = embedded_guidance
        self.check_loaded(pretrained, ('transformer', *self.ENCODERS))

    @classmethod
    def text_widths(cls, parts: Mapping[str, Any]) -> List[Width]:
        """See :class:`TextWidthsMixin`."""
        denoiser = parts['transformer']
        return [('text', parts['text_encoder_2'].d_model, denoiser['joint_attention_dim']),
                ('pooled', parts['text_encoder'].hidden_size, denoiser['pooled_projection_dim'])]

    @property
    def grain(self) -> int:
        """Pixels per token along a side."""
        return self.factor * 2

    def step_sigmas(self, steps: int) -> List[float]:
        """Sigmas of the steps before they are shifted: evenly from 1 to 1 / steps."""
        return np.linspace(1., 1 / steps, steps).tolist()

    def encode_text(self, prompt: str) -> Tuple[Tensor, Tensor]:
        """Embeddings (1, L, D) and pooled embeddings (1, P) of a prompt."""
        pooled = self.text_encoder(
            token_ids(self.tokenizer, [prompt]).to(self.device)).pooler_output
        tokens = token_ids(self.tokenizer_2, [prompt], self.max_sequence_length)
        return self.text_encoder_2(tokens.to(self.device))[0].to(pooled), pooled

    def run_denoiser(self, z: Tensor, timesteps: Tensor, condition: FlowCondition) -> Tensor:
        """Velocities (B or 2B, C, h, w) at timesteps of the same length."""
        height, width = z.shape[2] // 2, z.shape[3] // 2
        tokens = F.pixel_unshuffle(z, 2).flatten(2).transpose(1, 2)
        guidance = None
        if self.transformer.config.guidance_embeds:
            guidance = torch.full((len(z), ), float(self.embedded_guidance), device=z.device)
        out = self.transformer(
            hidden_states=tokens, timestep=timesteps.to(z.dtype) / self.num_timesteps,
            guidance=guidance, pooled_projections=condition.pooled,
            encoder_hidden_states=condition.embeddings,
            txt_ids=z.new_zeros(condition.embeddings.shape[1], 3),
            img_ids=token_positions(height, width).to(z)).sample
        return F.pixel_shuffle(out.transpose(1, 2).unflatten(2, (height, width)), 2)


def token_positions(height: int, width: int) -> Tensor:
    """Position ids (height * width, 3) of the tokens of an image: 0, row and column."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    return torch.stack([torch.zeros_like(rows), rows, columns], -1).flatten(0, 1)
