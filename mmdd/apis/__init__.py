"""Jobs as functions, for notebooks and the command line tools."""
from mmdd.benchmark.evaluate import evaluate
from mmdd.benchmark.run import benchmark
from mmdd.engine.train_job import train
from .distill import distill

__all__ = ['benchmark', 'distill', 'evaluate', 'train']
