"""The jobs of a benchmark: data and weights, sets, and students as soon as their set is there."""
import os.path as osp
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Sequence, Union

from mmengine.config import Config

from mmdd.datasets.formats import SetContent
from mmdd.engine.preflight import check_job
from mmdd.engine.worker_jobs import Preparations, distill_job
from mmdd.protocols.protocol import FULL, read_protocol, student_config
from mmdd.protocols.sets import protocol_classes
from mmdd.protocols.student import check_network, label_job, plan_runs, read_result, student_job
from mmdd.protocols.student_check import check_student
from mmdd.protocols.teacher import ensure_teacher, planned_teachers
from mmdd.protocols.training import StudentRun
from mmdd.utils.cli import BAD_INPUT, one_line
from mmdd.utils.config import ConfigType, fingerprint
from mmdd.utils.grouping import grouped
from mmdd.utils.jobs import Job, Reporter, print_event, run_jobs
from mmdd.utils.pool import allowed_threads, default_jobs
from .set_jobs import Plan, SetJob, expected_length, weights_of
from .suite import Group

FULL_METHOD = 'Full'
# After data and weights: the full real set, whose students take longest, then sets.
FULL_SET, SETS, STUDENTS = 2, 3, 4


def set_workers(workers: Optional[int] = None) -> int:
    """Sets that are made at once: small networks do not fill several CPU cores; a GPU is one."""
    import torch
    most = 1 if torch.cuda.is_available() else min(default_jobs(), 4)
    return max(1, min(most, most if workers is None else workers))


@dataclass
class Trained:
    """The students of one group under one protocol."""
    config: Config  # the protocol with its teacher
    runs: List[StudentRun] = field(default_factory=list)  # of all different sets of a method
    errors: Dict[str, str] = field(default_factory=dict)  # why runs failed, by their keys
    failures: List[str] = field(default_factory=list)  # a line for each set without students
    repeats: List[str] = field(default_factory=list)  # a line for each method with equal sets


def folders_by_method(jobs: Sequence[SetJob], full: bool) -> Dict[str, List[str]]:
    """Folders of sets by method, with 'full' for the full real set where that is a method."""
    found = grouped((job.method.name, job.folder) for job in jobs)
    return {**found, FULL_METHOD: [FULL]} if full else found


