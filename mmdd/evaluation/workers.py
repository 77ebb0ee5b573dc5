"""Independent jobs in worker processes: a failing or dying one does not end the others."""
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple, TypeVar

Job = TypeVar('Job')
# Does a job; returns one line where it failed, and never raises.
Work = Callable[[Job], Optional[str]]


def default_jobs() -> int:
    """One worker per GPU, or per CPU core this process may use."""
    import torch
    if torch.cuda.is_available():
        return torch.cuda.device_count()
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


def execute(work: Work, pending: Sequence[Job],
            jobs: Optional[int]) -> Iterator[Tuple[Job, Optional[str]]]:
    """Do every job; yields each with its error, as they finish.

    Args:
        work: A function of a module, which worker processes can import.
        pending: The jobs.
        jobs: Worker processes; :func:`default_jobs` if None, 0 works in this process.
    """
    if jobs == 0:
        for job in pending:
            yield job, work(job)
        return
    unfinished: List[Job] = list(pending)
    for job, error in _in_pool(work, pending, min(jobs or default_jobs(), len(pending))):
        unfinished.remove(job)
        yield job, error
    # A dead worker takes its whole pool along: the rest is tried again, each in its own.
    for job in unfinished:
        yield next(_in_pool(work, [job], 1),
                   (job, 'its worker process died twice (out of memory?)'))


def _in_pool(work: Work, pending: Sequence[Job],
             workers: int) -> Iterator[Tuple[Job, Optional[str]]]:
    """Do jobs in worker processes; those that are lost with their worker are not yielded."""
    if not pending:
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context('spawn'), _start_worker,
                             (_devices(workers), )) as pool:
        futures = {pool.submit(work, job): job for job in pending}
        for future in as_completed(futures):
            try:
                error = future.result()
            except BrokenProcessPool:
                continue
            yield futures[future], error


def _start_worker(devices: Optional[Any]) -> None:
    """Give a worker its one CPU thread and, where there are GPUs, its device."""
    import torch
    if devices is not None:
        # CUDA_VISIBLE_DEVICES would come too late: importing mmengine has asked for the GPUs.
        torch.cuda.set_device(devices.get())
    torch.set_num_threads(1)


def _devices(workers: int) -> Optional[Any]:
    """A queue with one GPU number per worker, or None without a GPU."""
    import torch
    count = torch.cuda.device_count()
    if not count:
        return None
    queue = multiprocessing.get_context('spawn').Queue()
    for i in range(workers):
        queue.put(i % count)
    return queue
