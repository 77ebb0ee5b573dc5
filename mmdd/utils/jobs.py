"""Jobs that need each other, in worker processes: what order, what fails, who is told."""
import graphlib
import os.path as osp
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple

from .cli import one_line
from .job_eta import Eta
from .pool import Pool, WorkerDied, default_jobs


@dataclass
class Job:
    """One piece of work.

    Attributes:
        name: What it is called in ``needs``; no two jobs share one.
        label: What it is called in lines.
        work: A function of a module that does it in a worker process. It may raise, or return
            one line that says why it failed.
        args: Its arguments.
        needs: Names of the jobs that must have succeeded before.
        target: The file that exists once the job is done; one that is there is kept.
        lock: Jobs of one lock run one after another, as those of one target do.
        log: File of its output, for the line of a failure.
        plan: Called with the job, in this process, as soon as what it needs is there; it may
            fill in the fields above, and raise. A job without work is done already.
        order: Of the jobs that could begin, the least one does.
        places: How many places of the pool it takes.
        threads: CPU threads of its process; torch's default if None.
        alone: Whether its process begins and ends with it, see :meth:`Pool.submit`.
        result: Called in this process when it is done, for what to say of it.
        kind, weight, seconds: What the time that is left is told from, see :class:`Eta`: jobs of
            one kind take time by their weight, 0 of one that only plans; ``seconds`` is what one
            of weight 1 is expected to take, 0 where nobody knows.
    """
    name: str
    label: str
    work: Optional[Callable[..., Optional[str]]] = None
    args: Tuple = ()
    needs: Sequence[str] = ()
    target: Optional[str] = None
    lock: str = ''
    log: str = ''
    plan: Optional[Callable[['Job'], None]] = None
    order: Tuple = ()
    places: int = 1
    threads: Optional[int] = 1
    alone: bool = False
    result: Callable[[], str] = lambda: 'done'
    kind: str = ''
    weight: float = 1.
    seconds: float = 0.


@dataclass(frozen=True)
class Event:
    """What happened to a job.

    Attributes:
        kind: 'begun', 'done', 'kept' (it was done already), 'failed', or 'left' (not run, as
            what it needs failed).
        job: The job.
        seconds: What it took.
        error: Why it failed or was left.
        finished: Jobs that are settled so far, this one among them.
        total: All jobs.
        eta: Seconds until all are, see :class:`Eta`.
    """
    kind: str
    job: Job
    seconds: float = 0.
    error: str = ''
    finished: int = 0
    total: int = 0
    eta: float = 0.


Reporter = Callable[[Event], None]


def print_event(event: Event) -> None:
    """Print a line for every job that took time, failed or was left."""
    job = event.job
    if event.kind in ('begun', 'kept'):
        return
    text = job.result() if event.kind == 'done' else event.error
    if event.kind == 'failed':
        text = f'failed: {text}{f"; see {job.log}" if osp.isfile(job.log) else ""}'
    print(f'[{event.finished}/{event.total}] {job.label}: {text}, {event.seconds:.0f} s, '
          f'eta {event.eta:.0f} s', flush=True)


def run_jobs(jobs: Sequence[Job], workers: Optional[int],
             report: Reporter = print_event) -> Dict[str, str]:
    """Do all jobs, each as soon as what it needs is done; a failure leaves the others alone.

    Args:
        jobs: The jobs. Of several with one target the first to begin makes it.
        workers: Processes at once; :func:`default_jobs` if None, 0 works in this process.
        report: Told of everything that happens.

    Returns:
        dict: Why a job failed or was left, by its name.

    Raises:
        ValueError: If jobs need one another in a circle, or one that there is not, or share a
            name.
    """
    return _Run(jobs, default_jobs() if workers is None else workers, report).run()


