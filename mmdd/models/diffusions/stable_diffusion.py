"""Stable Diffusion 1.x / 2.x through diffusers."""
from typing import Any, Mapping, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmdd.registry import MODELS
from mmdd.structures import DistillSlot
from mmdd.utils.numbers import check_number
from .base import BaseDiffusion, warn_of_negative_prompt
from .latents import encode_latents
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
from .scheduling import build_scheduler, check_scheduler
from .tokenizer import token_ids
from .weights import check_folder, locate_weights


@MODELS.register_module()
class StableDiffusion(BaseDiffusion):
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
        unet, vae, text_encoder: Settings of diffusers' classes of that role. ``vae``
            may also be the folder or hub id of another autoencoder.
        tokenizer: Tokenizer folder, or the words of a small tokenizer.
        lora: ``dict(path=<a safetensors file>, scale=1.)`` is added to the denoiser, see
            :func:`add_lora`.
        seed: Seed of the random weights of explicit networks.

    Raises:
        ValueError: If weights are missing or corrupt, or a setting is unknown.
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
                 variant: Optional[str] = None,
                 energy_decoder: Union[str, dict, None] = None,
                 compile: bool = False,
                 gradient_checkpointing: bool = False,
                 channels_last: bool = False,
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
            self.small_decoder = None
            if energy_decoder is not None:
                self.small_decoder = load_small_decoder(energy_decoder, decoder_dtype)
                check_small_decoder(self.small_decoder, self.vae)
        self.requires_grad_(False).eval()
        if gradient_checkpointing:
            for part in (self.unet, self.vae, self.small_decoder):
                if part is not None:
                    part.enable_gradient_checkpointing()
        if channels_last:
            self.unet.to(memory_format=torch.channels_last)
            self.vae.to(memory_format=torch.channels_last)
        if compile:
            self.unet.compile()

    @classmethod
    def check_config(cls, cfg: Mapping) -> None:
        """Check settings, and that the weights of a config are there and whole."""
        pick_dtypes(cfg.get('dtype', 'auto'))
        check_scheduler(None, cfg.get('scheduler'))
        check_lora(cfg.get('lora'))
        if cfg.get('pretrained') is not None:
            networks = [name for name in cls.NETWORKS if not isinstance(cfg.get(name), str)]
            others = [name for name in cls.OTHERS if not cfg.get(name)]
            folder = locate_weights(cfg['pretrained'])
            check_folder(folder, networks, ['scheduler'] + others)
            check_scheduler(folder, cfg.get('scheduler'))
        for name in ('vae', 'energy_decoder'):
            if isinstance(cfg.get(name), str):
                key = f'model.diffusion.{name}'
                check_folder(locate_weights(cfg[name], key), ('', ), key=key)

    @property
    def denoiser(self) -> torch.nn.Module:
        """The U-Net."""
        return self.unet

    @property
    def factor(self) -> int:
        """Pixels per latent cell."""
        return 2**(len(self.vae.config.block_out_channels) - 1)

    def latent_shape(self, size: Tuple[int, int]) -> Tuple[int, int, int]:
        """(C, h, w) of the latents of an image of ``size`` (height, width)."""
        grain = self.factor * 2**(len(self.unet.config.block_out_channels) - 1)
        if size[0] % grain or size[1] % grain:
            raise ValueError(
                f'{type(self).__name__}: image size {tuple(size)} must be a multiple of {grain}; '
                f'set model.image_size')
        return self.vae.config.latent_channels, size[0] // self.factor, size[1] // self.factor

    def encode_images(self, images: Tensor,
                      generators: Optional[Sequence[torch.Generator]] = None) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] to scaled latents, see :class:`BaseDiffusion`."""
        latents = encode_latents(self.vae, images * 2 - 1, generators)
        return latents * self.vae.config.scaling_factor

    def decode_latents(self, latents: Tensor, fast: bool = False) -> Tensor:
        """Scaled latents (B, C, h, w) to images (B, 3, H, W), differentiable."""
        if fast and self.small_decoder is not None:
            # AutoencoderTiny takes scaled latents.
            image = self.small_decoder.decode(latents.to(self.small_decoder.dtype)).sample
        else:
            latents = latents / self.vae.config.scaling_factor
            image = self.vae.decode(latents.to(self.vae.dtype)).sample
        return image.float() / 2 + 0.5

    def encode_conditions(self, slots: Sequence[DistillSlot]) -> Any:
        """Text embeddings (2B, L, D) with the negative branch first, or (B, L, D)."""
        prompts = [slot.prompt for slot in slots]
        if self.cfg_scale > 1:
            prompts = [self.negative_prompt] * len(slots) + prompts
        return self.encode_prompts(prompts)

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Text embeddings (B, L, D) of prompts, one branch without guidance."""
        tokens = token_ids(self.tokenizer, prompts).to(self.device)
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
            self._run_unet(z.to(self.unet.dtype), timestep, condition).float(), z, timestep)
        if len(out) == num:
            return out, None
        without, with_text = out.chunk(2)
        return with_text, without

    def _run_unet(self, z: Tensor, timestep: Tensor, condition: Any) -> Tensor:
        return self.unet(z, timestep, condition).sample
