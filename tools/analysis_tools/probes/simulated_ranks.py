"""A job of many shards in one process, with a distiller that takes no time."""
import os.path as osp
import time
from typing import Any, Callable, Dict, List

import numpy as np
from mmengine.config import Config

from mmdd.engine import DistillLoop
from mmdd.engine.set_writing import write_set
from mmdd.engine.shards import Shard
from mmdd.models import DatasetDistiller
from mmdd.registry import DATASETS, LOOPS, MODELS
from mmdd.structures import DistilledSample, DistillSlot, RealAnnotation
from mmdd.utils.runner import JobRunner
from mmdd.utils.timing import peak_memory_mib, reset_peak_memory

# A picture that is neither black nor of one colour.
TILE = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
BATCH = 8


@MODELS.register_module(force=True)
class StubDistiller(DatasetDistiller):
    """Gives every slot the same small picture."""

    def distill_step(self, slots: List[DistillSlot],
                     call_hook: Callable) -> List[DistilledSample]:
        """The picture with the labels of each slot."""
        return [DistilledSample(slot, TILE, target=slot.target, score=1.) for slot in slots]


@DATASETS.register_module(force=True)
class StubSet:
    """Stands for a real set whose annotations are given."""

    metainfo: Dict[str, Any] = {}

    def __len__(self) -> int:
        return 1


@LOOPS.register_module(force=True)
class SimulatedLoop(DistillLoop):
    """Plans, journals and merges a classification set of shards that follow each other.

    Args:
        classes: Number of classes; each has as many real images as the budget, an ``IPC``, asks.
        settings: As of ``DistillLoop``; ``shard`` gives the number of shards.

    Attributes:
        phases: What is measured, in this order.
        found: CPU seconds and peak memory in MiB of each.
    """
    phases = ('planning', 'journaling', 'merging')

    def __init__(self, runner: Any, dataloader: Any, classes: int, **settings: Any) -> None:
        super().__init__(runner, dataloader, **settings)
        self.num_classes = classes
        self.found: Dict[str, Dict[str, float]] = {}

    def run(self) -> Any:
        """Measure the phases."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.open_journal()
        self.distiller.classes = tuple(f'class {i:05d}' for i in range(self.num_classes))
        self.distiller.annotations = [
            RealAnnotation(f'{i:08d}', f'/real/{i:08d}.jpg', (16, 16),
                           np.array([i % self.num_classes]))
            for i in range(self.num_classes * self.budget.n)]
        for phase in self.phases:
            reset_peak_memory()
            begin = time.process_time()
            getattr(self, phase)()
            self.found[phase] = dict(seconds=time.process_time() - begin,
                                     mib=peak_memory_mib()['host'])
        return self.runner.model

    def planning(self) -> None:
        """Turn the budget into slots and store them."""
        self.plan()

    def journaling(self) -> None:
        """Let each shard make and keep its slots."""
        for index in range(self.shards.count):
            self.shards.shard = Shard(index, self.shards.count)
            self.records.clear()
            self._timed('synthesize', self.synthesize)
            self.shards.finish()

    def merging(self) -> None:
        """Check that all is there, write the set and its manifest."""
        self.shards.shard = None
        self.records.clear()
        self.journal.heal(self.job)
        self.check_finished()
        write_set(self, self._attempts())


def simulate_ranks(folder: str, classes: int, ipc: int, ranks: int) -> SimulatedLoop:
    """The loop of a simulated job that has ended.

    Args:
        folder: An empty work dir.
        classes: Number of classes.
        ipc: Images per class.
        ranks: Number of shards.
    """
    runner = JobRunner.from_cfg(Config(dict(
        default_scope='mmdd', work_dir=folder, experiment_name=osp.basename(folder),
        model=dict(type='StubDistiller', image_size=16), log_level='WARNING',
        train_dataloader=dict(batch_size=1, num_workers=0, dataset=dict(type='StubSet')),
        train_cfg=dict(type='SimulatedLoop', budget=dict(type='IPC', n=ipc), classes=classes,
                       writer=dict(type='ClassFolderWriter'), batch_size=BATCH, max_rounds=1,
                       shard=f'0/{ranks}'),
        optim_wrapper=dict(), log_processor=dict(by_epoch=False),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=50), param_scheduler=None,
                           sampler_seed=None, checkpoint=None)), format_python_code=False))
    runner.train()
    return runner.train_loop
