"""Thin adapters over diffusers."""
from .base import BaseDiffusion
from .stable_diffusion import StableDiffusion
from .tokenizer import word_tokenizer

__all__ = ['BaseDiffusion', 'StableDiffusion', 'word_tokenizer']
