"""Whether a job fits the time that it may take."""
import os.path as osp
import tempfile
import time
from typing import Any, Dict, List, Optional

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmdd.registry import HOOKS
from mmdd.structures import DistilledSample

# Samples whose writing is timed for the projection.
REHEARSED = 4


@HOOKS.register_module()
class TimeBudgetHook(Hook):
    """Projects how long a job will take, and warns where that is above a budget.

    The generative track of the dataset distillation challenge at ECCV 2024 gave 10
    minutes with all that belongs to it: loading the model, sampling, saving. The clock
    starts with the Runner, before the model is built. The first batch warms up; the
    second one gives the images per second (a job of a single batch: the first one), and
    a few of its samples are written into a temporary folder to time that as well. The
    images of both batches are kept: nothing is made twice.

    The manifest gets an entry ``time_budget`` of ``minutes``, ``projected_minutes``,
    ``spent_minutes`` up to the manifest, ``met``, and ``images_per_second`` of one rank
    over all generated images. A job that was interrupted does not know what it
    spent: ``spent_minutes`` and ``met`` are null then.

    Args:
        minutes: The budget.

    Raises:
        ValueError: If it is not above 0.
    """

    priority = 'VERY_LOW'
    limits = dict(minutes=dict(above=0))

    def __init__(self, minutes: float = 10.) -> None:
        if not minutes > 0:
            raise ValueError(f'TimeBudgetHook: minutes must be above 0, got {minutes}')
        self.minutes = minutes
        self.projected: Optional[float] = None
        self.resumed = False

    def before_train(self, runner) -> None:
        """Start the clock, at the second in which the Runner was made."""
        self.start = time.mktime(time.strptime(runner.timestamp, '%Y%m%d_%H%M%S'))
        self.resumed = osp.isfile(osp.join(runner.train_loop.journal.folder, 'plan.jsonl'))

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """A batch begins."""
        self.begin = time.perf_counter()

    def after_distill_iter(self, runner, samples: List[DistilledSample]) -> None:
        """Project after the second batch, or after the only one."""
        loop = runner.train_loop
        if self.projected is not None or (loop.iter == 0 and loop.max_iters > 1):
            return
        seconds = time.perf_counter() - self.begin
        left = loop.max_iters - (loop.iter + 1)
        writing = self._rehearse(loop, samples) if get_rank() == 0 else 0.
        spent = time.time() - self.start
        self.projected = (spent + left * seconds + writing * len(loop.slots)) / 60
        self._tell(len(samples) / seconds, len(loop.slots))

    def _rehearse(self, loop, samples: List[DistilledSample]) -> float:
        """Seconds to write the images of one sample, as ``DistillLoop.write`` does."""
        stages, classes = loop.distiller.set_stages, loop.distiller.classes
        few = samples[:REHEARSED]
        loop.behind.finish()
        with tempfile.TemporaryDirectory(dir=loop.runner.work_dir) as folder:
            begin = time.perf_counter()
            for sample in few:
                stored = loop.journal.load_sample(
                    sample.slot, (sample.slot.id, sample.slot.round))
                for image in stages.expand(stored):
                    loop.writer.write(image, folder, classes)
            return (time.perf_counter() - begin) / len(few)

    def _tell(self, rate: float, slots: int) -> None:
        assert self.projected is not None
        fits = self.projected <= self.minutes
        print_log(
            f'time budget: {rate:.3g} images per second on a rank, about {self.projected:.1f} of '
            f'{self.minutes:g} minutes for {slots} images with loading and saving: it '
            + ('fits' if fits else 'does not fit; take a smaller budget, fewer steps, a larger '
               'batch_size or more ranks, or do without'),
            'current', level=20 if fits else 30)

    def before_manifest(self, runner, samples: List[DistilledSample],
                        summary: Dict[str, Any]) -> None:
        """Add ``time_budget`` to the manifest."""
        spent = None if self.resumed else (time.time() - self.start) / 60
        generated = [sample.seconds for sample in samples if sample.seconds > 0]
        summary['time_budget'] = dict(
            minutes=self.minutes, projected_minutes=_rounded(self.projected),
            spent_minutes=_rounded(spent), met=None if spent is None else spent <= self.minutes,
            images_per_second=_rounded(
                len(generated) / sum(generated) if generated else None))


def _rounded(value: Optional[float]) -> Optional[float]:
    return None if value is None else round(value, 3)
