"""Locks between jobs that share a folder, perhaps on several machines."""
import errno
import os
import os.path as osp
from contextlib import contextmanager, suppress
from typing import Callable, Iterator, Optional

from filelock import FileLock, Timeout

from .progress import announce
from .rank_zero import ask_rank_0, meet

# What a training holds in its folder.
LOCK = 'training.lock'
# Seconds that a rank waits before it tells the others of its job that it still does; well below
# the timeout of a process group.
PATIENCE = 30.
# Seconds after which a lock is held for a job, and not for a look at it.
PROBE = 0.3


@contextmanager
def alone(path: Optional[str], until: Callable[[], bool] = lambda: False,
          needed: bool = True) -> Iterator[None]:
    """Run a block in one job at a time; the others wait.

    All ranks of a job enter together. The system frees the lock of a process that dies.

    Args:
        path: The lock file; None for a block that needs none.
        until: Says, with the lock held, whether what must be made once is there: then the block
            runs without the lock, beside others.
        needed: Whether a file system without locks is an error; else there is no lock there.

    Raises:
        ValueError: If the file system has no locks.
    """
    if path is None:
        yield
        return
    lock = FileLock(path)
    _acquire(lock, needed)
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
def sole(path: Optional[str], refusal: str, needed: bool = True,
         excludes: Callable[[str], bool] = lambda name: False) -> Iterator[None]:
    """Run a block in one job at a time; another one is refused at once.

    All ranks of a job enter together. The system frees the lock of a process that dies.

    Args:
        path: The lock file, in a folder of such files. Both are made, and removed afterwards:
            the folder with its last file. None for a block that needs none.
        refusal: What another job is told.
        needed: Whether a file system without locks is an error; else there is no lock there.
        excludes: Says of the names of other files in the folder whether a job that holds one
            refuses this one, too.

    Raises:
        ValueError: If another job is in the block, or the file system has no locks.
    """
    if path is None:
        yield
        return
    lock = FileLock(path)
    try:
        held = ask_rank_0(lambda: _held(lock, needed, excludes))
        if held:
            meet(error=ValueError(f'{refusal} (it holds {held})'))
        yield
    finally:
        _remove(lock)
        with suppress(OSError):
            os.rmdir(osp.dirname(path))


def _held(lock: FileLock, needed: bool, excludes: Callable[[str], bool]) -> Optional[str]:
    """The lock file that keeps a job out of :func:`sole`; None if it has its lock now."""
    if not _try(lock, 0., needed):
        return lock.lock_file
    folder, own = osp.split(lock.lock_file)
    others = sorted(filter(excludes, os.listdir(folder))) if lock.is_locked else []
    for name in others:
        other = FileLock(osp.join(folder, name))
        if name != own and not _try(other, PROBE):
            _remove(lock)
            return other.lock_file
        if name != own:
            _remove(other)  # of a process that was killed
    return None


def forget_lock(path: str) -> None:
    """Remove the lock file of :func:`alone`, unless a process has the lock."""
    lock = FileLock(path)
    with suppress(ValueError):
        if osp.isfile(path) and _try(lock, 0.):
            _remove(lock)


def _remove(lock: FileLock) -> None:
    """Let a lock that is held go without its file; who has opened that meanwhile makes it anew."""
    if lock.is_locked:
        with suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()


def _acquire(lock: FileLock, needed: bool = True) -> None:
    """Wait for a lock, with a line that says so."""
    timeout = 0.
    while not _ask(lock, timeout, needed):
        if not timeout:
            announce(f'waiting for another process, which holds {lock.lock_file}')
        timeout = PATIENCE


def _ask(lock: FileLock, timeout: float, needed: bool = True) -> bool:
    """Whether rank 0 got a lock in time; all ranks learn it.

    Raises:
        ValueError: If the file system has no locks.
    """
    return ask_rank_0(lambda: _try(lock, timeout, needed))


def _try(lock: FileLock, timeout: float, needed: bool = True) -> bool:
    """Whether the lock was got in time; its folder is made, which another job may remove."""
    try:
        lock.acquire(timeout=timeout)
        return True
    except Timeout:
        return False
    except (OSError, NotImplementedError) as error:
        if getattr(error, 'errno', None) in (errno.ENOENT, errno.ESTALE):  # removed meanwhile
            return _try(lock, timeout, needed)
        if not needed:
            return True
        reason = getattr(error, 'strerror', None) or error
        raise ValueError(f'{lock.lock_file} cannot be locked ({reason}): shards need a folder on '
                         f'a file system with locks') from None
