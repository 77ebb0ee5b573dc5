"""The loop that turns a real set into a distilled one."""
import logging
import os.path as osp
from typing import Callable, Dict, List, Literal, Optional, Union

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop
from torch.utils.data import DataLoader

from mmdd.datasets.annotations import with_unique_ids
from mmdd.datasets.checks import check_real_set
from mmdd.datasets.manifest import MANIFEST
from mmdd.datasets.originals import with_originals
from mmdd.registry import LOOPS, TASK_UTILS
from mmdd.structures import DistillSlot
from mmdd.utils.locks import alone
from mmdd.utils.progress import Progress, announce
from mmdd.utils.rank_zero import meet, together
from .attempts import is_finished, is_open, report_open_slots, scalars
from .auto_batch import AUTO, DEFAULT, auto_batch_size, check_batches
from .cost import WRITE, CostLog
from .failures import ATTEMPTS, FailureWatch, fail_bad_images, fail_bad_scores
from .job import describe_job
from .journal import Journal, Key
from .made_samples import check_samples
from .parts import check_proxy_classes
from .raw_samples import RawSamples
from .set_writing import write_set
from .shards import Shards, lock_path, read_shard
from .write_behind import WriteBehind


@LOOPS.register_module()
class DistillLoop(BaseLoop):
    """Runs a distiller; takes the Runner's train slot.

    The numbered steps are those of the papers' algorithm boxes:

    1. prepare: check the real set and let the distiller collect from it.
    2. plan: turn the budget into slots.
    3. for each batch of slots: synthesize, refine, keep.
    4. top up: rejected slots are tried again with fresh seeds, until the budget
       is met or the rounds are used up; then the best reject fills the slot. An attempt
       that gives no picture fails (``engine/failures.py``) and never fills it.
    5. let the set stages choose and expand, write the set and close the manifest.

    Slots are sharded over ranks. Every finished attempt is on disk at once, so
    a killed job is resumed with ``resume=True`` and yields the same set. Shards are jobs of
    their own for a part of the slots each; the last one to finish takes step 5.

    Args:
        runner: The Runner.
        dataloader: The real training split; always read whole and in order.
        budget: Config of the budget.
        writer: Config of the writer.
        out_dir: Folder of the distilled set; ``<work_dir>/distilled`` if None.
        batch_size: Slots that are denoised together on a rank. 'auto' takes the largest
            power of two that the GPU's memory holds, 8 on a CPU (``engine/auto_batch.py``).
        max_rounds: How often a slot is tried at most; one whose attempts all failed at least
            three times.
        resume: Resume a job that was interrupted.
        reuse: Distilled set of a job that differs in having no refiners: its
            images are refined instead of being made again.
        shard: 'I/N' makes the slots of this shard alone, beside others in the same folder.
        merge_shards: Make no image; write the set of what shards have made.
        work_dir: Work dir of the job; None takes that of the Runner, where logs go.

    Attributes:
        written: Whether this process has written the set.
    """

    runtime_settings = ('batch_size', 'resume', 'out_dir', 'reuse', 'shard',
                        'merge_shards', 'work_dir')
    limits = dict(batch_size=dict(low=1), max_rounds=dict(low=1))

    def __init__(self,
                 runner,
                 dataloader: Union[DataLoader, Dict],
                 budget: dict,
                 writer: dict,
                 out_dir: Optional[str] = None,
                 batch_size: Union[int, Literal['auto']] = 8,
                 max_rounds: int = 3,
                 resume: bool = False,
                 reuse: Optional[str] = None,
                 shard: Optional[str] = None,
                 merge_shards: bool = False,
                 work_dir: Optional[str] = None) -> None:
        check_batches(batch_size, max_rounds, shard)
        if isinstance(dataloader, dict):
            dataloader = dict(dataloader, sampler=dict(type='mmdd.WholeSetSampler'))
        super().__init__(runner, dataloader)
        self.budget = TASK_UTILS.build(budget)
        self.writer = TASK_UTILS.build(writer)
        self.journal = Journal(out_dir or f'{runner.work_dir}/distilled')
        self.behind = WriteBehind(self.journal)
        self.finds_batch_size = batch_size == AUTO
        self.batch_size = DEFAULT if batch_size == AUTO else batch_size
        self.max_rounds = max_rounds
        self.rounds = max(max_rounds, ATTEMPTS)
        self.failures = FailureWatch()
        self.resume = resume
        self.reuse = reuse
        self.shards = Shards(self.journal.folder, None if merge_shards or shard is None else
                             read_shard(shard), self.batch_size)
        self.merge = merge_shards
        self.lock = lock_path(self.out_dir, self.shards.shard, merge_shards)
        self.work_dir = work_dir or runner.work_dir
        self.written = False
        self.records: Dict[Key, dict] = {}
        self.raw: Optional[RawSamples] = None
        self.slots: List[DistillSlot] = []
        self._iter = 0
        self._max_iters = 1

    @property
    def iter(self) -> int:
        """Number of finished batches of slots."""
        return self._iter

    @property
    def max_iters(self) -> int:
        """Number of batches that are due by now; grows when slots are retried."""
        return self._max_iters

    @property
    def epoch(self) -> int:
        """A distillation has one epoch."""
        return 0

    @property
    def max_epochs(self) -> int:
        """A distillation has one epoch."""
        return 1

    @property
    def distiller(self):
        """The distiller without a wrapper."""
        model = self.runner.model
        return model.module if is_model_wrapper(model) else model

    @property
    def out_dir(self) -> str:
        """Folder of the distilled set."""
        return self.journal.out_dir

    def run(self) -> torch.nn.Module:
        """Run the steps of the class docstring and return the model."""
        with together():
            self.runner.call_hook('before_train')
            self.runner.call_hook('before_train_epoch')
            self.open_journal()
            self._timed('prepare', self.prepare, deploy=True)
            with alone(self.lock, until=lambda: osp.isfile(self.journal.plan_file)):
                self._timed('prepare', self.finish_collect, deploy=True)
                self._timed('plan', self.plan)
            with self.distiller.timed('synthesize', False):
                (self.check_finished if self.merge else self.synthesize)()
            self.cost.save()
            meet()
            self.close()
            self.runner.call_hook('after_train_epoch')
            self.runner.call_hook('after_train')
        return self.runner.model

    def _timed(self, stage: str, step: Callable[[], None], deploy: bool = False) -> None:
        with self.distiller.timed(stage, deploy):
            step()
        self.cost.save()

    def open_journal(self) -> None:
        """Claim the output folder before any work is done."""
        self.job = describe_job(self.runner.cfg, self.distiller)
        finished = osp.isfile(osp.join(self.out_dir, MANIFEST))
        with alone(self.lock), together():
            self.shards.read(fixed=any(self.journal.keys()))
            if get_rank() == 0:
                self.journal.open(self.job, self.resume, self.shards.owns)
                self.shards.keep()
        self.cost = CostLog(self.journal.folder, self.distiller.clock, finished,
                            WRITE if self.merge else self.shards.name)
        if self.reuse is not None:
            self.raw = RawSamples(self.reuse, self.job['raw_samples'])

    def prepare(self) -> None:
        """Step 1: check the real set, let the distiller collect from it."""
        dataset = self.dataloader.dataset
        with together():
            if get_rank() == 0:
                check_real_set(dataset)
        self.writer.follow(dataset)
        self.distiller.classes = tuple(dataset.metainfo['classes'])
        for name in ('proxy', 'judge'):
            check_proxy_classes(getattr(self.distiller, name), self.distiller.classes, name)
        self.distiller.budget = self.budget
        progress = Progress('reading the real set', len(self.dataloader), 'batches')
        for data_batch in self.dataloader:
            self.distiller.collect(data_batch)
            progress.add()
        self.distiller.annotations = with_unique_ids(self.distiller.annotations)

    def finish_collect(self) -> None:
        """End of step 1: let the distiller work on what it has collected."""
        self.distiller.finish_collect(self.journal.folder)

    def plan(self) -> None:
        """Step 2: turn the budget into slots."""
        if self.distiller.prompt_file is None:
            self.distiller.prompt_file = f'{self.journal.folder}/prompts.jsonl'
        if self.distiller.prompter is not None:
            self.distiller.prompter.keep_in(self.work_dir)
        with together():
            if get_rank() == 0:
                # Once: prompts may cost money, features time. The others read it.
                slots = self.distiller.plan(self.budget)
                if self.distiller.takes_over:
                    slots = with_originals(slots, self.dataloader.dataset)
                self.journal.store_plan(slots, may_change=self.lock is None)
        self.slots = [DistillSlot.from_dict(entry) for entry in self.journal.read_plan()]
        self.writer.check(self.distiller.classes, self.slots)
        self.distiller.set_stages.check(self.slots)
        own = f', {len(self.own_slots)} by shard {self.shards.shard}' if self.shards.shard else ''
        announce(f'{self.budget}: {len(self.slots)} images to make in {self.out_dir}{own}')

    def synthesize(self) -> None:
        """Steps 3 and 4: rounds of synthesis, refinement and topping up."""
        for round in range(self.rounds):
            pending = self._open_slots(round)
            if not pending:
                break
            if self.finds_batch_size:
                self.batch_size, self.finds_batch_size = auto_batch_size(self), False
            batches = self._open_batches(pending)
            self._max_iters = max(1, self._iter + len(batches))
            if round:
                why = 'rejected' if round < self.max_rounds else 'without an image'
                announce(f'round {round + 1} of {self.rounds}: {len(pending)} of '
                         f'{len(self.own_slots)} slots were {why} and are tried again')
            with together(), self.behind:
                for batch in batches:
                    self.run_iter(batch)
        if self.shards.shard is None:
            self._report()

    @property
    def own_slots(self) -> List[DistillSlot]:
        """Slots of this process's shard."""
        return [slot for slot in self.slots if self.shards.owns(slot.id)]

    def check_finished(self) -> None:
        """Check that shards have finished all slots.

        Raises:
            ValueError: If not; the message names them.
        """
        unfinished = self._unfinished()
        if unfinished:
            raise ValueError(unfinished)
        self._report()

    def _report(self) -> None:
        report_open_slots(self.slots, self._attempts(), self.max_rounds, self.distiller)

    def _unfinished(self) -> str:
        """Which shards have slots to make, and how many; '' if none has."""
        attempts = self._attempts()
        missing = [slot.id for slot in self.slots if not is_finished(
            attempts.get(slot.id, {}), self.max_rounds, self.rounds)]
        return '' if not missing else (
            f'{self.out_dir}: {len(missing)} of {len(self.slots)} slots are not finished: '
            f'{self.shards.describe(missing)}; run what is named again, then --merge')

    def _open_slots(self, round: int) -> List[DistillSlot]:
        """Slots that no earlier round filled, seeded for this one.

        Attempts of this round do not count: all ranks get the same list, whenever they ask.
        Beyond ``max_rounds`` only those are open whose attempts all failed.
        """
        done = self._attempts()
        return [slot.retry(self.distiller.seed, round) for slot in self.own_slots
                if is_open(done.get(slot.id, {}), round, self.max_rounds)]

    def _open_batches(self, pending: List[DistillSlot]) -> List[List[DistillSlot]]:
        """This rank's batches of a round that are not finished.

        A batch that was cut short is made whole again: kernels round differently in others.
        """
        mine = pending[get_rank()::get_world_size()]
        batches = [mine[i:i + self.batch_size] for i in range(0, len(mine), self.batch_size)]
        return [batch for batch in batches
                if not all((slot.id, slot.round) in self.journal for slot in batch)]

    def _attempts(self) -> Dict[int, Dict[int, dict]]:
        """Records of this shard's finished attempts by slot and round; each is read once."""
        attempts: Dict[int, Dict[int, dict]] = {}
        for key in self.journal.keys():
            slot, round = key
            if round < self.rounds and self.shards.owns(slot):
                if key not in self.records:
                    self.records[key] = self.journal.read(key)
                attempts.setdefault(slot, {})[round] = self.records[key]
        return attempts

    def run_iter(self, slots: List[DistillSlot]) -> None:
        """Step 3 for one batch: synthesize, refine, keep."""
        self.runner.call_hook('before_train_iter', batch_idx=self._iter, data_batch=None)
        found = self.raw.find(slots) if self.raw is not None else None
        samples = found or check_samples(self.distiller, slots, self.distiller.distill_step(
            slots, self.runner.call_hook))
        made = fail_bad_images(samples)
        if made:
            self.distiller.refine(made)
            made = fail_bad_scores(made)
        self.behind.write(samples)
        self.runner.call_hook('after_train_iter', batch_idx=self._iter, data_batch=None,
                              outputs=scalars(samples))
        if made:
            self.runner.call_hook('after_distill_iter', samples=made)
        self.cost.save()
        self._iter += 1
        self.failures.add(samples, self.distiller)

    def close(self) -> None:
        """Step 5, unless other shards have slots to make or the set is there."""
        with alone(self.lock), together():
            if get_rank() == 0 and self._is_last():
                with self.distiller.timed('write'):
                    write_set(self, self._attempts())
                self.written = True

    def _is_last(self) -> bool:
        """Whether no process has anything left to make, and this one is to write the set."""
        if self.shards.shard is None:
            return True
        self.shards.finish()
        finished = self.shards.finished()
        announce(f'shard {self.shards.shard} is finished, {finished} of {self.shards.count} are')
        if finished < self.shards.count or osp.isfile(osp.join(self.out_dir, MANIFEST)):
            return False
        self.shards.shard = None  # all slots from here on
        self.journal.heal(self.job)
        unfinished = self._unfinished()
        if unfinished:
            announce(unfinished, logging.WARNING)
            return False
        self._report()
        return True
