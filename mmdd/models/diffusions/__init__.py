"""Thin adapters over diffusers."""
from .base import BaseDiffusion
from .dit import DiT
from .features import FeatureAccessor
from .fine_tuned import FineTuned
from .flux import Flux
from .lora_trainer import LoRATrainer
from .sdxl import StableDiffusionXL
from .stable_diffusion import StableDiffusion
from .stable_diffusion3 import StableDiffusion3
from .tokenizer import word_tokenizer

__all__ = [
    'BaseDiffusion', 'DiT', 'FeatureAccessor', 'FineTuned', 'Flux', 'LoRATrainer',
    'StableDiffusion', 'StableDiffusion3', 'StableDiffusionXL', 'word_tokenizer'
]
