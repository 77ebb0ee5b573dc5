"""Command lines that answer bad input with one line."""
import os
import sys
from typing import Callable

from .io import CannotWrite

# What bad input raises here and in the libraries below; anything else is a
# fault of the program and keeps its traceback.
BAD_INPUT = (ValueError, TypeError, KeyError, FileNotFoundError, PermissionError, OSError,
             AssertionError, ModuleNotFoundError)


def run_cli(main: Callable[[], None]) -> None:
    """Run a command line; bad input ends it with one clear line and exit code 1.

    With the environment variable ``MMDD_DEBUG`` set, the traceback is shown.
    """
    try:
        main()
        leave_process_group()
    except KeyboardInterrupt:
        sys.exit('interrupted: what is finished is on disk, add --resume to go on')
    except BAD_INPUT as error:
        if os.environ.get('MMDD_DEBUG'):
            raise
        sys.exit(f'error: {one_line(error)} (MMDD_DEBUG=1 shows the traceback)')


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
