"""Command lines that answer bad input with one line."""
import os
import signal
import sys
import time
from functools import cache
from typing import Any, Callable, NoReturn

from .console import LIVE, ignore_insides
from .io import CannotWrite

# What bad input raises here and in the libraries below; anything else is a
# fault of the program, and its line says so.
BAD_INPUT = (ValueError, TypeError, KeyError, FileNotFoundError, PermissionError, OSError,
             AssertionError, ModuleNotFoundError)
# How a command that was ended is resumed, said where what is finished is kept.
ADD_RESUME = 'what is finished is on disk, add --resume to resume it'
SAME_COMMAND = 'what is finished is on disk, run the same command to resume it'
# Rank of this process by torchrun, Slurm or MPI.
RANKS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')
# Seconds that the other ranks leave to rank 0: when it ends, its launcher ends them.
GRACE = 5.


class FailedElsewhere(ValueError):
    """What a rank raises because another one has failed; rank 0 tells the line for all."""


def run_cli(main: Callable[[], None], resume: str = '') -> None:
    """Run a command line; an error ends it with one clear line and exit code 1.

    With the environment variable ``MMDD_DEBUG`` set, the traceback is shown. SIGTERM, which
    batch systems send, ends it at once with exit code 143.

    Args:
        main: The command.
        resume: What is said when it is interrupted or terminated: how to resume it.
    """
    ending = f': {resume}' if resume else ''
    end_on_sigterm(f'terminated{ending}')
    ignore_insides()
    try:
        with LIVE:
            main()
        leave_process_group()
    except KeyboardInterrupt:
        sys.exit(f'interrupted{ending}')
    except Exception as error:
        if os.environ.get('MMDD_DEBUG'):
            raise
        if isinstance(error, FailedElsewhere) and _rank():
            time.sleep(GRACE)  # a launcher may end the others as soon as one has ended
            sys.exit(1)
        hint = ('MMDD_DEBUG=1 shows the traceback' if isinstance(error, BAD_INPUT) else
                'internal: run with MMDD_DEBUG=1 for the traceback')
        stop(f'error: {one_line(error)} ({hint})')


def stop(message: str) -> NoReturn:
    """End the process with a line on standard error, once for all ranks, and exit code 1.

    Rank 0 prints at once. Another rank prints only if it lives on, that is if rank 0 did not
    end for the same reason.
    """
    rank = _rank()
    if rank:
        time.sleep(GRACE)
        message = f'rank {rank}: {message}'
    sys.exit(message)


def _rank() -> int:
    """The rank that a launcher has given this process; 0 without one."""
    return next((int(os.environ[name]) for name in RANKS if os.environ.get(name, '').isdigit()), 0)


def end_on_sigterm(line: str) -> None:
    """Say a line when this process is terminated; processes it forks end silently."""

    def end(signum: int, frame: Any) -> None:
        if os.environ.get('RANK', '0') == '0':
            print(line, file=sys.stderr, flush=True)
        # At once, as if killed: closing pools and groups would wait for others.
        os._exit(128 + signum)

    _forget_in_children()
    signal.signal(signal.SIGTERM, end)


@cache
def _forget_in_children() -> None:
    """Let forked processes be terminated by the system.

    A handler in Python runs between two of its steps: a worker of a pool that is told to end
    just before it waits for work would wait for ever, and its pool for it. The signal is held
    back while a process forks, so that none is lost before the child has forgotten the handler.
    """

    def hold() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def forget() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        release()

    os.register_at_fork(before=hold, after_in_parent=release, after_in_child=forget)


def leave_process_group() -> None:
    """End a distributed job together: a rank that exits early aborts the others."""
    dist = sys.modules.get('torch.distributed')
    if dist is not None and dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def one_line(error: BaseException) -> str:
    """An error's message on one line; the type is named where the text is bare."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
    text = ' '.join(str(text).split())
    if isinstance(error, (ValueError, FileNotFoundError, CannotWrite)) and text:
        return text
    return f'{type(error).__name__}: {text}'
