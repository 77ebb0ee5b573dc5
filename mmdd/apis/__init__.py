"""Jobs as functions, for notebooks and the command line tools."""
from .benchmark import benchmark, distill_arms
from .distill import distill
from .evaluate import evaluate
from .prepare import TrainedCheckpoint, prepare
from .train import ensure_checkpoint, train

__all__ = [
    'TrainedCheckpoint', 'benchmark', 'distill', 'distill_arms', 'ensure_checkpoint', 'evaluate',
    'prepare', 'train'
]
