"""Stable Diffusion 1.x / 2.x through diffusers."""
from typing import Any, List, Mapping, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmdd.registry import MODELS
from mmdd.structures import DistillSlot
from mmdd.utils.numbers import check_number
from .autoencoder import AutoencoderMixin
from .base import BaseDiffusion, warn_of_negative_prompt
from .execution import check_attention_backend, run_as
from .loading import (
    check_small_decoder,
    load_autoencoder,
    load_module,
    load_small_decoder,
    load_text_encoder,
    load_tokenizer,
    pick_dtypes,
)
from .lora import add_lora, check_lora
from .offload import OffloadMixin
from .scheduling import build_scheduler, check_scheduler
from .text_widths import TextWidthsMixin, Width, unet_text_width
from .tokenizer import token_ids
from .weights import check_folder, check_separate, locate_weights


@MODELS.register_module()
class StableDiffusion(AutoencoderMixin, OffloadMixin, TextWidthsMixin, BaseDiffusion):
    """Text-to-image latent diffusion (UNet, KL autoencoder, CLIP text encoder).

    Three ways to build: ``pretrained`` names a local folder in diffusers'
    layout or a hub id (safetensors only); ``mmdd::priors/digits-sd`` is the
    prior that ships with mmdd; or explicit small networks through ``unet``,
    ``vae``, ``text_encoder`` and ``tokenizer``, with random weights.

    Args:
        pretrained: Folder, hub id or ``mmdd::`` path.
        steps: Number of denoising steps.
        cfg_scale: Classifier-free guidance scale; 1 runs the text branch alone.
        negative_prompt: Text of the other branch.
        scheduler: ``dict(type=<a diffusers scheduler>, ...)``; the remaining
            settings come from the pretrained folder.
        dtype: Weights of denoiser and text encoder: 'fp32', 'bf16', 'fp16' or
            'auto' (bf16 on a GPU that has it, else fp16 there, fp32 on CPU).
            Latents, clean estimate and energy stay in fp32 throughout; the
            decoder runs in fp32 where the others are fp16, unless its config
            says that it does not overflow then (``force_upcast=False``).
        final_dtype: 'fp32' decodes the images that are kept in fp32 whatever ``dtype`` is, one
            at a time; 'auto' as the clean estimates are, which is faster and shows bands in
            smooth areas where that is in half precision.
        variant: Which files of the pretrained folder are loaded, such as 'fp16';
            a local folder that has only one kind needs no such hint.
        energy_decoder: Folder or hub id of an ``AutoencoderTiny`` that decodes
            the clean estimates for the energy, or settings of a random one;
            None uses the full decoder.
        compile: Whether to ``torch.compile`` the denoiser.
        gradient_checkpointing: Trade time for memory in guided steps: the activations
            of denoiser and decoders are computed again for the gradient.
        channels_last: Whether the weights of U-Net and autoencoder lie in memory by pixel, which
            convolutions of GPUs in half precision may be faster with; values change by round-off.
        attention_backend: One of diffusers' attention backends, such as 'flash', for a denoiser
            that has the choice (FLUX); None leaves it to torch.
        offload_text_encoders: Keep the text encoders on the CPU but for the moment in which
            they encode prompts.
        unet, vae, text_encoder: Settings of diffusers' classes of that role. ``vae``
            may also be the folder or hub id of another autoencoder.
        tokenizer: Tokenizer folder, or the words of a small tokenizer.
        lora: ``dict(path=<a safetensors file>, scale=1.)`` is added to the denoiser, see
            :func:`add_lora`.
        seed: Seed of the random weights of explicit networks.

    Raises:
        ValueError: If weights are missing or corrupt, the parts do not fit each other, or a
            setting is unknown.
    """

    reads_prompts = True
    # Subfolders of `pretrained` that hold weights, and those that a setting replaces.
    NETWORKS: Tuple[str, ...] = ('unet', 'vae', 'text_encoder')
    OTHERS: Tuple[str, ...] = ('tokenizer', )

    def __init__(self,
                 pretrained: Optional[str] = None,
                 steps: int = 50,
                 cfg_scale: float = 7.5,
                 negative_prompt: str = '',
                 scheduler: Optional[dict] = None,
                 dtype: str = 'auto',
                 final_dtype: str = 'fp32',
                 variant: Optional[str] = None,
                 energy_decoder: Union[str, dict, None] = None,
                 compile: bool = False,
                 gradient_checkpointing: bool = False,
                 channels_last: bool = False,
                 attention_backend: Optional[str] = None,
                 offload_text_encoders: bool = True,
                 unet: Optional[dict] = None,
                 vae: Union[str, dict, None] = None,
                 text_encoder: Optional[dict] = None,
                 tokenizer: Union[str, Sequence[str], None] = None,
                 lora: Optional[dict] = None,
                 seed: int = 0) -> None:
        check_number('model.diffusion: cfg_scale', cfg_scale)
        denoiser_dtype, decoder_dtype = pick_dtypes(dtype)
        folder = None if pretrained is None else locate_weights(pretrained)
        scheduler, prediction_type = build_scheduler(folder, scheduler)
        super().__init__(scheduler, steps, prediction_type)
        self.cfg_scale = cfg_scale
        self.negative_prompt = negative_prompt
        self.final_dtype = final_dtype
        self.offload_text_encoders = offload_text_encoders
        warn_of_negative_prompt(negative_prompt, cfg_scale)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.unet = load_module(
                'UNet2DConditionModel', folder, 'unet', unet, denoiser_dtype, variant)
            add_lora(self.unet, lora, 'unet')
            self.vae = load_autoencoder(folder, vae, denoiser_dtype, decoder_dtype, variant)
            self.tokenizer = load_tokenizer(folder, tokenizer)
            self.text_encoder = load_text_encoder(
                folder, text_encoder, self.tokenizer, variant).to(denoiser_dtype)
            if self.NETWORKS == StableDiffusion.NETWORKS:  # else another text encoder follows
                self.check_loaded(pretrained, self.NETWORKS)
            self.small_decoder = None
            if energy_decoder is not None:
                self.small_decoder = load_small_decoder(energy_decoder, decoder_dtype)
                check_small_decoder(self.small_decoder, self.vae)
        self.requires_grad_(False).eval()
        run_as(self.unet, [self.vae, self.small_decoder], compile,
               gradient_checkpointing, channels_last, attention_backend)

    @classmethod
    def check_config(cls, cfg: Mapping) -> None:
        """Check settings, and that the weights of a config are there and whole."""
        pick_dtypes(cfg.get('dtype', 'auto'))
        check_scheduler(None, cfg.get('scheduler'))
        check_lora(cfg.get('lora'))
        check_attention_backend(cfg.get('attention_backend'), 'UNet2DConditionModel')
        if cfg.get('pretrained') is not None:
            networks = [name for name in cls.NETWORKS if not isinstance(cfg.get(name), str)]
            others = [name for name in cls.OTHERS if not cfg.get(name)]
            folder = locate_weights(cfg['pretrained'])
            check_folder(folder, networks, ['scheduler'] + others)
            check_scheduler(folder, cfg.get('scheduler'))
            cls.check_parts_of(folder, 'unet', {
                name: 'clip' for name in cls.NETWORKS if name.startswith('text_encoder')})
        check_separate(cfg, 'vae', 'energy_decoder')

    @classmethod
    def text_widths(cls, parts: Mapping[str, Any]) -> List[Width]:
        """See :class:`TextWidthsMixin`."""
        return [('text', parts['text_encoder'].hidden_size, unet_text_width(parts['unet']))]

    @property
    def denoiser(self) -> torch.nn.Module:
        """The U-Net."""
        return self.unet

    def latent_shape(self, size: Tuple[int, int]) -> Tuple[int, int, int]:
        """(C, h, w) of the latents of an image of ``size`` (height, width)."""
        grain = self.factor * 2**(len(self.unet.config.block_out_channels) - 1)
        if size[0] % grain or size[1] % grain:
            raise ValueError(
                f'{type(self).__name__}: image size {tuple(size)} must be a multiple of {grain}; '
                f'set model.image_size')
        return self.vae.config.latent_channels, size[0] // self.factor, size[1] // self.factor

    def encode_conditions(self, slots: Sequence[DistillSlot]) -> Any:
        """Text embeddings (2B, L, D) with the negative branch first, or (B, L, D)."""
        prompts = [slot.prompt for slot in slots]
        if self.cfg_scale > 1:
            prompts = [self.negative_prompt] * len(slots) + prompts
        return self.encode_prompts(prompts)

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Text embeddings (B, L, D) of prompts, one branch without guidance."""
        tokens = token_ids(self.tokenizer, prompts).to(self.device)
        with self.encoders_at_work('text_encoder'):
            return self.text_encoder(tokens).last_hidden_state

    @property
    def trained_size(self) -> Optional[Tuple[int, int]]:
        """(height, width) that the U-Net names as its own."""
        side = self.unet.config.sample_size
        if side is None:
            return None
        height, width = (side, side) if isinstance(side, int) else side
        return height * self.factor, width * self.factor

    def predict_branches(self, latents: Tensor, timestep: Tensor,
                         condition: Any) -> Tuple[Tensor, Optional[Tensor]]:
        """Noise predictions with and without the text, see :class:`BaseDiffusion`."""
        num = len(latents)
        z = torch.cat([latents] * (len(condition) // num))
        out = self.as_noise(
            self.run_denoiser(z.to(self.unet.dtype), timestep, condition).float(), z, timestep)
        if len(out) == num:
            return out, None
        without, with_text = out.chunk(2)
        return with_text, without

    def run_denoiser(self, z: Tensor, timesteps: Tensor, condition: Any) -> Tensor:
        """What the U-Net predicts, (B, C, h, w), see :class:`BaseDiffusion`."""
        return self.unet(z, timesteps, condition).sample
