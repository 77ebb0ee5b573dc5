"""Results of students: one run, and what the runs of one method say together."""
import math
import statistics
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from mmdd.utils.grouping import grouped
from mmdd.utils.mean_std import MeanStd
from .sets import FULL

LAST, BEST = 'last', 'best'
# What a manifest calls the method whose sets are real images drawn at random.
RANDOM_METHOD = 'RandomCoreset'
# An accuracy up to this multiple of 1 / K is called chance.
CHANCE = 1.5


def is_random_method(method: Any) -> bool:
    """Whether sets of a method, as their manifests name it, are random real images."""
    return str(method).rsplit('.', 1)[-1] == RANDOM_METHOD


@dataclass
class Run:
    """One student: trained on one set with one seed, and tested on real data."""
    method: str  # name of the method that made the set
    set: str  # folder of the set, or 'full'
    seed: int  # seed of the training
    key: str = ''  # name of the run, see :func:`run_key`
    images: int = 0  # images of the set
    updates: int = 0  # updates of the student
    seconds: float = 0.  # what its training took; ``total_seconds`` counts the tests as well
    # Metrics after the last update, by column of the protocol.
    last: Dict[str, float] = field(default_factory=dict)
    # Metrics at the selected checkpoint, on the test split; None where none is selected.
    best: Optional[Dict[str, float]] = None
    last_step: Optional[int] = None  # iteration (or epoch) of the last checkpoint
    best_step: Optional[int] = None  # that of the selected one
    select: Optional[str] = None  # split that selected it: 'val', 'test' or None
    num_classes: Optional[int] = None  # classes of the protocol
    total_seconds: Optional[float] = None  # see ``seconds``
    lr: Optional[float] = None  # learning rate that was picked in place of the protocol's
    # Labels it learns from, a key of ``REGIMES``; None of other tasks than classification.
    regime: Optional[str] = None
    label_mib: Optional[float] = None  # MiB of its soft labels on disk; 0 without any
    error: Optional[str] = None  # why the run failed; the metrics are empty then
    log: Optional[str] = None  # what a failed run printed

    @property
    def full(self) -> bool:
        """Whether it is trained on the full real set."""
        return self.set == FULL

    def metrics(self, which: str = LAST) -> Dict[str, float]:
        """Metrics of the 'last' or the 'best' checkpoint; empty where there are none."""
        return (self.last if which == LAST else self.best) or {}

    def value(self, metric: str, which: str = LAST) -> float:
        """One of :meth:`metrics`."""
        return self.metrics(which)[metric]


