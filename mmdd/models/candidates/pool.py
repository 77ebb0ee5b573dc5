"""A pool of candidates for each slot: cheap ones first, the best one is the image."""
import time
from dataclasses import dataclass, replace
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmdd.registry import TASK_UTILS
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.finite import NO_SCORE
from mmdd.utils.seed import derive_seed
from ..diffusions.sampling import SamplingRun
from ..proxies.scoring import score_samples

NETWORKS = dict(proxy=('proxy', ), judge=('judge', ), both=('proxy', 'judge'))


@dataclass
class Candidate:
    """One candidate for the image of a slot.

    Attributes:
        slot: The slot with the candidate's own seed.
        owner: Index of the slot in the batch.
        number: Which candidate of its slot it is, from 0.
        screening: Denoiser evaluations until the choice of those that go on.
        run: The batch that it is on its way in, and its place there.
        sample: What came out in the end.
        score: What the finished ones are compared by, higher is better.
    """
    slot: DistillSlot
    owner: int
    number: int
    screening: int = 0
    run: Optional[Tuple[SamplingRun, int]] = None
    sample: Optional[DistilledSample] = None
    score: float = 0.


@TASK_UTILS.register_module()
class CandidatePool:
    """Tries several candidates for every slot and keeps the best one.

    Candidate k of a slot has the seed ``derive_seed('candidate', slot.seed, k)``, so a retry in
    another round draws fresh ones, and no candidate depends on its batch mates. Candidates of
    several slots share batches. Which one was kept and what all of them took stands in the
    manifest, per image in ``stats``: ``candidates``, ``candidates_sampled`` (those that were
    sampled to the end), ``candidate`` (the one that was kept), ``screening_passes`` (denoiser
    evaluations until the choice of those that go on) and ``denoiser_passes`` (all of them).

    With S steps of the diffusion, b branches (2 with classifier-free guidance), n candidates,
    of which m are kept, one image takes b n S evaluations without a screen, b (n s + m S) with
    'unguided' and s ``screen_steps``, and b (n h + m (S - h)) with 'halfway' after h steps.

    Args:
        size: n, candidates of a slot.
        keep: m, how many of them are sampled to the end; counts only with a screen.
        screen: 'unguided': all candidates are first drawn in ``screen_steps`` steps without
            the hooks, through the small decoder where there is one; those of the highest
            score are drawn anew, in full and with the hooks. 'halfway': all candidates go the
            first part of the guided way; those whose clean estimate has the least energy
            there go on. None: all candidates are sampled in full.
        screen_steps: s, denoising steps of the unguided screen.
        screen_share: Share of the steps, in (0, 1), that lies before the choice 'halfway'; at
            least one step is before it and one behind.
        by: What scores: 'proxy', 'judge', or 'both', which takes the lesser of both scores,
            and halfway the sum of the places by both energies. Of equal candidates the first
            is kept.
        batch_size: Candidates that are denoised together; that of the loop if None.

    Raises:
        ValueError: If an argument is out of range.
    """

    runtime_settings = ('batch_size', )
    limits = dict(size=dict(low=1), keep=dict(low=1), screen=('unguided', 'halfway', None),
                  screen_steps=dict(low=1), screen_share=dict(above=0, high=1),
                  by=tuple(NETWORKS), batch_size=dict(low=1))

    def __init__(self,
                 size: int = 8,
                 keep: int = 2,
                 screen: Optional[str] = 'unguided',
                 screen_steps: int = 8,
                 screen_share: float = 0.5,
                 by: str = 'proxy',
                 batch_size: Optional[int] = None) -> None:
        if screen not in ('unguided', 'halfway', None):
            raise ValueError(
                f"CandidatePool: screen must be 'unguided', 'halfway' or None, got {screen!r}")
        if by not in NETWORKS:
            raise ValueError(f"CandidatePool: by must be 'proxy', 'judge' or 'both', got {by!r}")
        if not 1 <= keep <= size and screen is not None or size < 1:
            raise ValueError(
                f'CandidatePool: 1 <= keep <= size must hold, got keep {keep}, size {size}')
        if screen_steps < 1 or not 0 < screen_share < 1:
            raise ValueError(f'CandidatePool: screen_steps must be at least 1 and screen_share in '
                             f'(0, 1), got {screen_steps} and {screen_share}')
        if batch_size is not None and batch_size < 1:
            raise ValueError(f'CandidatePool: batch_size must be at least 1, got {batch_size}')
        self.size = size
        self.keep = size if screen is None else keep
        self.screen = screen
        self.screen_steps = screen_steps
        self.screen_share = screen_share
        self.by = by
        self.batch_size = batch_size

    @property
    def needs(self) -> Tuple[str, ...]:
        """Parts of the distiller without which it cannot work."""
        return ('diffusion', ) + NETWORKS[self.by]

    def samplings(self, steps: int) -> float:
        """Denoiser evaluations of one image as a multiple of those without a pool.

        Args:
            steps: Denoising steps of the diffusion.
        """
        if self.screen == 'unguided':
            return self.size * self.screen_steps / steps + self.keep
        if self.screen == 'halfway':
            before = self._steps_before(steps) / steps
            return self.size * before + self.keep * (1 - before)
        return self.size

    def sample(self, distiller: Any, slots: Sequence[DistillSlot],
               call_hook: Callable) -> List[DistilledSample]:
        """Make one sample for each slot.

        Args:
            distiller: The distiller, for its networks and for what a slot starts from.
            slots: Slots of one batch.
            call_hook: ``runner.call_hook``, to fire the denoising stages.
        """
        begin = time.perf_counter()
        tried = [Candidate(replace(slot, seed=derive_seed('candidate', slot.seed, k)), owner, k)
                 for owner, slot in enumerate(slots) for k in range(self.size)]
        batch_size = self.batch_size or len(slots)
        kept = tried
        if self.screen is not None:
            with distiller.timed('screen'):
                kept = self._screened(distiller, tried, batch_size, call_hook)
        for batch in batches(kept, batch_size):
            self._complete(distiller, batch, call_hook)
        seconds = (time.perf_counter() - begin) / len(slots)
        return [self._best(slot, [one for one in tried if one.owner == owner], seconds)
                for owner, slot in enumerate(slots)]

    def _screened(self, distiller: Any, tried: List[Candidate], batch_size: int,
                  call_hook: Callable) -> List[Candidate]:
        """The candidates that are sampled to the end, in order."""
        if self.screen == 'halfway':
            distiller.diffusion.check_regrouping()
        costs: List[Tensor] = []
        for batch in batches(tried, batch_size):
            costs.append(self._draft(distiller, batch) if self.screen == 'unguided' else
                         self._go_halfway(distiller, batch, call_hook))
        table = torch.cat(costs, 1).nan_to_num(float('inf'))
        return [tried[begin + i] for begin in range(0, len(tried), self.size)
                for i in least(table[:, begin:begin + self.size], self.keep).tolist()]

    def _draft(self, distiller: Any, batch: List[Candidate]) -> Tensor:
        """Negative scores (1, B) of unguided drafts."""
        slots = [one.slot for one in batch]
        init, strength = distiller.initial_latents(slots)
        images, stats = distiller.diffusion.sample(
            slots, init=init, strength=strength, steps=self.screen_steps, fast=True)
        for one, stat in zip(batch, stats):
            one.screening = stat['denoiser_passes']
        return -self._scores(distiller, distiller.as_samples(slots, images, stats))[None]

    def _go_halfway(self, distiller: Any, batch: List[Candidate],
                    call_hook: Callable) -> Tensor:
        """Energies (networks, B) of the clean estimates after the first part of the steps."""
        slots = [one.slot for one in batch]
        init, strength = distiller.initial_latents(slots)
        diffusion = distiller.diffusion
        run = diffusion.begin(slots, init, strength, call_hook=call_hook)
        diffusion.advance(run, self._steps_before(len(run.timesteps)), call_hook)
        for i, one in enumerate(batch):
            one.run, one.screening = (run, i), run.state.stats[i]['denoiser_passes']
        with torch.no_grad():
            images = run.state.decode(run.state.denoised)
            return torch.stack([getattr(distiller, name).energy(images, slots).float().cpu()
                                for name in NETWORKS[self.by]])

    def _steps_before(self, steps: int) -> int:
        """Denoising steps before the choice halfway."""
        if steps < 2:
            raise ValueError(f"CandidatePool: screen='halfway' needs at least 2 denoising steps, "
                             f"there is {steps}; take another screen")
        return min(max(1, round(self.screen_share * steps)), steps - 1)

    def _complete(self, distiller: Any, batch: List[Candidate], call_hook: Callable) -> None:
        """Sample candidates to the end and score them."""
        slots = [one.slot for one in batch]
        if self.screen == 'halfway':
            diffusion = distiller.diffusion
            run = diffusion.regroup([one.run for one in batch], call_hook)
            diffusion.advance(run, len(run.timesteps), call_hook)
            samples = distiller.as_samples(slots, *diffusion.finish(run, call_hook))
        else:
            samples = distiller.draw(slots, call_hook)
        scores = self._scores(distiller, samples)
        for one, sample, score in zip(batch, samples, scores.tolist()):
            one.run, one.sample, one.score = None, sample, score

    def _scores(self, distiller: Any, samples: List[DistilledSample]) -> Tensor:
        """Scores (B,) of samples, see ``by``; the networks' predictions stay with them.

        A sample that failed has the least score; one without a finite score fails.
        """
        scores = torch.stack([score_samples(samples, getattr(distiller, name), name).float().cpu()
                              for name in NETWORKS[self.by]]).amin(0)
        for sample, finite in zip(samples, torch.isfinite(scores).tolist()):
            if not finite and not sample.failure:
                sample.failure, sample.accepted = NO_SCORE, False
        failed = torch.tensor([bool(sample.failure) for sample in samples])
        return scores.masked_fill(failed, float('-inf'))

    def _best(self, slot: DistillSlot, tried: List[Candidate], seconds: float) -> DistilledSample:
        """The sample of a slot: the best of its finished candidates, with the cost of all."""
        finished = [(one, one.sample) for one in tried if one.sample is not None]
        best, sample = max(finished, key=lambda pair: pair[0].score)  # the first of equal ones
        screening = sum(one.screening for one in tried)
        passes = sum(made.stats['denoiser_passes'] for _, made in finished)
        if self.screen == 'halfway':  # their way until then counts already
            passes -= sum(one.screening for one, _ in finished)
        stats = dict(sample.stats, denoiser_passes=screening + passes,
                     screening_passes=screening, candidates=len(tried),
                     candidates_sampled=len(finished), candidate=best.number)
        return replace(sample, slot=slot, seconds=seconds, stats=stats)


def batches(candidates: Sequence[Candidate], size: int) -> Iterator[List[Candidate]]:
    """Candidates in batches of at most ``size``."""
    for begin in range(0, len(candidates), size):
        yield list(candidates[begin:begin + size])


def least(costs: Tensor, num: int) -> Tensor:
    """Indices (num,), ascending, of the candidates of least cost.

    Args:
        costs: (networks, n) costs; several networks count by the sum of the places that they
            give, so that their units do not matter.
        num: How many are chosen; of equal ones the first.
    """
    if len(costs) > 1:
        costs = costs.argsort(dim=1, stable=True).argsort(dim=1, stable=True).sum(0, keepdim=True)
    return costs[0].argsort(stable=True)[:num].sort().values
