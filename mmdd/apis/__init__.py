"""Jobs as functions, for notebooks and the command line tools."""
from mmdd.benchmark.run import benchmark
from mmdd.engine.prepare import TrainedCheckpoint, prepare
from mmdd.engine.train_job import ensure_checkpoint, train
from mmdd.protocols.teacher import ensure_soft_labels, ensure_teacher
from .distill import distill
from .evaluate import evaluate

__all__ = [
    'TrainedCheckpoint', 'benchmark', 'distill', 'ensure_checkpoint', 'ensure_soft_labels',
    'ensure_teacher', 'evaluate', 'prepare', 'train'
]
