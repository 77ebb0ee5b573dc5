"""The loop that turns a real set into a distilled one."""
import os.path as osp
from collections import Counter
from typing import Any, Callable, Dict, List, Literal, Optional, Tuple, Union

import torch
from mmengine.dist import barrier, get_rank, get_world_size
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop
from torch.utils.data import DataLoader

from mmdd.datasets.annotations import with_unique_ids
from mmdd.datasets.checks import check_real_set
from mmdd.datasets.class_counts import count_classes, report_counts
from mmdd.datasets.manifest import MANIFEST, image_entry, write_manifest
from mmdd.datasets.originals import with_originals
from mmdd.registry import LOOPS, TASK_UTILS
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.io import remove_leftovers
from mmdd.utils.progress import Progress, announce
from .attempts import best_round, count_made, is_open, report_open_slots, scalars
from .auto_batch import AUTO, auto_batch_size
from .cost import CostLog
from .failures import ATTEMPTS, FailureWatch, all_failed, fail_bad_images, fail_bad_scores
from .job import describe_job
from .job_text import set_scalars
from .journal import Journal
from .raw_samples import RawSamples
from .stored_samples import StoredSamples


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
    a killed job is resumed with ``resume=True`` and yields the same set.

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
        resume: Go on with a job that was interrupted.
        reuse: Distilled set of a job that differs in having no refiners: its
            images are refined instead of being made again.
    """

    runtime_settings = ('batch_size', 'resume', 'out_dir', 'reuse')
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
                 reuse: Optional[str] = None) -> None:
        if (batch_size != AUTO and batch_size < 1) or max_rounds < 1:
            raise ValueError(
                f'DistillLoop: batch_size and max_rounds must be at least 1, got {batch_size} '
                f'and {max_rounds}')
        if isinstance(dataloader, dict):
            dataloader = dict(dataloader, sampler=dict(type='mmdd.WholeSetSampler'))
        super().__init__(runner, dataloader)
        self.budget = TASK_UTILS.build(budget)
        self.writer = TASK_UTILS.build(writer)
        self.journal = Journal(out_dir or f'{runner.work_dir}/distilled')
        self.batch_size = batch_size
        self.max_rounds = max_rounds
        self.rounds = max(max_rounds, ATTEMPTS)
        self.failures = FailureWatch()
        self.resume = resume
        self.reuse = reuse
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
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.open_journal()
        self._timed('prepare', self.prepare, deploy=True)
        self._timed('plan', self.plan)
        self._timed('synthesize', self.synthesize)
        barrier()
        if get_rank() == 0:
            with self.distiller.timed('write'):
                self.write()
        barrier()
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
        if get_rank() == 0:
            self.journal.open(self.job, self.resume)
        barrier()
        self.cost = CostLog(self.journal.folder, self.distiller.clock, finished)
        if self.reuse is not None:
            self.raw = RawSamples(self.reuse, self.job['raw_samples'])

    def prepare(self) -> None:
        """Step 1: check the real set, let the distiller collect from it."""
        dataset = self.dataloader.dataset
        if get_rank() == 0:
            check_real_set(dataset)
        barrier()
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
        self.distiller.finish_collect(self.journal.folder)

    def plan(self) -> None:
        """Step 2: turn the budget into slots."""
        if self.distiller.prompt_file is None:
            self.distiller.prompt_file = f'{self.journal.folder}/prompts.jsonl'
        if self.distiller.prompter is not None:
            self.distiller.prompter.keep_in(self.runner.work_dir)
        if get_rank() == 0:
            # Once: prompts may cost money, features time. The others read it.
            slots = self.distiller.plan(self.budget)
            if self.distiller.takes_over:
                slots = with_originals(slots, self.dataloader.dataset)
            self.journal.store_plan(slots)
        barrier()
        self.slots = [DistillSlot.from_dict(entry) for entry in self.journal.read_plan()]
        self.writer.check(self.distiller.classes, self.slots)
        self.distiller.set_stages.check(self.slots)
        announce(f'{self.budget}: {len(self.slots)} images to make in {self.out_dir}')

    def synthesize(self) -> None:
        """Steps 3 and 4: rounds of synthesis, refinement and topping up."""
        for round in range(self.rounds):
            pending = self._open_slots(round)
            if not pending:
                break
            if self.batch_size == AUTO:
                self.batch_size = auto_batch_size(self)
            batches = self._open_batches(pending)
            self._max_iters = max(1, self._iter + len(batches))
            if round:
                why = 'rejected' if round < self.max_rounds else 'without an image'
                announce(f'round {round + 1} of {self.rounds}: {len(pending)} of '
                         f'{len(self.slots)} slots were {why} and are tried again')
            for batch in batches:
                self.run_iter(batch)
            barrier()
        report_open_slots(self.slots, self._attempts(), self.max_rounds, self.distiller)

    def _open_slots(self, round: int) -> List[DistillSlot]:
        """Slots that no earlier round filled, seeded for this one.

        Attempts of this round do not count: all ranks get the same list, also
        those that ask after another one has begun. Beyond ``max_rounds`` only those are
        open whose attempts all failed.
        """
        done = self._attempts()
        return [slot.retry(self.distiller.seed, round) for slot in self.slots
                if is_open(done.get(slot.id, {}), round, self.max_rounds)]

    def _open_batches(self, pending: List[DistillSlot]) -> List[List[DistillSlot]]:
        """This rank's batches of a round that are not finished.

        A batch that was cut short is made whole again: kernels round differently
        in batches of other sizes, and a resumed job must give the same bytes.
        """
        mine = pending[get_rank()::get_world_size()]
        batches = [mine[i:i + self.batch_size] for i in range(0, len(mine), self.batch_size)]
        return [batch for batch in batches
                if not all((slot.id, slot.round) in self.journal for slot in batch)]

    def _attempts(self) -> Dict[int, Dict[int, dict]]:
        """Records of finished attempts by slot and round."""
        attempts: Dict[int, Dict[int, dict]] = {}
        for slot, round in self.journal.keys():
            if round < self.rounds:
                attempts.setdefault(slot, {})[round] = self.journal.read((slot, round))
        return attempts

    def run_iter(self, slots: List[DistillSlot]) -> None:
        """Step 3 for one batch: synthesize, refine, keep."""
        self.runner.call_hook('before_train_iter', batch_idx=self._iter, data_batch=None)
        samples = self.raw.find(slots) if self.raw is not None else None
        if samples is None:
            samples = self.distiller.distill_step(slots, self.runner.call_hook)
        made = fail_bad_images(samples)
        if made:
            self.distiller.refine(made)
            made = fail_bad_scores(made)
        for sample in samples:
            if (sample.slot.id, sample.slot.round) not in self.journal:
                self.journal.write(sample)
        self.runner.call_hook('after_train_iter', batch_idx=self._iter, data_batch=None,
                              outputs=scalars(samples))
        if made:
            self.runner.call_hook('after_distill_iter', samples=made)
        self.cost.save()
        self._iter += 1
        self.failures.add(samples, self.distiller)

    def write(self) -> None:
        """Step 5: write the images of the best attempts, then the manifest."""
        remove_leftovers(self.out_dir)
        attempts = self._attempts()
        self.journal.require(self.slots)
        entries, samples = [], []
        for slot in self._chosen_slots(attempts):
            key = (slot.id, slot.round)
            rounds = len(attempts[slot.id])
            for sample in self.distiller.set_stages.expand(self.journal.load_sample(slot, key)):
                written = self.writer.write(sample, self.out_dir, self.distiller.classes)
                entries.append(image_entry(sample, written, self.distiller.classes, rounds))
                if self.distiller.set_stages.expanders:
                    # Not in the journal, where hooks would look for it.
                    sample.path = osp.join(self.out_dir, written[0])
                sample.image = None
                samples.append(sample)
        files = self.writer.close(samples, self.out_dir, self.distiller.classes)
        summary = self._summary(attempts, samples)
        report_counts(summary['per_class'])
        self.runner.call_hook('before_manifest', samples=samples, summary=summary)
        path = write_manifest(self.out_dir, entries, files, **summary)
        self.runner.visualizer.add_scalars(set_scalars(summary), step=self._iter)
        announce(f'{summary["budget_met"]} of {summary["budget_asked"]} images pass '
                 f'({summary["images_made"]} made): {path}')

    def _chosen_slots(self, attempts: Dict[int, Dict[int, dict]]) -> List[DistillSlot]:
        """The slots whose images form the set, seeded for the round that counts."""
        best = [slot.retry(self.distiller.seed, best_round(attempts[slot.id]))
                for slot in self.slots if not all_failed(attempts[slot.id])]
        if not self.distiller.set_stages.choosers:
            return best
        groups: Dict[int, List[DistillSlot]] = {}
        for slot in best:
            groups.setdefault(slot.group, []).append(slot)
        return [members[i] for group, members in groups.items() for i in
                self.distiller.set_stages.choose(
                    StoredSamples(self.journal, members), self.distiller,
                    self._group_sizes[group])]

    @property
    def _group_sizes(self) -> Dict[int, int]:
        """Slots of the plan in each of the budget's groups."""
        return Counter(slot.group for slot in self.slots)

    def _summary(self, attempts: Dict[int, Dict[int, dict]],
                 samples: List[DistilledSample]) -> Dict[str, Any]:
        tried = [record for own in attempts.values() for record in own.values()]
        asked = sum(map(self.distiller.set_stages.images, self._group_sizes.values()))
        return dict(
            method=type(self.distiller).__name__, job=self.job,
            classes=list(self.distiller.classes), format=self.writer.facts(),
            budget=str(self.budget),
            budget_asked=asked, budget_met=sum(sample.accepted for sample in samples),
            per_class=count_classes(samples, self.distiller.classes),
            **count_made(attempts),
            cost=self.cost.report(self.runner.cfg.model, tried, len(samples)),
            config=self.runner.cfg.pretty_text)


def check_proxy_classes(proxy, classes: Tuple[str, ...], part: str = 'proxy') -> None:
    """Check that a proxy knows the classes of the real set in the same order.

    Args:
        proxy: The proxy; None and one that does not say its classes pass.
        classes: Class names of the real set by index.
        part: Its part in the job, 'proxy' or 'judge'.

    Raises:
        ValueError: If it was trained on other class names or another order.
    """
    names: Optional[tuple] = getattr(proxy, 'classes', None)
    if names is not None and names != classes:
        raise ValueError(
            f'the {part} was trained on classes {names[:5]}... ({len(names)}), the real set has '
            f'{classes[:5]}... ({len(classes)}): names and order must agree')
