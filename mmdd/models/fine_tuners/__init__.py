"""Fine-tuning of diffusion models: stock training jobs, and the weights they leave."""
from .fine_tuned import FineTuned
from .memory import ClassMemory
from .minimax import MinimaxFineTuner

__all__ = ['ClassMemory', 'FineTuned', 'MinimaxFineTuner']
