"""Thin adapters over diffusers."""
from .base import BaseDiffusion
from .dit import DiT
from .stable_diffusion import StableDiffusion
from .tokenizer import word_tokenizer

__all__ = ['BaseDiffusion', 'DiT', 'StableDiffusion', 'word_tokenizer']
