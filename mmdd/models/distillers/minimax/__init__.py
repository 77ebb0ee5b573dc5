"""Minimax Diffusion: the distiller, and the fine-tuning of its DiT."""
from .fine_tuner import MinimaxFineTuner
from .memory import ClassMemory
from .minimax import Minimax

__all__ = ['ClassMemory', 'Minimax', 'MinimaxFineTuner']
