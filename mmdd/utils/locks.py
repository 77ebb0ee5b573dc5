"""Locks between jobs that share a folder, perhaps on several machines."""
from contextlib import contextmanager
from typing import Callable, Iterator, Optional

from filelock import FileLock, Timeout
from mmengine.dist import broadcast_object_list, get_rank

from .progress import announce

# Seconds that a rank waits before it tells the others of its job that it still does; well below
# the timeout of a process group.
PATIENCE = 30.


@contextmanager
def alone(path: Optional[str], until: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Run a block in one job at a time; the others wait.

    All ranks of a job enter together. The system frees the lock of a process that dies.

    Args:
        path: The lock file; None for a block that needs none.
        until: Says, with the lock held, whether what must be made once is there: then the block
            runs without the lock, beside others.

    Raises:
        ValueError: If the file system has no locks.
    """
    if path is None:
        yield
        return
    lock = FileLock(path)
    _acquire(lock)
    try:
        first = not until()
        if first:
            yield
    finally:
        lock.release()
    if not first:
        yield


@contextmanager
def unless_taken(path: str, wait: bool = False) -> Iterator[bool]:
    """A block that gets whether this job has a lock, and has it until the end.

    Args:
        path: The lock file.
        wait: Wait until other jobs have let it go; the block always has it then.

    Raises:
        ValueError: If the file system has no locks.
    """
    lock = FileLock(path)
    if wait:
        _acquire(lock)
    mine = wait or _ask(lock, 0.)
    try:
        yield mine
    finally:
        lock.release()


def _acquire(lock: FileLock) -> None:
    """Wait on rank 0 for the lock, on the others for rank 0."""
    timeout = 0.
    while not _ask(lock, timeout):
        if not timeout:
            announce(f'waiting for another process, which holds {lock.lock_file}')
        timeout = PATIENCE


def _ask(lock: FileLock, timeout: float) -> bool:
    """Whether rank 0 got the lock in time, told to all ranks."""
    answer = [_try(lock, timeout) if get_rank() == 0 else None]
    broadcast_object_list(answer)
    if isinstance(answer[0], str):
        raise ValueError(f'{lock.lock_file} cannot be locked ({answer[0]}): shards need a '
                         f'folder on a file system with locks')
    return bool(answer[0])


def _try(lock: FileLock, timeout: float) -> object:
    """Whether the lock was got in time, or why it cannot be."""
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        return False
    except (OSError, NotImplementedError) as error:
        return str(getattr(error, 'strerror', None) or error)
    return True
