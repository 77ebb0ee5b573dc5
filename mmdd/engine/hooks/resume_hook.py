"""Going on with a student that was killed, as if nothing had happened."""
import os
import os.path as osp
import random
import time
from typing import Any, Dict, Iterator, Optional

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmdd.utils.io import writing

# Seconds between two checkpoints to resume from: a training that is shorter writes none.
EVERY = 300.


class ResumeHook(Hook):
    """Saves from time to time all that a training needs to be resumed.

    Weights, optimizer, schedules, the message hub and the random states of this process are in
    one file, which replaces the one before. A training that resumes from it ends with the
    result of one that was not interrupted: on a CPU to the last bit, as long as its data
    are read in this process (``num_workers=0``) or by workers that each epoch starts anew;
    those that live on (``persistent_workers``) draw other augmentations.

    Args:
        path: The file.
        every: Seconds between two files; ``EVERY`` if None.
    """

    priority = 'VERY_LOW'

    def __init__(self, path: str, every: Optional[float] = None) -> None:
        self.path = path
        self.every = EVERY if every is None else every
        self.seconds = 0.
        self._begin = self._saved = time.time()
        self._pending: Optional[Dict[str, Any]] = None
        self._restore: Optional[Dict[str, Any]] = None
        self._saving = False

    @property
    def elapsed(self) -> float:
        """Seconds of training, those before an interruption counted in."""
        return self.seconds + time.time() - self._begin

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self._begin = self._saved = time.time()

    def before_train_epoch(self, runner: Runner) -> None:
        """Save or restore by epochs; by updates the batches are watched instead."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            runner.train_loop.dataloader_iterator = _Watched(
                runner.train_loop.dataloader_iterator, self, runner, runner.iter)
            return
        self.restore()
        if runner.epoch and self.is_due(runner):
            self._pending = random_state()
            self._save(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: Optional[Any] = None) -> None:
        """Save what was noted before the batch was read."""
        if self._pending is not None:
            self._save(runner)

    def is_due(self, runner: Runner) -> bool:
        """Whether a file is to be written; never within accumulated gradients."""
        counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        return time.time() - self._saved >= self.every and runner.iter % counts == 0

    def note(self, runner: Runner) -> None:
        """Note the random state before a batch is read, if a file is due."""
        if runner.iter and self.is_due(runner):
            self._pending = random_state()

    def restore(self) -> None:
        """Put the random state of the file back, once."""
        if self._restore is not None:
            set_random_state(self._restore)
            self._restore = None

    def _save(self, runner: Runner) -> None:
        self._saving = True
        # A name of its own: half a file must not take the place of a whole one.
        draft = f'{osp.basename(self.path)}.part'
        with writing(self.path):
            runner.save_checkpoint(osp.dirname(self.path), draft,
                                   meta=dict(epoch=runner.epoch, iter=runner.iter))
            os.replace(osp.join(osp.dirname(self.path), draft), self.path)
        self._saving, self._pending, self._saved = False, None, time.time()

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Add random states and seconds to this hook's own files."""
        if self._saving:
            checkpoint['progress'] = dict(random=self._pending, seconds=self.elapsed)

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Take random states and seconds from such a file."""
        progress = checkpoint.pop('progress', None)
        if progress is not None:
            self._restore, self.seconds = progress['random'], progress['seconds']


class _Watched:
    """An iterator of batches that tells the hook before each; skipped ones come first."""

    def __init__(self, inner: Iterator, hook: ResumeHook, runner: Runner, skipped: int) -> None:
        self._inner, self._hook, self._runner, self._skipped = inner, hook, runner, skipped

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        if self._skipped:
            self._skipped -= 1
        else:
            self._hook.restore()
            self._hook.note(self._runner)
        return next(self._inner)


def random_state() -> Dict[str, Any]:
    """States of all random generators of this process."""
    return dict(python=random.getstate(), numpy=np.random.get_state(),
                torch=torch.get_rng_state(),
                cuda=torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])


def set_random_state(state: Dict[str, Any]) -> None:
    """Put the states of :func:`random_state` back."""
    random.setstate(state['python'])
    np.random.set_state(state['numpy'])
    torch.set_rng_state(state['torch'].cpu())
    if state['cuda'] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([one.cpu() for one in state['cuda']])
