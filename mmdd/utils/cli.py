"""Command lines that answer bad input with one line."""
import os
import signal
import sys
from typing import Any, Callable

from .console import LIVE
from .io import CannotWrite

# What bad input raises here and in the libraries below; anything else is a
# fault of the program and keeps its traceback.
BAD_INPUT = (ValueError, TypeError, KeyError, FileNotFoundError, PermissionError, OSError,
             AssertionError, ModuleNotFoundError)
KEPT = 'what is finished is on disk, add --resume to go on'


def run_cli(main: Callable[[], None]) -> None:
    """Run a command line; bad input ends it with one clear line and exit code 1.

    With the environment variable ``MMDD_DEBUG`` set, the traceback is shown. SIGTERM, which
    batch systems send, ends it at once with exit code 143.
    """
    end_on_sigterm()
    try:
        with LIVE:
            main()
        leave_process_group()
    except KeyboardInterrupt:
        sys.exit(f'interrupted: {KEPT}')
    except BAD_INPUT as error:
        if os.environ.get('MMDD_DEBUG'):
            raise
        sys.exit(f'error: {one_line(error)} (MMDD_DEBUG=1 shows the traceback)')


def end_on_sigterm() -> None:
    """Say, when this process is terminated, how to resume; processes it forks end silently."""
    owner = os.getpid()

    def end(signum: int, frame: Any) -> None:
        if os.getpid() == owner and os.environ.get('RANK', '0') == '0':
            print(f'terminated: {KEPT}', file=sys.stderr, flush=True)
        # At once, as if killed: closing pools and groups would wait for others.
        os._exit(128 + signum)

    signal.signal(signal.SIGTERM, end)


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
