"""Stable Diffusion 1.x / 2.x through diffusers."""
import logging
import warnings
from typing import Mapping, Optional, Sequence, Tuple, Union

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmdd.registry import MODELS
from mmdd.structures import DistillSlot
from mmdd.utils.config import resolve_path
from .base import BaseDiffusion
from .tokenizer import word_tokenizer
from .weights import check_folder, locate_weights

DTYPES = dict(fp32=torch.float32, bf16=torch.bfloat16, fp16=torch.float16)


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
            decoder runs in fp32 where the others are fp16, which overflows.
        energy_decoder: Folder or hub id of an ``AutoencoderTiny`` that decodes
            the clean estimates for the energy, or settings of a random one;
            None uses the full decoder.
        compile: Whether to ``torch.compile`` the denoiser.
        gradient_checkpointing: Trade time for memory in guided steps.
        unet, vae, text_encoder: Settings of diffusers' classes of that role.
        tokenizer: Tokenizer folder, or the words of a small tokenizer.
        seed: Seed of the random weights of explicit networks.

    Raises:
        ValueError: If weights are missing or corrupt, or a setting is unknown.
    """

    def __init__(self,
                 pretrained: Optional[str] = None,
                 steps: int = 50,
                 cfg_scale: float = 7.5,
                 negative_prompt: str = '',
                 scheduler: Optional[dict] = None,
                 dtype: str = 'auto',
                 energy_decoder: Union[str, dict, None] = None,
                 compile: bool = False,
                 gradient_checkpointing: bool = False,
                 unet: Optional[dict] = None,
                 vae: Optional[dict] = None,
                 text_encoder: Optional[dict] = None,
                 tokenizer: Union[str, Sequence[str], None] = None,
                 seed: int = 0) -> None:
        dtype, decoder_dtype = pick_dtypes(dtype)
        folder = None if pretrained is None else locate_weights(pretrained)
        super().__init__(build_scheduler(folder, scheduler), steps)
        self.cfg_scale = cfg_scale
        self.negative_prompt = negative_prompt
        if negative_prompt and cfg_scale <= 1:
            warnings.warn(f'negative_prompt is ignored at cfg_scale {cfg_scale}; raise it above 1',
                          stacklevel=2)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.unet = load_module('UNet2DConditionModel', folder, 'unet', unet, dtype)
            self.vae = load_module('AutoencoderKL', folder, 'vae', vae, decoder_dtype)
            self.tokenizer = load_tokenizer(folder, tokenizer)
            self.text_encoder = load_text_encoder(
                folder, text_encoder, self.tokenizer).to(dtype)
            self.small_decoder = None
            if energy_decoder is not None:
                self.small_decoder = load_small_decoder(energy_decoder, decoder_dtype)
                check_small_decoder(self.small_decoder, self.vae)
        self.requires_grad_(False).eval()
        if gradient_checkpointing:
            self.unet.enable_gradient_checkpointing()
        if compile:
            self.unet.compile()

    @classmethod
    def check_config(cls, cfg: Mapping) -> None:
        """Check settings, and that the weights of a config are there and whole."""
        pick_dtypes(cfg.get('dtype', 'auto'))
        build_scheduler(None, cfg.get('scheduler'))
        if cfg.get('pretrained') is not None:
            others = ('scheduler', ) if cfg.get('tokenizer') else ('scheduler', 'tokenizer')
            check_folder(
                locate_weights(cfg['pretrained']), ('unet', 'vae', 'text_encoder'), others)
        if isinstance(cfg.get('energy_decoder'), str):
            check_folder(locate_weights(cfg['energy_decoder']), ('', ))

    @property
    def factor(self) -> int:
        """Pixels per latent cell."""
        return 2**(len(self.vae.config.block_out_channels) - 1)

    def latent_shape(self, size: Tuple[int, int]) -> Tuple[int, int, int]:
        """(C, h, w) of the latents of an image of ``size`` (height, width)."""
        grain = self.factor * 2**(len(self.unet.config.block_out_channels) - 1)
        if size[0] % grain or size[1] % grain:
            raise ValueError(
                f'StableDiffusion: image size {tuple(size)} must be a multiple of {grain}')
        return self.vae.config.latent_channels, size[0] // self.factor, size[1] // self.factor

    def encode_images(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] to the mean of their scaled latents."""
        posterior = self.vae.encode((images * 2 - 1).to(self.vae.dtype)).latent_dist
        return posterior.mean.float() * self.vae.config.scaling_factor

    def decode_latents(self, latents: Tensor, fast: bool = False) -> Tensor:
        """Scaled latents (B, C, h, w) to images (B, 3, H, W), differentiable."""
        if fast and self.small_decoder is not None:
            # AutoencoderTiny takes scaled latents.
            image = self.small_decoder.decode(latents.to(self.small_decoder.dtype)).sample
        else:
            latents = latents / self.vae.config.scaling_factor
            image = self.vae.decode(latents.to(self.vae.dtype)).sample
        return image.float() / 2 + 0.5

    def encode_conditions(self, slots: Sequence[DistillSlot]) -> Tensor:
        """Text embeddings: (2B, L, D) with the negative branch first, or (B, L, D)."""
        prompts = [slot.prompt for slot in slots]
        if self.cfg_scale > 1:
            prompts = [self.negative_prompt] * len(slots) + prompts
        return self._encode_text(prompts)

    def _encode_text(self, prompts: Sequence[str]) -> Tensor:
        length = self.tokenizer.model_max_length
        tokens = self.tokenizer(list(prompts), padding='max_length', truncation=True,
                                max_length=length, return_tensors='pt')
        # Else transformers warns of errors that the cut above prevents.
        full = self.tokenizer(list(prompts), verbose=False)['input_ids']
        cut = sum(len(ids) > length for ids in full)
        if cut:
            print_log(f'{cut} prompts are longer than {length} tokens and were cut',
                      'current', logging.WARNING)
        return self.text_encoder(tokens.input_ids.to(self.device)).last_hidden_state

    def predict_noise(self, latents: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        """Noise prediction (B, C, h, w) in fp32, classifier-free guidance inside."""
        double = len(condition) == 2 * len(latents)
        z = torch.cat([latents, latents]) if double else latents
        out = self.unet(z.to(self.unet.dtype), timestep, condition).sample.float()
        if self.v_prediction:
            alpha_bar = self._alpha_bar(timestep)
            out = alpha_bar**0.5 * out + (1 - alpha_bar)**0.5 * z.float()
        if not double:
            return out
        without, with_text = out.chunk(2)
        return without + self.cfg_scale * (with_text - without)

    @property
    def v_prediction(self) -> bool:
        """Whether the denoiser predicts v instead of noise (SD 2.x)."""
        return self.scheduler.denoiser_prediction == 'v_prediction'


def pick_dtypes(name: str) -> Tuple[torch.dtype, torch.dtype]:
    """Weights' dtype of the denoiser and of the decoder."""
    if name == 'auto':
        if not torch.cuda.is_available():
            name = 'fp32'
        else:
            name = 'bf16' if torch.cuda.is_bf16_supported() else 'fp16'
    if name not in DTYPES:
        raise ValueError(f"StableDiffusion: dtype must be 'auto' or one of {sorted(DTYPES)}, "
                         f'got {name!r}')
    return DTYPES[name], torch.float32 if name == 'fp16' else DTYPES[name]


def load_module(kind: str, folder: Optional[str], role: str, settings: Optional[dict],
                dtype: torch.dtype):
    """Load a diffusers model from a folder, or build it small from settings."""
    import diffusers
    cls = getattr(diffusers, kind)
    if folder is None:
        if settings is None:
            raise ValueError(f'StableDiffusion: give either pretrained or settings for {role!r}')
        model = cls(**settings)
        return model if dtype == torch.float32 else model.to(dtype)
    try:
        return cls.from_pretrained(
            folder, subfolder=role or None, use_safetensors=True, dtype=dtype)
    except Exception as e:
        raise ValueError(
            f'cannot load {role or kind} weights of {folder!r} ({type(e).__name__}: '
            f'{first_line(e)}); give a complete diffusers folder with safetensors files') from None


def load_small_decoder(source: Union[str, dict], dtype: torch.dtype):
    """An ``AutoencoderTiny`` from a folder or hub id, or a random one from settings."""
    if isinstance(source, str):
        return load_module('AutoencoderTiny', locate_weights(source), '', None, dtype)
    return load_module('AutoencoderTiny', None, '', source, dtype)


def check_small_decoder(small, full) -> None:
    """Check that an ``AutoencoderTiny`` decodes the latents of the full autoencoder.

    Raises:
        ValueError: If its latents have other channels or another number of pixels per cell.
    """
    known, wanted = (
        (config.latent_channels, 2**(len(blocks) - 1)) for config, blocks in (
            (small.config, small.config.decoder_block_out_channels),
            (full.config, full.config.block_out_channels)))
    if known != wanted:
        raise ValueError(
            f'energy_decoder takes latents of {known[0]} channels and {known[1]} pixels per cell, '
            f'the autoencoder has {wanted[0]} and {wanted[1]}; give a decoder of the same latents '
            f'or None')


def load_tokenizer(folder: Optional[str], tokenizer: Union[str, Sequence[str], None]):
    """The CLIP tokenizer of a folder, or one that knows a list of words."""
    from transformers import CLIPTokenizer
    if tokenizer is not None and not isinstance(tokenizer, str):
        return word_tokenizer(list(tokenizer))
    source = resolve_path(tokenizer) if tokenizer is not None else folder
    if source is None:
        raise ValueError('StableDiffusion: give either pretrained or tokenizer')
    try:
        return CLIPTokenizer.from_pretrained(
            source, **({} if tokenizer is not None else dict(subfolder='tokenizer')))
    except Exception as e:
        raise ValueError(
            f'cannot load the tokenizer of {source!r} ({first_line(e)})') from None


def load_text_encoder(folder: Optional[str], settings: Optional[dict], tokenizer):
    """The CLIP text encoder of a folder, or a small one."""
    from transformers import CLIPTextConfig, CLIPTextModel
    if folder is None:
        if settings is None:
            raise ValueError('StableDiffusion: give either pretrained or text_encoder')
        return CLIPTextModel(CLIPTextConfig(**{
            **dict(vocab_size=len(tokenizer), bos_token_id=tokenizer.bos_token_id,
                   eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
                   max_position_embeddings=tokenizer.model_max_length), **settings}))
    try:
        return CLIPTextModel.from_pretrained(
            folder, subfolder='text_encoder', use_safetensors=True, dtype=torch.float32)
    except Exception as e:
        raise ValueError(f'cannot load text_encoder weights of {folder!r} '
                         f'({type(e).__name__}: {first_line(e)})') from None


def build_scheduler(folder: Optional[str], settings: Optional[dict]):
    """A diffusers scheduler that consumes noise predictions.

    A denoiser that predicts v is converted by the adapter, so guidance always
    acts on noise; what it predicts is kept as ``denoiser_prediction``.
    """
    import diffusers
    settings = dict(settings or {})
    kind = settings.pop('type', 'DDIMScheduler')
    cls = getattr(diffusers, kind, None)
    if cls is None or not hasattr(cls, 'set_timesteps'):
        raise ValueError(f'scheduler.type {kind!r} is no scheduler of diffusers')
    base = {}
    if folder is not None:
        try:
            base = dict(cls.load_config(folder, subfolder='scheduler'))
        except Exception as e:
            raise ValueError(
                f'cannot load the scheduler of {folder!r} ({first_line(e)}); give '
                f'model.diffusion.pretrained a complete diffusers folder or hub id') from None
    base.update(settings)
    prediction = base.get('prediction_type', 'epsilon')
    if prediction not in ('epsilon', 'v_prediction'):
        raise ValueError(f'scheduler.prediction_type {prediction!r} is not supported')
    if kind == 'DDIMScheduler':
        base.setdefault('clip_sample', False)
    scheduler = cls.from_config(base, prediction_type='epsilon')
    scheduler.denoiser_prediction = prediction
    return scheduler


def first_line(error: Exception) -> str:
    """The first line of an error's message, at most 200 characters."""
    return (str(error).strip().splitlines() or [''])[0][:200]
