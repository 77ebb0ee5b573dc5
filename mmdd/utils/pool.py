"""Worker processes that die alone: one that is killed takes its own job along, no other."""
import heapq
import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Callable, Dict, Optional, Tuple


class WorkerDied(RuntimeError):
    """The process of a job ended before the job did."""


def default_jobs() -> int:
    """One worker per GPU, or per CPU core this process may use."""
    import torch
    if torch.cuda.is_available():
        return torch.cuda.device_count()
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


class Pool:
    """Runs functions in worker processes.

    An executor of several processes fails all of its jobs where one process dies, so every
    worker is an executor of one process. As a context it waits for its jobs; where the block
    ends with an error, as that of Ctrl-C, it ends them.

    Args:
        size: Processes at once; 0 works in this process.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._threads = ThreadPoolExecutor(max(size, 1))
        self._lock = threading.Lock()
        self._free = list(range(size))
        # By their place, which has the GPU of that number.
        self._workers: Dict[int, _Worker] = {}
        self._closed = False

    def submit(self, work: Callable[..., Any], *args: Any, threads: Optional[int] = 1,
               alone: bool = False) -> Future:
        """Begin a job as soon as a process is free.

        Args:
            work: A function of a module, which worker processes can import.
            args: Its arguments.
            threads: CPU threads of the job; torch's default if None.
            alone: Whether it gets a fresh process that ends with it: its memory and
                process-wide settings reach no other job.

        Returns:
            Future: Of what ``work`` returns or raises; of :class:`WorkerDied` where its process
            died.
        """
        if self.size:
            return self._threads.submit(self._work, work, args, threads, alone)
        future: Future = Future()
        try:
            future.set_result(work(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _work(self, work: Callable[..., Any], args: Tuple, threads: Optional[int],
              alone: bool) -> Any:
        with self._lock:
            place = heapq.heappop(self._free)
        try:
            if alone:
                self._end(place)
            try:
                return self._worker(place).do(_with_threads, threads, work, args)
            except WorkerDied:
                alone = True
                raise
            finally:
                if alone:
                    self._end(place)
        finally:
            with self._lock:
                heapq.heappush(self._free, place)

    def _worker(self, place: int) -> '_Worker':
        with self._lock:
            if self._closed:
                raise WorkerDied('the pool is closed')
            if place not in self._workers:
                self._workers[place] = _Worker(place)
            return self._workers[place]

    def _end(self, place: int) -> None:
        with self._lock:
            worker = self._workers.pop(place, None)
        if worker is not None:
            worker.close()

    def __enter__(self) -> 'Pool':
        return self

    def __exit__(self, kind: Any, *error: Any) -> None:
        if kind is not None:
            with self._lock:
                self._closed = True
                workers = list(self._workers.values())
            for worker in workers:
                worker.kill()
        self._threads.shutdown(cancel_futures=kind is not None)
        for place in list(self._workers):
            self._end(place)


class _Worker:
    """An executor of one process, which starts with its first job."""

    def __init__(self, place: int) -> None:
        self._executor = ProcessPoolExecutor(1, worker_context(), _start_worker, (place, ))
        self._process: Optional[BaseProcess] = None
        self._killed = False

    def do(self, work: Callable[..., Any], *args: Any) -> Any:
        try:
            if self._process is None:
                pid = self._executor.submit(os.getpid).result()
                self._process = next((child for child in multiprocessing.active_children()
                                      if child.pid == pid), None)
            if self._killed:
                raise WorkerDied('its worker process was ended')
            return self._executor.submit(work, *args).result()
        except BrokenProcessPool:
            self._executor.shutdown()
            code = self._process and self._process.exitcode
            raise WorkerDied('its worker process died'
                             + (f' with exit code {code}' if code is not None else '')
                             + ' (out of memory?)') from None

    def kill(self) -> None:
        self._killed = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        self._executor.shutdown()


def worker_context() -> BaseContext:
    """The multiprocessing context of worker processes.

    On CPU they are forked from a server that has imported what most jobs need, which takes
    longer than many a job on small networks; each still has memory, settings and crashes to
    itself. With a GPU they start from nothing, as CUDA does not survive a fork.
    """
    import torch
    if torch.cuda.is_available() or 'forkserver' not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['mmdd.utils.preload'])  # counts until the first process
    return context


def _start_worker(place: int) -> None:
    """Tie a worker to its parent and, where there are GPUs, to the one of its place."""
    end_with_parent()
    # Ctrl-C reaches every process of a terminal: the parent ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch
    if torch.cuda.is_available():
        # CUDA_VISIBLE_DEVICES would come too late: importing mmengine has asked for the GPUs.
        torch.cuda.set_device(place % torch.cuda.device_count())


def _with_threads(threads: Optional[int], work: Callable[..., Any], args: Tuple) -> Any:
    import torch
    if threads:
        torch.set_num_threads(threads)
    return work(*args)


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
