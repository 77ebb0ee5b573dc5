"""Stable Diffusion 3 and 3.5 through diffusers."""
from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdd.registry import MODELS
from .flow_prior import FlowCondition, FlowPrior
from .loading import pick_dtypes
from .text_widths import Width
from .tokenizer import token_ids
from .weights import locate_weights

if TYPE_CHECKING:
    from transformers import T5EncoderModel


@MODELS.register_module()
class StableDiffusion3(FlowPrior):
    """`Scaling Rectified Flow Transformers for High-Resolution Image Synthesis
    <https://arxiv.org/abs/2403.03206>`_: Stable Diffusion 3 and 3.5, a transformer of flow
    matching on latents of 16 channels with three text encoders.

    The denoiser sees the last but one hidden states of two CLIP text encoders side by side,
    followed by those of T5, and the pooled projections of the former. Guidance is
    classifier-free, in two branches.

    Args:
        use_t5: Whether the T5 text encoder is loaded; without it the denoiser sees zeros in
            its place, as in the paper, which saves 9 GB.
        text_encoder_3: Settings of a small ``T5EncoderModel``.
        tokenizer_3: Folder of the tokenizer of T5, or the words of a small one.
        kwargs: See :class:`FlowPrior`.

    Raises:
        ValueError: See :class:`FlowPrior`.
    """

    TRANSFORMER = 'SD3Transformer2DModel'
    ENCODERS = dict(text_encoder='projection', text_encoder_2='projection', text_encoder_3='t5')
    text_encoder_3: Optional['T5EncoderModel']

    def __init__(self,
                 pretrained: Optional[str] = None,
                 steps: int = 28,
                 cfg_scale: float = 7.,
                 use_t5: bool = True,
                 dtype: str = 'auto',
                 variant: Optional[str] = None,
                 text_encoder_3: Optional[dict] = None,
                 tokenizer_3: Union[str, Sequence[str], None] = None,
                 seed: int = 0,
                 **kwargs) -> None:
        super().__init__(pretrained, steps, cfg_scale, dtype=dtype, variant=variant, seed=seed,
                         **kwargs)
        if use_t5:
            folder = None if pretrained is None else locate_weights(pretrained)
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed + 1)
                self._load_encoder('text_encoder_3', folder, text_encoder_3, tokenizer_3,
                                   pick_dtypes(dtype)[0], variant)
        else:
            self.text_encoder_3 = None
        self.check_loaded(pretrained, ('transformer', *self.ENCODERS))

    @classmethod
    def encoders(cls, cfg: Mapping) -> Tuple[str, ...]:
        """Names of the text encoders that a config of this adapter has."""
        return tuple(cls.ENCODERS)[:3 if cfg.get('use_t5', True) else 2]

    @classmethod
    def text_widths(cls, parts: Mapping[str, Any]) -> List[Width]:
        """See :class:`TextWidthsMixin`; CLIP may give less, it is filled up with zeros."""
        first, second = parts['text_encoder'], parts['text_encoder_2']
        joint = parts['transformer']['joint_attention_dim']
        widths = [('CLIP', max(joint, first.hidden_size + second.hidden_size), joint),
                  ('pooled', first.projection_dim + second.projection_dim,
                   parts['transformer']['pooled_projection_dim'])]
        if 'text_encoder_3' in parts:
            widths.append(('T5', parts['text_encoder_3'].d_model, joint))
        return widths

    @property
    def grain(self) -> int:
        """Pixels per token along a side."""
        return self.factor * self.transformer.config.patch_size

    @property
    def trained_size(self) -> Optional[Tuple[int, int]]:
        """(height, width) that the transformer names as its own."""
        return (self.transformer.config.sample_size * self.factor, ) * 2

    def latent_shape(self, size: Tuple[int, int]) -> Tuple[int, int, int]:
        """(C, h, w) of the latents of an image of ``size`` (height, width)."""
        most = self.transformer.config.pos_embed_max_size * self.grain
        if max(size) > most:
            raise ValueError(f'StableDiffusion3: image size {tuple(size)} is beyond the '
                             f'{most} pixels that this prior knows positions of; set '
                             f'model.image_size')
        return super().latent_shape(size)

    def encode_text(self, prompt: str) -> Tuple[Tensor, Tensor]:
        """Embeddings (1, L, D) and pooled embeddings (1, P) of a prompt."""
        hidden, pooled = [], []
        for tokenizer, encoder in ((self.tokenizer, self.text_encoder),
                                   (self.tokenizer_2, self.text_encoder_2)):
            out = encoder(token_ids(tokenizer, [prompt]).to(self.device),
                          output_hidden_states=True)
            hidden.append(out.hidden_states[-2])
            pooled.append(out.text_embeds)
        clip = torch.cat(hidden, -1)
        width = self.transformer.config.joint_attention_dim
        clip = F.pad(clip, (0, width - clip.shape[-1]))
        if self.text_encoder_3 is None:
            t5 = clip.new_zeros(1, self.max_sequence_length, width)
        else:
            tokens = token_ids(self.tokenizer_3, [prompt], self.max_sequence_length)
            t5 = self.text_encoder_3(tokens.to(self.device))[0].to(clip)
        return torch.cat([clip, t5], 1), torch.cat(pooled, -1)

    def run_denoiser(self, z: Tensor, timesteps: Tensor, condition: FlowCondition) -> Tensor:
        """Velocities (B or 2B, C, h, w) at timesteps of the same length."""
        return self.transformer(
            hidden_states=z, timestep=timesteps, encoder_hidden_states=condition.embeddings,
            pooled_projections=condition.pooled).sample