class _Run:
    """One run over a graph of jobs."""

    def __init__(self, jobs: Sequence[Job], size: int, report: Reporter) -> None:
        self.jobs = {job.name: job for job in jobs}
        unknown = {name for job in jobs for name in job.needs} - set(self.jobs)
        if unknown or len(self.jobs) < len(jobs):
            raise ValueError(f'jobs: {", ".join(sorted(unknown))} are needed and not there'
                             if unknown else 'jobs: two have the same name')
        self.graph = graphlib.TopologicalSorter({job.name: job.needs for job in jobs})
        try:
            self.graph.prepare()
        except graphlib.CycleError as error:
            raise ValueError(f'jobs need one another: {" -> ".join(error.args[1])}') from None
        self.size, self.report = size, report
        self.free = max(size, 1)
        self.ready: List[Job] = []
        self.running: Dict[Future, Tuple[Job, float]] = {}
        self.errors: Dict[str, str] = {}
        # Why the job behind a left one failed, which stands in all lines.
        self.reasons: Dict[str, str] = {}
        # Targets of this run, with the error of those that failed.
        self.made: Dict[str, str] = {}
        self.settled: Set[str] = set()
        self.eta = Eta(size)

    def run(self) -> Dict[str, str]:
        with Pool(self.size) as pool:
            while self.graph.is_active():
                while names := self.graph.get_ready():
                    for name in names:
                        self._plan(self.jobs[name])
                settled = len(self.settled)
                self._begin(pool)
                if self.running and len(self.settled) == settled:
                    done, _ = wait(self.running, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._finish(future)
        return self.errors

    def _plan(self, job: Job) -> None:
        """Settle a job that need not run; the others are ready."""
        failed = next((name for name in job.needs if name in self.errors), None)
        if failed is not None:
            self.reasons[job.name] = self.reasons[failed]
            self._settle(job, 'left', error=f'not run, {self.reasons[failed]}')
            return
        if job.plan is not None:
            try:
                job.plan(job)
            except Exception as error:  # one job's failure must not end the others
                self._settle(job, 'failed', error=one_line(error))
                return
        there = job.target and job.target not in self.made and osp.isfile(job.target)
        if job.work is None or there:
            self._settle(job, 'kept')
        else:
            self.ready.append(job)

    def _begin(self, pool: Pool) -> None:
        """Begin what there is room for, in order: a large job is not overtaken for ever."""
        busy = {lock for job, _ in self.running.values() for lock in (job.target, job.lock)
                if lock}
        for job in sorted(self.ready, key=lambda job: job.order):
            if job.target in self.made:
                self.ready.remove(job)
                error = self.made[job.target]
                self._settle(job, 'failed' if error else 'kept', error=error)
                continue
            if busy & {job.target, job.lock}:
                continue
            places = min(job.places, max(self.size, 1))
            if places > self.free:
                return
            self.ready.remove(job)
            self.free -= places
            busy.update(lock for lock in (job.target, job.lock) if lock)
            self._tell('begun', job)
            begin = time.perf_counter()
            assert job.work is not None, 'only jobs with work become ready'
            future = pool.submit(job.work, *job.args, threads=job.threads, alone=job.alone)
            self.running[future] = job, begin

    def _finish(self, future: Future) -> None:
        job, begin = self.running.pop(future)
        self.free += min(job.places, max(self.size, 1))
        try:
            error = future.result() or ''
        except WorkerDied as died:
            error = str(died)
        except Exception as raised:
            error = one_line(raised)
        if not error and job.target and not osp.isfile(job.target):
            error = f'{job.target} is not there afterwards'
        if job.target:
            self.made[job.target] = error
        seconds = time.perf_counter() - begin
        if not error:
            self.eta.add(job, seconds)
        self._settle(job, 'failed' if error else 'done', seconds, error)

    def _settle(self, job: Job, kind: str, seconds: float = 0., error: str = '') -> None:
        if error:
            self.errors[job.name] = error
            self.reasons.setdefault(job.name, f'{job.label} failed: {error}')
        self.settled.add(job.name)
        self.graph.done(job.name)
        self._tell(kind, job, seconds, error)

    def _tell(self, kind: str, job: Job, seconds: float = 0., error: str = '') -> None:
        begun = {one.name: begin for one, begin in self.running.values()}
        now = time.perf_counter()
        eta = self.eta.left((one, now - begun.get(name, now)) for name, one in self.jobs.items()
                            if name not in self.settled)
        self.report(Event(kind, job, seconds, error, len(self.settled), len(self.jobs), eta))
