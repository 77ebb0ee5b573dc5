"""Jobs as functions, for notebooks and the command line tools."""
from .distill import distill
from .prepare import TrainedCheckpoint, prepare
from .train import ensure_checkpoint, train

__all__ = ['TrainedCheckpoint', 'distill', 'ensure_checkpoint', 'prepare', 'train']
