"""How long the jobs that are left will take."""
from typing import Dict, Iterable, Protocol, Tuple


class Sized(Protocol):
    """What is known of a job before it runs, see :class:`mmdd.utils.jobs.Job`."""
    kind: str
    weight: float
    seconds: float
    places: int


class Eta:
    """Seconds until jobs are done, by what finished ones of their kind took for their weight.

    A kind of which none is finished takes the seconds that its jobs expect; of one that expects
    none, each job takes the mean of all that are finished.

    Args:
        places: Places of the pool, which the jobs share.
    """

    def __init__(self, places: int) -> None:
        self.places = max(places, 1)
        self.took: Dict[str, Tuple[float, float]] = {}  # seconds and weights by kind
        self.total, self.count = 0., 0

    def add(self, job: Sized, seconds: float) -> None:
        """Count a job that is done; one without weight says nothing of others."""
        if not job.weight:
            return
        before = self.took.get(job.kind, (0., 0.))
        self.took[job.kind] = before[0] + seconds, before[1] + job.weight
        self.total, self.count = self.total + seconds, self.count + 1

    def left(self, jobs: Iterable[Tuple[Sized, float]]) -> float:
        """Seconds until jobs are done.

        Args:
            jobs: Those that are not, each with the seconds that it has been running for.
        """
        work = sum(max(0., self._seconds(job) - elapsed) * min(job.places, self.places)
                   for job, elapsed in jobs)
        return work / self.places

    def _seconds(self, job: Sized) -> float:
        seconds, weight = self.took.get(job.kind, (0., 0.))
        if weight:
            return job.weight * seconds / weight
        if job.seconds:
            return job.weight * job.seconds
        return job.weight * self.total / self.count if self.count else 0.
