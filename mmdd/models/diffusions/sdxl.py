"""Stable Diffusion XL and SDXL-Turbo through diffusers."""
from dataclasses import dataclass
from typing import Any, List, Mapping, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmdd.registry import MODELS
from mmdd.structures import DistillSlot
from .loading import load_text_encoder, load_tokenizer, pick_dtypes
from .stable_diffusion import StableDiffusion
from .text_widths import Width, unet_text_width
from .tokenizer import token_ids
from .weights import locate_weights


@dataclass
class SDXLCondition:
    """What the denoiser of SDXL is told; with guidance the negative branch comes first.

    Attributes:
        embeddings: Hidden states of both text encoders, (B or 2B, L, D1 + D2).
        pooled: Pooled projection of the second text encoder, (B or 2B, P).
        time_ids: Original height and width, top and left of the crop, target height
            and width, (B or 2B, 6).
    """
    embeddings: Tensor
    pooled: Tensor
    time_ids: Tensor

    def __len__(self) -> int:
        return len(self.embeddings)


@MODELS.register_module()
class StableDiffusionXL(StableDiffusion):
    """`SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis
    <https://arxiv.org/abs/2307.01952>`_: two text encoders, and sizes as a condition.

    The denoiser sees the last but one hidden states of both text encoders side by
    side, the pooled projection of the second one, and the micro-conditions: the
    size of the original image, where it was cropped, and the size asked for.
    SDXL-Turbo is the same network, distilled to one step without guidance:
    ``steps=1, cfg_scale=0, scheduler=dict(type='EulerAncestralDiscreteScheduler',
    timestep_spacing='trailing')``.

    Args:
        original_size: (height, width) that training images are said to have had
            before they were scaled; None is the size of the image that is made.
        crop_top_left: (top, left) of the crop that the image is said to be.
        zero_empty_prompt: Whether an empty ``negative_prompt`` is a condition of
            zeros, as SDXL was trained (``force_zeros_for_empty_prompt``), and not
            the encoded empty text.
        text_encoder_2: Settings of a small ``CLIPTextModelWithProjection``.
        tokenizer_2: Folder of the second tokenizer, or the words of a small one.
        kwargs: See :class:`StableDiffusion`.

    Raises:
        ValueError: If weights of either text encoder are missing, or the parts do
            not fit each other.
    """

    # A text alone is no condition here: it takes sizes too.
    encode_prompts = None  # type: ignore[assignment]
    NETWORKS = ('unet', 'vae', 'text_encoder', 'text_encoder_2')
    OTHERS = ('tokenizer', 'tokenizer_2')
    limits = dict(original_size=dict(low=1), crop_top_left=dict(low=0))

    def __init__(self,
                 pretrained: Optional[str] = None,
                 original_size: Optional[Tuple[int, int]] = None,
                 crop_top_left: Tuple[int, int] = (0, 0),
                 zero_empty_prompt: bool = True,
                 dtype: str = 'auto',
                 variant: Optional[str] = None,
                 text_encoder_2: Optional[dict] = None,
                 tokenizer_2: Union[str, Sequence[str], None] = None,
                 seed: int = 0,
                 **kwargs) -> None:
        super().__init__(pretrained, dtype=dtype, variant=variant, seed=seed, **kwargs)
        self.original_size = original_size
        self.crop_top_left = crop_top_left
        self.zero_empty_prompt = zero_empty_prompt
        folder = None if pretrained is None else locate_weights(pretrained)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed + 1)
            self.tokenizer_2 = load_tokenizer(folder, tokenizer_2, 'tokenizer_2')
            self.text_encoder_2 = load_text_encoder(
                folder, text_encoder_2, self.tokenizer_2, variant, 'text_encoder_2',
                projection=True).to(pick_dtypes(dtype)[0])
        self.text_encoder_2.requires_grad_(False).eval()
        self.check_loaded(pretrained, self.NETWORKS)

    @classmethod
    def text_widths(cls, parts: Mapping[str, Any]) -> List[Width]:
        """See :class:`TextWidthsMixin`."""
        first, second, unet = (
            parts[role] for role in ('text_encoder', 'text_encoder_2', 'unet'))
        if unet['addition_embed_type'] != 'text_time':
            raise ValueError(
                f'{cls.__name__}: the denoiser has no pooled text and sizes as a condition '
                f'(addition_embed_type {unet["addition_embed_type"]!r}); use StableDiffusion for '
                f'it')
        return [('text', first.hidden_size + second.hidden_size, unet_text_width(unet)),
                ('added', second.projection_dim + 6 * unet['addition_time_embed_dim'],
                 unet['projection_class_embeddings_input_dim'])]

    def encode_conditions(self, slots: Sequence[DistillSlot]) -> SDXLCondition:
        """The condition of B slots, with guidance for both branches."""
        condition = self._encode_branch([slot.prompt for slot in slots],
                                        [slot.size for slot in slots])
        embeddings, pooled, time_ids = (
            condition.embeddings, condition.pooled, condition.time_ids)
        if self.cfg_scale > 1:
            if self.zero_empty_prompt and not self.negative_prompt:
                negative = torch.zeros_like(embeddings), torch.zeros_like(pooled)
            else:
                negative = self._encode_text([self.negative_prompt] * len(slots))
            embeddings = torch.cat([negative[0], embeddings])
            pooled = torch.cat([negative[1], pooled])
            time_ids = torch.cat([time_ids, time_ids])
        return SDXLCondition(embeddings, pooled, time_ids)

    def _encode_branch(self, prompts: Sequence[str],
                       sizes: Sequence[Tuple[int, int]]) -> SDXLCondition:
        """The condition of prompts for images of these sizes, one branch."""
        embeddings, pooled = self._encode_text(prompts)
        time_ids = torch.tensor([self._time_ids(size) for size in sizes]).to(pooled)
        return SDXLCondition(embeddings, pooled, time_ids)

    def _encode_text(self, prompts: Sequence[str]) -> Tuple[Tensor, Tensor]:
        """Hidden states (B, L, D1 + D2) and pooled projection (B, P) of prompts."""
        hidden = []
        with self.encoders_at_work('text_encoder', 'text_encoder_2'):
            for tokenizer, encoder in ((self.tokenizer, self.text_encoder),
                                       (self.tokenizer_2, self.text_encoder_2)):
                out = encoder(token_ids(tokenizer, prompts).to(self.device),
                              output_hidden_states=True)
                hidden.append(out.hidden_states[-2])
        return torch.cat(hidden, -1), out.text_embeds

    def _time_ids(self, size: Tuple[int, int]) -> List[int]:
        return [*(self.original_size or size), *self.crop_top_left, *size]

    def run_denoiser(self, z: Tensor, timesteps: Tensor, condition: SDXLCondition) -> Tensor:
        """What the U-Net predicts, (B, C, h, w), see :class:`BaseDiffusion`."""
        added = dict(text_embeds=condition.pooled, time_ids=condition.time_ids)
        return self.unet(z, timesteps, condition.embeddings, added_cond_kwargs=added).sample
