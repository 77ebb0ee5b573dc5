"""What the transformers of flow matching have in common."""
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor, nn

from mmdd.structures import DistillSlot
from mmdd.utils.numbers import check_number
from .autoencoder import AutoencoderMixin
from .base import BaseDiffusion, warn_of_negative_prompt
from .execution import check_attention_backend, run_as
from .flow_process import FlowProcess
from .loading import (
    check_small_decoder,
    load_autoencoder,
    load_module,
    load_small_decoder,
    load_t5_encoder,
    load_text_encoder,
    load_tokenizer,
    pick_dtypes,
)
from .lora import add_lora, check_lora
from .offload import OffloadMixin
from .prompt_cache import PromptCache
from .scheduling import build_scheduler, check_scheduler
from .text_widths import TextWidthsMixin
from .weights import check_folder, check_separate, locate_weights

# Prompts whose embeddings are kept: 3 to 4 MB each, on the CPU.
CACHED_PROMPTS = 128


@dataclass
class FlowCondition:
    """What the denoiser is told of a batch; with two branches the negative one comes first.

    Attributes:
        embeddings: Hidden states of the text encoders, (B or 2B, L, D).
        pooled: Pooled text embeddings, (B or 2B, P).
    """
    embeddings: Tensor
    pooled: Tensor

    def __len__(self) -> int:
        return len(self.embeddings)


