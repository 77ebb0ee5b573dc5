"""Locks between jobs that share a folder, perhaps on several machines."""
import errno
import os
import os.path as osp
from contextlib import contextmanager, suppress
from typing import Callable, Iterator, Optional

from filelock import FileLock, Timeout

from .progress import announce
from .rank_zero import ask_rank_0, meet

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


@contextmanager
def sole(path: Optional[str], refusal: str) -> Iterator[None]:
    """Run a block in one job at a time; another one is refused at once.

    All ranks of a job enter together. The system frees the lock of a process that dies.

    Args:
        path: The lock file, in a folder of such files. Both are made, and removed afterwards:
            the folder with its last file. None for a block that needs none.
        refusal: What another job is told.

    Raises:
        ValueError: If another job is in the block, or the file system has no locks.
    """
    if path is None:
        yield
        return
    lock = FileLock(path)
    if not _ask(lock, 0.):
        meet(error=ValueError(f'{refusal} (it holds {path})'))
    try:
        yield
    finally:
        if lock.is_locked:
            _remove(lock)
            with suppress(OSError):
                os.rmdir(osp.dirname(path))


def forget_lock(path: str) -> None:
    """Remove the lock file of :func:`alone`, unless a process has the lock."""
    lock = FileLock(path)
    with suppress(ValueError):
        if osp.isfile(path) and _try(lock, 0.):
            _remove(lock)


def _remove(lock: FileLock) -> None:
    """Let a lock go without its file. Whoever has opened that meanwhile makes it anew."""
    with suppress(OSError):
        os.unlink(lock.lock_file)
    lock.release()


def _acquire(lock: FileLock) -> None:
    """Wait for a lock, with a line that says so."""
    timeout = 0.
    while not _ask(lock, timeout):
        if not timeout:
            announce(f'waiting for another process, which holds {lock.lock_file}')
        timeout = PATIENCE


def _ask(lock: FileLock, timeout: float) -> bool:
    """Whether rank 0 got a lock in time; all ranks learn it.

    Raises:
        ValueError: If the file system has no locks.
    """
    return ask_rank_0(lambda: _try(lock, timeout))


def _try(lock: FileLock, timeout: float) -> bool:
    """Whether the lock was got in time; its folder is made, which another job may remove."""
    try:
        os.makedirs(osp.dirname(osp.abspath(lock.lock_file)), exist_ok=True)
        lock.acquire(timeout=timeout)
        return True
    except Timeout:
        return False
    except (OSError, NotImplementedError) as error:
        if getattr(error, 'errno', None) in (errno.ENOENT, errno.ESTALE):  # removed meanwhile
            return _try(lock, timeout)
        reason = getattr(error, 'strerror', None) or error
        raise ValueError(f'{lock.lock_file} cannot be locked ({reason}): shards need a folder on '
                         f'a file system with locks') from None
