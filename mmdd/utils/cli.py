"""Command lines that answer bad input with one line."""
import os
import sys
from typing import Callable

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
        message = f'error: {one_line(error)} (MMDD_DEBUG=1 shows the traceback)'
        sys.exit(message if is_first_to_say(message) else 1)


def leave_process_group() -> None:
    """End a distributed job together: a rank that exits early aborts the others."""
    dist = sys.modules.get('torch.distributed')
    if dist is not None and dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def is_first_to_say(message: str) -> bool:
    """Whether no other rank of a distributed job prints this line.

    Ranks that share a process group ask its store, so that the error of any of them is heard.
    Before there is one, the first rank of each machine prints.
    """
    dist = sys.modules.get('torch.distributed')
    if dist is None or not dist.is_available() or not dist.is_initialized():
        return not any(int(os.environ.get(name, 0)) for name in (
            'LOCAL_RANK', 'SLURM_LOCALID', 'OMPI_COMM_WORLD_LOCAL_RANK'))
    try:
        return dist.distributed_c10d._get_default_store().add(message, 1) == 1
    except RuntimeError:  # the rank that kept the store is gone
        return True


def one_line(error: BaseException) -> str:
    """An error's message on one line; the type is named where the text is bare."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
    text = ' '.join(str(text).split())
    if isinstance(error, (ValueError, FileNotFoundError)) and text:
        return text
    return f'{type(error).__name__}: {text}'