class FlowPrior(AutoencoderMixin, OffloadMixin, TextWidthsMixin, FlowProcess, BaseDiffusion):
    """A text-to-image transformer of flow matching with frozen text encoders.

    A subclass names its networks, and provides ``encode_text``, ``run_denoiser`` and
    ``text_widths``, which it checks once they are loaded. The arguments are those of
    :class:`StableDiffusion`, but for these.

    Args:
        scheduler: Settings of ``FlowMatchEulerDiscreteScheduler``; those that are not named
            come from the pretrained folder. Where it shifts by the size of the image
            (``use_dynamic_shifting``) mu is that of diffusers' pipelines.
        offload_text_encoders: As for :class:`StableDiffusion`. A prompt that comes again within
            a job is not encoded again.
        max_sequence_length: Tokens of a prompt that the T5 text encoder sees.
        transformer: Settings of diffusers' class of the transformer.

    Raises:
        ValueError: If weights are missing or corrupt, the parts do not fit each other, or a
            setting is unknown.
    """

    reads_prompts = True
    limits = dict(max_sequence_length=dict(low=1))
    # Class of the denoiser, and the kind of each text encoder: 'pooled', 'projection' or 't5'.
    TRANSFORMER: str
    ENCODERS: Dict[str, str]

    def __init__(self,
                 pretrained: Optional[str] = None,
                 steps: int = 28,
                 cfg_scale: float = 1.,
                 negative_prompt: str = '',
                 scheduler: Optional[dict] = None,
                 dtype: str = 'auto',
                 final_dtype: str = 'fp32',
                 variant: Optional[str] = None,
                 energy_decoder: Union[str, dict, None] = None,
                 offload_text_encoders: bool = True,
                 max_sequence_length: int = 256,
                 lora: Optional[dict] = None,
                 compile: bool = False,
                 gradient_checkpointing: bool = False,
                 channels_last: bool = False,
                 attention_backend: Optional[str] = None,
                 transformer: Optional[dict] = None,
                 vae: Union[str, dict, None] = None,
                 text_encoder: Optional[dict] = None,
                 text_encoder_2: Optional[dict] = None,
                 tokenizer: Union[str, Sequence[str], None] = None,
                 tokenizer_2: Union[str, Sequence[str], None] = None,
                 seed: int = 0) -> None:
        check_number('model.diffusion: cfg_scale', cfg_scale)
        weights, decoder_dtype = pick_dtypes(dtype)
        folder = None if pretrained is None else locate_weights(pretrained)
        super().__init__(*self._schedule(folder, scheduler, steps))
        self.cfg_scale = cfg_scale
        self.negative_prompt = negative_prompt
        warn_of_negative_prompt(negative_prompt, cfg_scale)
        self.final_dtype = final_dtype
        self.offload_text_encoders = offload_text_encoders
        self.max_sequence_length = max_sequence_length
        self._prompts = PromptCache(CACHED_PROMPTS)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            # First of all networks: where it is, the others are wanted.
            self.transformer = load_module(
                self.TRANSFORMER, folder, 'transformer', transformer, weights, variant)
            add_lora(self.transformer, lora, 'transformer')
            self.vae = load_autoencoder(folder, vae, weights, decoder_dtype, variant)
            self._load_encoder('text_encoder', folder, text_encoder, tokenizer, weights, variant)
            self._load_encoder('text_encoder_2', folder, text_encoder_2, tokenizer_2, weights,
                               variant)
            self.small_decoder = None
            if energy_decoder is not None:
                self.small_decoder = load_small_decoder(energy_decoder, decoder_dtype)
                check_small_decoder(self.small_decoder, self.vae)
        self.requires_grad_(False).eval()
        run_as(self.transformer, [self.vae, self.small_decoder], compile,
               gradient_checkpointing, channels_last, attention_backend)

    @staticmethod
    def _schedule(folder: Optional[str], scheduler: Optional[dict], steps: int) -> tuple:
        built, prediction_type = build_scheduler(folder, scheduler, flow=True)
        return built, steps, prediction_type

    def _load_encoder(self, role: str, folder: Optional[str], settings: Optional[dict],
                      tokenizer: Union[str, Sequence[str], None], dtype: torch.dtype,
                      variant: Optional[str]) -> None:
        """Load a text encoder and its tokenizer, ``role`` being the name of the former."""
        kind, name = self.ENCODERS[role], role.replace('text_encoder', 'tokenizer')
        if kind == 't5':
            words = load_tokenizer(folder, tokenizer, name, kind='AutoTokenizer')
            encoder = load_t5_encoder(folder, settings, words, dtype, variant, role)
        else:
            words = load_tokenizer(folder, tokenizer, name)
            encoder = load_text_encoder(folder, settings, words, variant, role,
                                        projection=kind == 'projection').to(dtype)
        setattr(self, name, words)
        setattr(self, role, encoder.requires_grad_(False).eval())

    @classmethod
    def encoders(cls, cfg: Mapping) -> Tuple[str, ...]:
        """Names of the text encoders that a config of this adapter has."""
        return tuple(cls.ENCODERS)

    @classmethod
    def check_config(cls, cfg: Mapping) -> None:
        """Check settings, and that the weights of a config are there and whole."""
        pick_dtypes(cfg.get('dtype', 'auto'))
        check_scheduler(None, cfg.get('scheduler'), flow=True)
        check_lora(cfg.get('lora'))
        check_attention_backend(cfg.get('attention_backend'), cls.TRANSFORMER)
        if cfg.get('pretrained') is not None:
            folder, roles = locate_weights(cfg['pretrained']), cls.encoders(cfg)
            networks = ['transformer', *roles]
            if not isinstance(cfg.get('vae'), str):
                networks.append('vae')
            tokenizers = [role.replace('text_encoder', 'tokenizer') for role in roles]
            check_folder(folder, networks,
                         ['scheduler'] + [name for name in tokenizers if not cfg.get(name)])
            check_scheduler(folder, cfg.get('scheduler'), flow=True)
            cls.check_parts_of(folder, 'transformer', {role: cls.ENCODERS[role] for role in roles})
        check_separate(cfg, 'vae', 'energy_decoder')

    @property
    def denoiser(self) -> nn.Module:
        """The transformer."""
        return self.transformer

    @property
    def grain(self) -> int:
        """Pixels per token along a side."""
        raise NotImplementedError

    def image_tokens(self, size: Tuple[int, int]) -> int:
        """Tokens that the denoiser makes of an image of ``size`` (height, width)."""
        return (size[0] // self.grain) * (size[1] // self.grain)

    def latent_shape(self, size: Tuple[int, int]) -> Tuple[int, int, int]:
        """(C, h, w) of the latents of an image of ``size`` (height, width)."""
        if size[0] % self.grain or size[1] % self.grain:
            raise ValueError(f'{type(self).__name__}: image size {tuple(size)} must be a multiple '
                             f'of {self.grain}; set model.image_size')
        return self.vae.config.latent_channels, size[0] // self.factor, size[1] // self.factor

    def encode_conditions(self, slots: Sequence[DistillSlot]) -> FlowCondition:
        """The condition of B slots, with classifier-free guidance for both branches."""
        prompts = [slot.prompt for slot in slots]
        if self.cfg_scale > 1:
            prompts = [self.negative_prompt] * len(slots) + prompts
        rows = self._prompts.look_up(prompts, self._encode_prompts)
        return FlowCondition(*(torch.stack(parts).to(self.device) for parts in zip(*rows)))

    def _encode_prompts(self, prompts: List[str]) -> List[Tuple[Tensor, ...]]:
        """What the text encoders make of prompts, on the CPU; one by one, so none depends on
        the others."""
        loaded = [role for role in self.ENCODERS if getattr(self, role, None) is not None]
        with self.encoders_at_work(*loaded):
            return [tuple(part[0].cpu() for part in self.encode_text(prompt))
                    for prompt in prompts]

    def encode_text(self, prompt: str) -> Tuple[Tensor, Tensor]:
        """Embeddings (1, L, D) and pooled embeddings (1, P) of a prompt."""
        raise NotImplementedError

    def predict_branches(self, latents: Tensor, timestep: Tensor, condition: FlowCondition
                         ) -> Tuple[Tensor, Optional[Tensor]]:
        """Noise predictions with and without the text, see :class:`BaseDiffusion`."""
        num = len(latents)
        z = torch.cat([latents] * (len(condition) // num))
        velocity = self.run_denoiser(
            z.to(self.transformer.dtype), timestep.expand(len(z)), condition).float()
        out = self.as_noise(velocity, z, timestep)
        if len(out) == num:
            return out, None
        without, with_text = out.chunk(2)
        return with_text, without

    def run_denoiser(self, z: Tensor, timesteps: Tensor, condition: FlowCondition) -> Tensor:
        """Velocities (B or 2B, C, h, w) at timesteps of the same length."""
        raise NotImplementedError