@dataclass
class MethodRuns:
    """The runs of one method: a row of a table. Failed ones are counted, not averaged."""
    method: str  # name of the method
    runs: List[Run]  # its runs; several sets have several runs of a seed

    @cached_property
    def finished(self) -> List[Run]:
        """The runs that did not fail."""
        return [run for run in self.runs if run.error is None]

    @property
    def failed(self) -> int:
        """How many failed."""
        return len(self.runs) - len(self.finished)

    @property
    def first(self) -> Run:
        """The first finished run: images, updates and settings are the same in all."""
        return self.finished[0]

    @property
    def full(self) -> bool:
        """Whether they are trained on the full real set."""
        return any(run.full for run in self.runs)

    @property
    def seconds(self) -> float:
        """Mean seconds of a training."""
        return statistics.fmean(run.seconds for run in self.finished)

    @property
    def num_sets(self) -> int:
        """How many sets they are trained on, failed ones counted."""
        return len({run.set for run in self.runs})

    @cached_property
    def by_set(self) -> Dict[str, List[Run]]:
        """Finished runs by the folder of their set."""
        return grouped((run.set, run) for run in self.finished)

    def values(self, metric: str, which: str = LAST) -> List[float]:
        """A metric of every finished run that has it."""
        return [run.value(metric, which) for run in self.finished if metric in run.metrics(which)]

    def mean(self, metric: str, which: str = LAST) -> Optional[MeanStd]:
        """A metric over all finished runs of all sets; None where there is none."""
        values = self.values(metric, which)
        return MeanStd.of(values) if values else None

    def measured(self, metric: str, which: str = LAST) -> MeanStd:
        """:meth:`mean` of a metric that a finished run has."""
        mean = self.mean(metric, which)
        assert mean is not None, f'no finished run of {self.method} has {metric}'
        return mean

    def means(self, which: str = LAST) -> Dict[str, MeanStd]:
        """:meth:`mean` of every metric that the first finished run has."""
        names = self.first.metrics(which) if self.finished else ()
        return {name: self.measured(name, which) for name in names}

    def between_sets(self, metric: str, which: str = LAST) -> Optional[float]:
        """Standard deviation of the means of the sets; None of a single set."""
        return MeanStd.of([*map(statistics.fmean, self._sets(metric, which))] or [0.]).std

    def within_sets(self, metric: str, which: str = LAST) -> Optional[float]:
        """Standard deviation of runs, pooled over the sets; None of one run on each set."""
        sets = self._sets(metric, which)
        free = sum(len(values) - 1 for values in sets)
        squares = sum((len(values) - 1) * statistics.variance(values)
                      for values in sets if len(values) > 1)
        return math.sqrt(squares / free) if free > 0 else None

    def _sets(self, metric: str, which: str) -> List[List[float]]:
        """A metric of every finished run that has it, set by set."""
        return list(grouped((run.set, run.value(metric, which)) for run in self.finished
                            if metric in run.metrics(which)).values())

    def paired_difference(self, other: 'MethodRuns',
                          metric: str) -> Optional[Tuple[float, float]]:
        """Mean difference of runs of equal seeds, and half of its 95 % interval.

        Of a seed the mean over all sets counts. Student's t distribution; None with fewer than
        two common seeds.
        """
        from scipy import stats
        mine, theirs = ({seed: statistics.fmean(values) for seed, values in grouped(
            (run.seed, run.value(metric)) for run in one.finished).items()}
                        for one in (self, other))
        gaps = [mine[seed] - theirs[seed] for seed in mine if seed in theirs]
        if len(gaps) < 2:
            return None
        gap = MeanStd.of(gaps)
        error = (gap.std or 0.) / math.sqrt(len(gaps))
        return gap.mean, float(stats.t.ppf(0.975, len(gaps) - 1)) * error

    def to_json(self) -> Dict[str, Any]:
        """The row as plain data: how many runs, and the means of their metrics."""
        row: Dict[str, Any] = dict(method=self.method, runs=len(self.finished), failed=self.failed,
                                   sets=self.num_sets)
        if self.finished:
            row.update(images=self.first.images, updates=self.first.updates, seconds=self.seconds,
                       select=self.first.select, lr=self.first.lr, regime=self.first.regime,
                       label_mib=self.first.label_mib)
            for which in (LAST, BEST):
                row[which] = {name: asdict(value) for name, value in self.means(which).items()}
        return row


def by_method(runs: Sequence[Run]) -> Dict[str, MethodRuns]:
    """Runs by the name of their method, in the order in which the methods come."""
    return {method: MethodRuns(method, own)
            for method, own in grouped((run.method, run) for run in runs).items()}


def warnings_of(methods: Mapping[str, MethodRuns], task: str) -> List[str]:
    """Lines a reader must not miss: failed runs, and classification at chance level, 1 / K."""
    lines = []
    for name, row in methods.items():
        if row.failed:
            lines.append(f'{name}: {row.failed} of {len(row.runs)} runs failed and are left out')
        classes = row.first.num_classes if row.finished else None
        if task != 'classification' or not classes or classes < 2:
            continue
        metric, value = next(iter(row.means().items()))
        chance = 100. / classes
        if value.mean <= CHANCE * chance:
            lines.append(f'{name}: {metric} {value.mean:.1f} is near chance ({chance:.1f} for '
                         f'{classes} classes): check the labels and the order of the classes, the '
                         f'learning rate and the number of updates')
    return lines
