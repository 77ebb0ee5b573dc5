"""Thin adapters over diffusers."""
from .base import BaseDiffusion
from .dit import DiT
from .features import FeatureAccessor
from .fine_tuned import FineTuned
from .sdxl import StableDiffusionXL
from .stable_diffusion import StableDiffusion
from .tokenizer import word_tokenizer

__all__ = [
    'BaseDiffusion', 'DiT', 'FeatureAccessor', 'FineTuned', 'StableDiffusion',
    'StableDiffusionXL', 'word_tokenizer'
]
