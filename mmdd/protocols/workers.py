"""Independent jobs in worker processes: a failing or dying one does not end the others."""
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, TypeVar

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
    if not pending:
        return
    workers, own = jobs or default_jobs(), None if _KEPT else _Pools()
    if own:
        workers = min(workers, len(pending))
    pools, unfinished = own or _KEPT[-1], list(pending)
    try:
        for job, error in _in_pool(pools.get(workers), work, pending):
            unfinished.remove(job)
            yield job, error
        if unfinished:
            pools.drop(workers)
    finally:
        if own:
            own.close()
    # A dead worker takes its whole pool along: the rest is tried again, each in its own.
    for job in unfinished:
        with _pool(1) as pool:
            yield next(_in_pool(pool, work, [job]),
                       (job, 'its worker process died twice (out of memory?)'))


@contextmanager
def kept_workers() -> Iterator[None]:
    """Within the block worker processes are kept: what they import is imported once."""
    _KEPT.append(_Pools())
    try:
        yield
    finally:
        _KEPT.pop().close()


class _Pools:
    """Pools of worker processes by their size, started when they are needed."""

    def __init__(self) -> None:
        self._pools: Dict[int, ProcessPoolExecutor] = {}

    def get(self, workers: int) -> ProcessPoolExecutor:
        if workers not in self._pools:
            self._pools[workers] = _pool(workers)
        return self._pools[workers]

    def drop(self, workers: int) -> None:
        self._pools.pop(workers).shutdown()

    def close(self) -> None:
        for workers in list(self._pools):
            self.drop(workers)


# Those of kept_workers(), the innermost last.
_KEPT: List[_Pools] = []


def worker_context() -> BaseContext:
    """The multiprocessing context of jobs that need a process of their own.

    On CPU they are forked from a server that has imported what most jobs need, which takes
    longer than many a job on small networks; each still has memory, settings and crashes to
    itself. With a GPU they start from nothing, as CUDA does not survive a fork.
    """
    import torch
    if torch.cuda.is_available() or 'forkserver' not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['mmdd.benchmark.preload'])  # counts until the first process
    return context


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, worker_context(), _start_worker, (_devices(workers), ))


def _in_pool(pool: ProcessPoolExecutor, work: Work,
             pending: Sequence[Job]) -> Iterator[Tuple[Job, Optional[str]]]:
    """Do jobs in worker processes; those that are lost with their worker are not yielded."""
    futures = {}
    for job in pending:
        try:
            futures[pool.submit(work, job)] = job
        except BrokenProcessPool:
            return
    for future in as_completed(futures):
        try:
            error = future.result()
        except BrokenProcessPool:
            continue
        yield futures[future], error


def _start_worker(devices: Optional[Any]) -> None:
    """Give a worker its one CPU thread and, where there are GPUs, its device."""
    import torch
    end_with_parent()
    if devices is not None:
        # CUDA_VISIBLE_DEVICES would come too late: importing mmengine has asked for the GPUs.
        torch.cuda.set_device(devices.get())
    torch.set_num_threads(1)


def end_with_parent() -> None:
    """Let this process end as soon as the one that started it is gone, killed or not.

    One that worked on would write into the folders of the next try.
    """
    parent = multiprocessing.parent_process()

    def wait() -> None:
        parent.join()
        os._exit(1)

    if parent is not None:
        threading.Thread(target=wait, daemon=True).start()


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
