"""What a benchmark found: the one form between students and tables, plots and pages."""
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Dict, List, Optional, Tuple

from mmdd.datasets.set_facts import mean_cost
from mmdd.protocols.results import MethodRuns, Run, by_method, is_random_method
from mmdd.protocols.settings import ProtocolSettings
from mmdd.registry import MODELS
from mmdd.utils.io import atomic_write_json
from mmdd.utils.mean_std import MeanStd
from mmdd.utils.typed_json import from_json

# Counts up when the fields below change.
VERSION = 3
# The budget of the full real set.
ALL = 'all'


@dataclass
class SetResult:
    """One distilled set of a method."""
    seed: int  # ``model.seed`` of its distillation
    folder: str  # where it is
    error: Optional[str] = None  # why it failed, if it did
    facts: Optional[Dict[str, Any]] = None  # see :func:`set_facts`; None of a set that failed


@dataclass
class MethodResult:
    """A method or baseline: what was distilled, and what is known of it."""
    name: str  # its name in the tables
    curve: str  # methods of one curve are one line of a plot over budgets
    budget: str  # budget in words; 'all' of the full real set
    config: str = ''  # config file of the distillation; '' where there is none
    added: bool = False  # whether the benchmark added it, as the random baseline of a budget
    deterministic: bool = False  # whether no seed changes its sets, so that one stands for all
    options: Dict[str, Any] = field(default_factory=dict)  # dotted options merged into its config
    # ``base``, ``label`` and ``value`` of a method of a sweep.
    sweep: Optional[Dict[str, Any]] = None
    # Name, title and address of its paper, see :func:`paper_entry`.
    reference: Dict[str, str] = field(default_factory=dict)
    # The paper's values by student and metric.
    paper: Dict[str, Dict[str, MeanStd]] = field(default_factory=dict)
    # What training its proxy cost, see :func:`training_facts`.
    proxy: Optional[Dict[str, Any]] = None
    sets: List[SetResult] = field(default_factory=list)  # its sets; none of the full real set
    dataset: Optional[Dict[str, Any]] = None  # config of the real set
    image_size: Any = None  # size of its images
    proxy_config: Optional[Dict[str, Any]] = None  # config of its proxy
    checkpoint: Optional[str] = None  # weights of that

    @property
    def full(self) -> bool:
        """Whether it is the full real set."""
        return not self.sets

    def paper_of(self, student: str, metric: str) -> Optional[MeanStd]:
        """The paper's value for a kind of student."""
        return self.paper.get(student, {}).get(metric)

    @property
    def facts(self) -> List[Dict[str, Any]]:
        """Facts of the sets that are whole."""
        return [entry.facts for entry in self.sets if entry.facts]

    @property
    def cost(self) -> Dict[str, float]:
        """See :func:`mean_cost`."""
        return mean_cost(self.facts)

    @property
    def kind(self) -> str:
        """The class that made its sets, as their manifests name it; '' where none is whole."""
        return str(self.facts[0]['method']) if self.facts else ''

    @property
    def is_random(self) -> bool:
        """Whether its sets are real images drawn at random."""
        return is_random_method(self.kind)

    @property
    def is_baseline(self) -> bool:
        """Whether its sets are real images, however chosen."""
        kind = MODELS.get(self.kind.rpartition('.')[2]) if self.kind else None
        return bool(getattr(kind, 'takes_over', False))


@dataclass
class StudentResult:
    """What one kind of student learned from all methods: one table."""
    name: str  # its name; '' where the configs give it none
    config: str  # the protocol as text
    settings: ProtocolSettings  # the protocol in words
    runs: List[Run]  # all its runs
    warnings: List[str] = field(default_factory=list)  # what a reader must not miss

    @cached_property
    def methods(self) -> Dict[str, MethodRuns]:
        """Its runs by method."""
        return by_method(self.runs)

    @property
    def measured(self) -> Dict[str, MethodRuns]:
        """Those with at least one finished run."""
        return {name: row for name, row in self.methods.items() if row.finished}

    def runs_of(self, method: MethodResult) -> MethodRuns:
        """The runs of a method, of which there may be none."""
        return self.methods.get(method.name) or MethodRuns(method.name, [])

    @property
    def finished(self) -> List[Run]:
        """The runs that did not fail."""
        return [run for row in self.methods.values() for run in row.finished]

    @property
    def title(self) -> str:
        """Its name, or its network, and the kind of labels it learns from."""
        shared = self.settings.shared
        loss = shared.get('loss')
        if 'label' in self.name or not loss:
            return self.name or str(shared.get('model', 'students'))
        return f'{self.name or shared["model"]}, {loss} labels'


