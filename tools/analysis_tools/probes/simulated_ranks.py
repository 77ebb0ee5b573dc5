"""A job of many shards in one process, with a distiller that takes no time."""
import os.path as osp
import time
from typing import Any, Callable, Dict, List

import numpy as np
from mmengine.config import Config

from mmdd.engine.set_writing import write_set
from mmdd.engine.shards import Shard
from mmdd.models import DatasetDistiller
from mmdd.registry import DATASETS, MODELS
from mmdd.structures import DistilledSample, DistillSlot, RealAnnotation
from mmdd.utils.runner import JobRunner
from mmdd.utils.timing import peak_memory_mib, reset_peak_memory

# A picture that is neither black nor of one colour.
TILE = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
BATCH = 8
PHASES = ('planning', 'journal', 'merge')


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


class SimulatedRanks:
    """Plans, journals and merges a classification set of shards that follow each other.

    Args:
        folder: An empty work dir.
        classes: Number of classes.
        ipc: Images per class.
        ranks: Number of shards.
    """

    def __init__(self, folder: str, classes: int, ipc: int, ranks: int) -> None:
        self.ranks = ranks
        cfg = Config(dict(
            default_scope='mmdd', work_dir=folder, experiment_name=osp.basename(folder),
            model=dict(type='StubDistiller', image_size=16), log_level='WARNING',
            train_dataloader=dict(batch_size=1, num_workers=0, dataset=dict(type='StubSet')),
            train_cfg=dict(type='DistillLoop', budget=dict(type='IPC', n=ipc),
                           writer=dict(type='ClassFolderWriter'), batch_size=BATCH, max_rounds=1,
                           shard=f'0/{ranks}', out_dir=osp.join(folder, 'distilled')),
            optim_wrapper=dict(), log_processor=dict(by_epoch=False),
            default_hooks=dict(logger=dict(type='LoggerHook', interval=50), param_scheduler=None,
                               sampler_seed=None, checkpoint=None)), format_python_code=False)
        self.runner = JobRunner.from_cfg(cfg)
        self.loop = self.runner.train_loop
        self.runner.call_hook('before_train')
        self.loop.open_journal()
        self.loop.distiller.classes = tuple(f'class {i:05d}' for i in range(classes))
        self.loop.distiller.annotations = [
            RealAnnotation(f'{i:08d}', f'/real/{i:08d}.jpg', (16, 16), np.array([i % classes]))
            for i in range(classes * ipc)]

    def planning(self) -> None:
        """Turn the budget into slots and store them."""
        self.loop.plan()

    def journal(self) -> None:
        """Let each shard make and keep its slots."""
        for index in range(self.ranks):
            self.loop.shards.shard = Shard(index, self.ranks)
            self.loop.records.clear()
            self.loop._timed('synthesize', self.loop.synthesize)
            self.loop.shards.finish()

    def merge(self) -> None:
        """Check that all is there, write the set and its manifest."""
        self.loop.shards.shard = None
        self.loop.records.clear()
        self.loop.check_finished()
        write_set(self.loop, self.loop._attempts())

    def measure(self) -> Dict[str, Dict[str, float]]:
        """CPU seconds and peak memory in MiB of each phase, one after the other."""
        found = {}
        for phase in PHASES:
            reset_peak_memory()
            begin = time.process_time()
            getattr(self, phase)()
            found[phase] = dict(seconds=time.process_time() - begin,
                                mib=peak_memory_mib()['host'])
        return found
