"""Jobs as functions, for notebooks and the command line tools."""
from .benchmark import benchmark
from .distill import distill
from .evaluate import evaluate
from .prepare import TrainedCheckpoint, prepare
from .soft_labels import ensure_soft_labels, ensure_teacher
from .train import ensure_checkpoint, train

__all__ = [
    'TrainedCheckpoint', 'benchmark', 'distill', 'ensure_checkpoint', 'ensure_soft_labels',
    'ensure_teacher', 'evaluate', 'prepare', 'train'
]