@dataclass
class RobustScores:
    """Scores of DD-Ranking for one method."""
    # Mean and standard deviation over the runs, of those among HLR, IOR, LRS and ARS that could be
    # computed.
    values: Dict[str, MeanStd]
    runs: List[Dict[str, Any]]  # ``seed``, ``set`` and the scores of each run


@dataclass
class GroupResult:
    """Methods that share student protocols, hence tables."""
    name: str  # heading of its tables
    task: str  # task of its protocols
    metrics: List[str]  # columns of its protocols
    full: bool = False  # whether the full real set is among the methods
    # Methods, in order, that add one component each.
    ablation: List[str] = field(default_factory=list)
    methods: List[MethodResult] = field(default_factory=list)  # its methods
    # What each kind of student learned.
    students: List[StudentResult] = field(default_factory=list)
    repeats: List[str] = field(default_factory=list)  # lines on sets that are the same
    failures: List[str] = field(default_factory=list)  # lines on what failed
    scores: Dict[str, RobustScores] = field(default_factory=dict)  # scores of DD-Ranking by method

    def randoms(self, student: StudentResult) -> Dict[str, MethodRuns]:
        """The measured random baseline by budget; given ones win over added ones."""
        found = sorted(self.measured(student), key=lambda item: not item[0].added)
        return {method.budget: row for method, row in found if method.is_random}

    def measured(self, student: StudentResult) -> List[Tuple[MethodResult, MethodRuns]]:
        """The methods that have a finished run, with their runs."""
        return [(method, student.runs_of(method)) for method in self.methods
                if student.runs_of(method).finished]

    def gap(self, student: StudentResult, method: MethodResult, metric: str) -> Optional[MeanStd]:
        """Last value of a method less that of Random at its budget; None where one is missing."""
        row, random = student.runs_of(method), self.randoms(student).get(method.budget)
        if random is None or random.method == method.name or not row.finished:
            return None
        return row.measured(metric) - random.measured(metric)

    def prefix(self, student: StudentResult) -> str:
        """What names a student before a sentence, where there are several."""
        return f'{student.title}: ' if len(self.students) > 1 else ''


@dataclass
class Results:
    """The content of ``results.json``."""
    title: str  # heading of the report
    command: str  # the command line
    created: str  # date and time
    commit: Optional[str]  # commit of mmdd
    machine: Dict[str, Any]  # see :func:`machine_facts`
    versions: Dict[str, str]  # version by package
    # ``sets``, ``seeds``, ``students``, ``full_seeds`` and ``cfg_options``.
    settings: Dict[str, Any]
    groups: List[GroupResult] = field(default_factory=list)  # what was found
    version: int = VERSION  # of this form

    @property
    def methods(self) -> List[MethodResult]:
        """The methods of all groups."""
        return [method for group in self.groups for method in group.methods]

    @property
    def failures(self) -> List[str]:
        """One line for everything that failed, group by group."""
        return [f'{group.name}: {line}' for group in self.groups for line in group.failures]

    def write(self, path: str) -> None:
        """Write the file."""
        atomic_write_json(path, asdict(self))

    @classmethod
    def read(cls, path: str) -> 'Results':
        """Read the file.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is no such file, or one of another version.
        """
        try:
            with open(path, encoding='utf-8') as f:
                content = json.load(f)
        except FileNotFoundError:
            raise FileNotFoundError(
                f'{path} not found; give the results.json of a benchmark') from None
        except (OSError, ValueError) as error:
            raise ValueError(f'{path} is no results.json of a benchmark ({error})') from None
        if not isinstance(content, dict) or not {'groups', 'versions'} <= set(content):
            raise ValueError(f'{path} is no results.json of a benchmark (no groups and versions)')
        if content.get('version') != VERSION:
            raise ValueError(f'{path} was written by another version of mmdd; run its benchmark '
                             f'again, which keeps what is finished and writes the file anew')
        content.pop('non_finite', None)
        return from_json(cls, content, path)
