"""Jobs that work for a parent: output goes to a file, news to the parent's screen."""
import os
import os.path as osp
import sys
import traceback
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, Callable, Iterator, List, Optional, TextIO, Tuple

from mmengine.logging import MMLogger

from .cli import one_line

# Screen and prefix of the parents that listen, the innermost last.
_PARENTS: List[Tuple[TextIO, str]] = []


@contextmanager
def quiet(path: str, label: Optional[str] = '') -> Iterator[None]:
    """Within the block, output is added to the file ``path``; news stay visible.

    Args:
        path: The file.
        label: Stands before the lines of :func:`tell_parent`; None has no news.
    """
    parents = [] if label is None else [(sys.stdout, f'    {label}: ' if label else '    ')]
    with open(path, 'a', encoding='utf-8') as log, redirect_stdout(log), redirect_stderr(log):
        _PARENTS.extend(parents)
        try:
            yield
        finally:
            for parent in parents:
                _PARENTS.remove(parent)
            _forget(log)


def _forget(stream: TextIO) -> None:
    """Take a stream that will be closed from the loggers, which outlive it in this process."""
    for logger in MMLogger._instance_dict.values():
        for handler in list(logger.handlers):
            if getattr(handler, 'stream', None) is stream:
                logger.removeHandler(handler)


def has_parent() -> bool:
    """Whether this job runs inside of :func:`quiet`."""
    return bool(_PARENTS)


def tell_parent(text: str) -> None:
    """Print a line on the parent's screen, if there is one."""
    if _PARENTS:
        screen, prefix = _PARENTS[-1]
        print(f'{prefix}{text}', file=screen, flush=True)


def work_quietly(path: str, label: Optional[str], work: Callable[..., Any],
                 *args: Any) -> Optional[str]:
    """Work within :func:`quiet`; a failure leaves its traceback in the file.

    Returns:
        str: None, or one line that says why it failed.
    """
    os.makedirs(osp.dirname(osp.abspath(path)), exist_ok=True)
    with quiet(path, label):
        try:
            work(*args)
        except Exception as error:  # one job's failure must not end the others
            traceback.print_exc()
            return one_line(error)[:300]
    return None