class JobGraph:
    """Everything that a benchmark does, as a graph of jobs.

    Args:
        plan: See :func:`plan_sets`; the field ``error`` of sets that fail is filled in.
        work_dir: Where students go.
        seeds, full_seeds, students: See :func:`benchmark`.
        workers: Processes at once; :func:`default_jobs` if None, 0 works in this process.
    """

    def __init__(self, plan: Plan, work_dir: str, seeds: Sequence[int],
                 full_seeds: Optional[Sequence[int]] = None,
                 students: Union[str, Sequence[str]] = 'default',
                 workers: Optional[int] = None) -> None:
        self.plan, self.work_dir, self.workers = plan, work_dir, workers
        self.seeds, self.full_seeds = list(seeds), full_seeds
        self.sets = grouped((job.work_dir, job) for _, members in plan for job in members)
        self.jobs: Dict[str, Job] = {}
        self.protocols: Dict[str, Config] = {}
        self.complete: Dict[str, Config] = {}
        self.planned: Dict[str, List[StudentRun]] = {}
        # Why no student of a protocol can be trained, by its mark; '' where they can.
        self.refusals: Dict[str, str] = {}
        # Marks of the protocols that need a teacher which is to be trained, by its file.
        self.pupils: Dict[str, List[str]] = {}
        self.errors: Dict[str, str] = {}
        pending = self._pending()
        at_once = max(1, min(set_workers(workers), len(pending)))
        places = default_jobs() if workers is None else workers
        self.how: Dict[str, Any] = dict(places=max(1, places // at_once),
                                        threads=max(1, allowed_threads() // at_once))
        # Kind, weight and seconds of the job of each set, see Eta.
        self.sizes: Dict[str, Dict[str, Any]] = {}
        self.shared = Preparations(osp.dirname(osp.abspath(work_dir)), **self.how)
        for group, members in plan:
            self._try('', self._add_sizes, group, members)
        for job in pending:
            self._try(job.work_dir, self._add_set, job)
        for group, members in plan:
            for source in group.students(students).values():
                self._try('', self._add_students, group, members, source)

    def _try(self, name: str, add: Callable[..., None], *args: Any) -> None:
        """Add jobs; one that cannot be is a failure, and trained() says so of a protocol."""
        try:
            add(*args)
        except BAD_INPUT as error:
            self.errors[name] = one_line(error)

    def _pending(self) -> List[SetJob]:
        """Sets that are not finished, those first that others build on."""
        pending = []
        for work_dir, (job, *_) in self.sets.items():
            try:
                if not job.done:
                    pending.append(job)
            except ValueError as error:  # the folder of something else
                self.errors[work_dir] = one_line(error)
        kept = len(self.sets) - len(pending) - len(self.errors)
        if kept:
            print(f'{kept} of {len(self.sets)} sets are finished already', flush=True)
        return sorted(pending, key=lambda job: job.base is not None)

    def _add_sizes(self, group: Group, members: Sequence[SetJob]) -> None:
        for name, weight in weights_of(members).items():
            self.sizes[name] = dict(kind=f'set of {group.name}', weight=weight,
                                    seconds=group.seconds.get('set') or 0.)

    def _add_set(self, job: SetJob) -> None:
        """Add the job that distills a set, after its data, its weights and its base."""
        config, options, method = job.config, dict(job.options), job.method
        needs = self.shared.of_set(config)
        if any(self.shared.jobs[name].target for name in needs):  # before hours go into weights
            config.work_dir = job.work_dir
            check_job(config, resume=True)
        if job.base is not None and job.base.work_dir not in self.errors:
            options['train_cfg.reuse'] = job.base.folder
            needs += {job.base.work_dir} & set(self.jobs)
        self.jobs[job.work_dir] = distill_job(
            f'{method.name} seed {job.seed}',
            method.config if method.config_name else method.cfg.to_dict(), job.work_dir, options,
            method.folder, needs=needs, order=(SETS, -expected_length(job)), **self.how,
            **self.sizes.get(job.work_dir, {}))

    def _add_students(self, group: Group, members: Sequence[SetJob], source: ConfigType) -> None:
        """Add the students of a group under one protocol."""
        config = read_protocol(source)
        mark = fingerprint(config)
        self.protocols[mark] = config
        try:
            data = self.shared.of_config(config)
            ready = self.shared.of_checkpoints(planned_teachers(config, self.work_dir), data)
            self._check_before_teachers(mark, config)
        except BAD_INPUT:  # of its teachers, which the plan of each set's students says
            ready = []
        folders = {job.folder: job for job in members if job.work_dir not in self.errors}
        for folder, job in {**folders, **({FULL: None} if group.full else {})}.items():
            name = f'{mark} {folder}'
            if name in self.jobs:  # of another group
                continue
            needs = [*ready, *({job.work_dir} & set(self.jobs) if job else ())]
            title = job.method.name if job else FULL_METHOD
            self.jobs[name] = Job(name, f'{title}: students', needs=needs, weight=0.,
                                  plan=partial(self._plan_students, mark, title, folder))
            seeds = self.seeds if job or self.full_seeds is None else self.full_seeds
            for place, seed in enumerate(seeds):
                self.jobs[f'{name} {seed}'] = Job(
                    f'{name} {seed}', f'{title} student {seed}', needs=[name],
                    order=(STUDENTS if job else FULL_SET, ),
                    kind=f'{"student" if job else FULL_METHOD} {mark}',
                    seconds=group.seconds.get('student') or 0. if job else 0.,
                    plan=partial(self._plan_student, name, place))

    def _check_before_teachers(self, mark: str, config: Config) -> None:
        """Let the teachers of a protocol wait until the network of its students was looked at."""
        paths = [path for _, path in planned_teachers(config, self.work_dir)
                 if path in self.shared.jobs]
        name = f'{mark} network'
        if not paths or name in self.jobs:
            return
        self.jobs[name] = Job(name, 'network of the students', weight=0.,
                              needs=self.shared.of_config(config),
                              plan=partial(self._check_network_early, mark))
        for path in paths:
            teacher = self.shared.jobs[path]
            teacher.needs = [*teacher.needs, name]
            teacher.plan = partial(self._plan_teacher, path)
            self.pupils.setdefault(path, []).append(mark)

    def _check_network_early(self, mark: str, job: Job) -> None:
        """Check the network of a protocol, whose sets may be missing, as for IPC 1."""
        config = self.protocols[mark]
        classes = len(protocol_classes(config) or ())
        try:
            student = student_config(config, '', 0, SetContent(classes or 1, [], {}))
        except ValueError:  # a schedule for other sizes: the plan of each set's students says
            return
        self._refusal(mark, partial(check_student, student, classes))

    def _plan_teacher(self, path: str, job: Job) -> None:
        """Train a teacher only if one of the protocols that need it has students."""
        refusals = [self.refusals.get(mark) for mark in self.pupils[path]]
        if all(refusals):
            raise ValueError(refusals[0])

    def _plan_students(self, mark: str, title: str, folder: str, job: Job) -> None:
        """Plan the runs of a set, once it is there, and the stored labels that they need."""
        if mark not in self.complete:
            self.complete[mark] = ensure_teacher(self.protocols[mark], self.work_dir)
        runs = plan_runs({title: folder}, self.complete[mark], self.work_dir, self.seeds,
                         self.full_seeds)
        self.planned[job.name] = runs
        pending = next((run for run in runs if read_result(run) is None), None)
        if pending and (refusal := self._refusal(mark, partial(check_network, pending))):
            raise ValueError(refusal)
        labels = label_job(runs[0])
        if labels is not None:
            job.work, job.args, job.lock = labels.work, labels.args, labels.lock
            job.threads, job.alone = labels.threads, labels.alone

    def _refusal(self, mark: str, check: Callable[[], None]) -> str:
        """Why no student of a protocol can be trained, see ``refusals``; it is checked once."""
        if mark not in self.refusals:
            self.refusals[mark] = ''
            try:
                check()
            except ValueError as error:
                self.refusals[mark] = one_line(error)
        return self.refusals[mark]

    def _plan_student(self, name: str, place: int, job: Job) -> None:
        run = self.planned[name][place]
        if read_result(run) is None:
            one = student_job(run)
            job.work, job.args, job.target = one.work, one.args, one.target
            job.log, job.result = one.log, one.result

    def run(self, report: Reporter = print_event) -> None:
        """Do everything; what fails is in ``errors`` by the names of the jobs."""
        jobs = [*self.shared.jobs.values(), *self.jobs.values()]
        self.errors.update(run_jobs(jobs, self.workers, report))
        for work_dir, same in self.sets.items():
            log = self.jobs[work_dir].log if work_dir in self.jobs else ''
            for job in same:
                job.error = self.errors.get(work_dir)
                if job.error and osp.isfile(log):
                    job.error += f'; see {log}'

    def trained(self, group: Group, members: Sequence[SetJob], source: ConfigType) -> Trained:
        """What :meth:`run` made of the students of a group under one protocol."""
        mark = fingerprint(read_protocol(source))
        found = Trained(self.complete.get(mark, self.protocols[mark]))
        whole = [job for job in members if not job.error]
        for method, folders in folders_by_method(whole, bool(group.full)).items():
            names = [f'{mark} {folder}' for folder in folders]
            found.failures += [f'{method}: {self.errors[name]}' for name in names
                               if name in self.errors]
            there = [name for name in names if name not in self.errors]
            # Of sets with the same content only the runs of the first.
            runs: Dict[str, StudentRun] = {}
            for name in there:
                for run in self.planned[name]:
                    runs.setdefault(run.key, replace(run, method=method))
                    if f'{name} {run.seed}' in self.errors:
                        found.errors[run.key] = self.errors[f'{name} {run.seed}']
            different = len({run.folder for run in runs.values()})
            if different < len(there):
                found.repeats.append(f'{method}: {len(there)} sets hold {different} different '
                                     f'ones; each is trained on once')
            found.runs += runs.values()
        return found
