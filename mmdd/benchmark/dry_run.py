"""What a benchmark would do, what of it is finished, and how long the rest may take."""
import os.path as osp
import statistics
from dataclasses import dataclass, field
from typing import Any, List, Mapping, Optional, Sequence, Set, Tuple, Union

from mmdd.datasets.set_facts import set_facts
from mmdd.engine.journal import Journal
from mmdd.protocols.protocol import FULL, read_protocol
from mmdd.protocols.student import plan_runs, read_result
from mmdd.utils.cli import BAD_INPUT
from mmdd.utils.config import ConfigType
from mmdd.utils.pool import default_jobs
from .jobs import folders_by_method, set_workers
from .set_jobs import Plan, SetJob, expected_length
from .suite import Group


@dataclass
class Work:
    """What is done and what is left of one kind, with the seconds of what is done."""
    total: int = 0
    done: int = 0
    seconds: List[float] = field(default_factory=list)
    # Seconds of one that is left, where more is known than the mean of the finished ones.
    expected: Optional[float] = None

    def __add__(self, other: 'Work') -> 'Work':
        return Work(self.total + other.total, self.done + other.done,
                    self.seconds + other.seconds)

    @property
    def left(self) -> int:
        """How many are to be made."""
        return self.total - self.done

    def each(self, stated: Optional[float]) -> Optional[float]:
        """Seconds of one that is left: as expected, else as the finished ones, else as stated."""
        if self.expected is not None:
            return self.expected
        return statistics.fmean(self.seconds) if self.seconds else stated


def describe_benchmark(plan: Plan, work_dir: str, seeds: Sequence[int],
                       students: Union[str, Sequence[str]] = 'default', full: bool = False,
                       full_seeds: Optional[Sequence[int]] = None,
                       jobs: Optional[int] = None) -> List[str]:
    """Methods, sets, students and an estimate of the time; arguments as of :func:`benchmark`.

    Raises:
        ValueError: If a folder holds the set of another config.
    """
    lines = [line for group, members in plan for line in describe_sets(group, members)]
    counted: Set[Any] = set()
    minutes: List[Optional[float]] = []
    for group, members in plan:
        trained = Work()
        for name, protocol in group.students(students).items():
            one = student_work(members, protocol, work_dir, seeds, full_seeds,
                               full or bool(group.full), counted)
            lines.append(f'{group.name}: {one.done} of {one.total} students'
                         f'{f" ({name})" if name else ""} are trained')
            trained += one
        sets = set_work(members, group.seconds.get('set'))
        line, value = describe_time(sets, trained, group.seconds, jobs)
        lines.append(f'{group.name}: {line}')
        minutes.append(value)
    if len(plan) > 1 and None not in minutes:
        lines.append(f'together: about {sum(filter(None, minutes)):.0f} min')
    return lines


def describe_sets(group: Group, members: Sequence[SetJob]) -> List[str]:
    """One line per method: how many of its sets are finished."""
    lines = [f'{group.name}:']
    for method in group.methods:
        mine = [job for job in members if job.method is method]
        done = sum(job.done for job in mine)
        begun = sum(1 for job in mine if not job.done for _ in Journal(job.folder).keys())
        more = f', {begun} images of the others' if begun else ''
        added = ' (added: the random baseline of this budget)' if method.added else ''
        lines.append(f'  {method.name}: {done} of {len(mine)} sets are finished{more}; '
                     f'{method.budget}, {mine[0].work_dir}{added}')
    return lines


def set_work(members: Sequence[SetJob], stated: Optional[float] = None) -> Work:
    """The sets of a group, with the seconds of one by the suite; shared ones count once."""
    jobs = {job.work_dir: job for job in members}.values()
    took, lengths = [], []
    for job in jobs:
        if not job.done:
            lengths.append(expected_length(job))
        elif seconds := set_facts(job.folder)['cost'].get('distill_seconds'):
            took.append((expected_length(job), seconds))
    return Work(len(jobs), len(jobs) - len(lengths), [seconds for _, seconds in took],
                expected_seconds(took, lengths, stated))


def expected_seconds(took: Sequence[Tuple[float, float]], lengths: Sequence[float],
                     stated: Optional[float]) -> Optional[float]:
    """Mean seconds of the sets that are left: the long ones are made first, coresets last.

    A sampled set takes its share of what the finished ones took, by :func:`expected_length`; one
    of length 0 copies images and takes as long as its like. None where nothing is finished or
    nothing is left.

    Args:
        took: Length and seconds of each finished set.
        lengths: Lengths of those that are left.
        stated: Seconds of a set of a kind of which none is finished; the mean of all if None.
    """
    if not took or not lengths:
        return None
    total = 0.
    for sampled in (True, False):
        # Sets of copied images are all of one length.
        ours = [(length or 1., s) for length, s in took if bool(length) == sampled]
        left = [length or 1. for length in lengths if bool(length) == sampled]
        if ours:
            total += sum(left) * sum(s for _, s in ours) / sum(length for length, _ in ours)
        else:
            each = stated if stated is not None else statistics.fmean(s for _, s in took)
            total += len(left) * each
    return total / len(lengths)


def student_work(members: Sequence[SetJob], protocol: ConfigType, work_dir: str,
                 seeds: Sequence[int], full_seeds: Optional[Sequence[int]],
                 full: bool, counted: Set[Any]) -> Work:
    """The students of one protocol; ``counted`` of groups before, as on the full set, are not."""
    cfg, runs = read_protocol(protocol), {}
    finished = [job for job in members if job.done]
    work = Work((len(members) - len(finished)) * len(seeds))
    for method, folders in folders_by_method(finished, full).items():
        own = full_seeds if folders == [FULL] and full_seeds is not None else seeds
        try:
            for run in plan_runs({method: folders}, cfg, osp.join(work_dir, 'students'), own):
                runs[run.key] = run
        except BAD_INPUT:  # its data or its sets are not there yet
            missing = {(str(protocol), folder, seed) for folder in folders for seed in own}
            work.total += len(missing - counted)
            counted.update(missing)
    found = [read_result(run) for key, run in runs.items() if key not in counted]
    counted.update(runs)
    return work + Work(len(found), len(found) - found.count(None), [
        result.total_seconds or result.seconds for result in found if result is not None])


def describe_time(sets: Work, students: Work, stated: Mapping[str, float],
                  jobs: Optional[int] = None) -> Tuple[str, Optional[float]]:
    """How long what is left may take: one line, and minutes, None where nothing tells."""
    seconds, parts = 0., []
    for name, work, workers in (('set', sets, set_workers(jobs)),
                                ('student', students, 1 if jobs == 0 else jobs or default_jobs())):
        if not work.left:
            continue
        each = work.each(stated.get(name))
        if each is None:
            return (f'{sets.left} sets and {students.left} students are left; no estimate: none '
                    f'of them is finished, and the suite states no seconds'), None
        seconds += work.left * each / min(workers, work.left)
        parts.append(f'{work.left} {name}{"s" if work.left > 1 else ""} of {each:.0f} s, '
                     f'{min(workers, work.left)} at once')
    if not parts:
        return 'everything is finished', 0.
    return f'{" and ".join(parts)}: about {seconds / 60:.0f} min', seconds / 60
