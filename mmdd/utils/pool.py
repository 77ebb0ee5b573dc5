"""Worker processes that die alone: one that is killed takes its own job along, no other."""
import heapq
import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any, Callable, Dict, Optional, Tuple, Union


class WorkerDied(RuntimeError):
    """The process of a job ended before the job did."""


def default_jobs() -> int:
    """One worker per GPU, or per CPU core this process may use."""
    import torch
    if torch.cuda.is_available():
        return torch.cuda.device_count()
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def allowed_threads() -> int:
    """CPU threads for all jobs together: OMP_NUM_THREADS where it is set, else the cores."""
    given = os.environ.get('OMP_NUM_THREADS', '')
    return int(given) if given.isdigit() and int(given) else default_jobs()


class Pool:
    """Runs functions in worker processes.

    The pools of concurrent.futures and loky fail all of their jobs where one process dies; here
    every thread of an executor has a process of its own. As a context it waits for its jobs;
    where the block ends with an error, as that of Ctrl-C, it ends them.

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
            return self._threads.submit(self._work, (work, args, threads), alone)
        future: Future = Future()
        try:
            future.set_result(work(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _work(self, job: Tuple, alone: bool) -> Any:
        with self._lock:
            place = heapq.heappop(self._free)
        try:
            if alone:
                self._end(place)
            worker = self._workers.get(place) or self._start(place)
            try:
                return worker.do(job)
            finally:
                if alone or not worker.process.is_alive():
                    self._end(place)
        finally:
            with self._lock:
                heapq.heappush(self._free, place)

    def _start(self, place: int) -> '_Worker':
        worker = _Worker(place)
        with self._lock:
            self._workers[place] = worker
            if self._closed:
                worker.process.kill()
        return worker

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
                for worker in self._workers.values():
                    worker.process.kill()
        self._threads.shutdown(cancel_futures=kind is not None)
        for place in list(self._workers):
            self._end(place)


class _Worker:
    """A process that does one job after another, until its pipe is closed."""

    def __init__(self, place: int) -> None:
        context = worker_context()
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, place))
        self.process.start()
        theirs.close()

    def do(self, job: Tuple) -> Any:
        try:
            self._pipe.send(job)
            # A process that it left behind may hold the other end of the pipe.
            if self._pipe not in wait([self._pipe, self.process.sentinel]):
                raise EOFError
            error, value = self._pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            raise WorkerDied(f'its worker process died with exit code {self.process.exitcode} '
                             f'(out of memory?)') from None
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        self._pipe.close()
        self.process.join()


def worker_context() -> Union[SpawnContext, ForkServerContext]:
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


def _serve(pipe: Connection, place: int) -> None:
    """What a worker does; where there are GPUs, on the one of its place."""
    end_with_parent()
    # Ctrl-C reaches every process of a terminal: the parent ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch
    if torch.cuda.is_available():
        # CUDA_VISIBLE_DEVICES would come too late: importing mmengine has asked for the GPUs.
        torch.cuda.set_device(place % torch.cuda.device_count())
    while True:
        try:
            work, args, threads = pipe.recv()
        except EOFError:
            return
        if threads:
            torch.set_num_threads(threads)
        answer: Tuple[Optional[Exception], Any]
        try:
            answer = None, work(*args)
        except Exception as error:
            answer = error, None
        pipe.send(answer)


def end_with_parent() -> None:
    """Let this process end as soon as the one that started it is gone, killed or not.

    One that worked on would write into the folders of the next try.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
