"""Where the processes of a distributed job meet, and work that they do by themselves.

An error of one of them reaches all: at a barrier, the others would wait for it for ever.
"""
from contextlib import contextmanager
from typing import Any, Callable, Iterator, List, Optional

from mmengine.dist import all_gather_object, get_rank, is_distributed

from .cli import FailedElsewhere, one_line


def meet(value: Any = None, error: Optional[Exception] = None) -> List[Any]:
    """Wait for all ranks, and get what each of them brings.

    Args:
        value: What this one brings; anything that can be pickled.
        error: Why it has failed, if it has.

    Returns:
        list: The values of all ranks.

    Raises:
        Exception: If a rank has failed: rank 0 raises its own error, the others, and rank 0
            where it has none, a :class:`FailedElsewhere` with the line of the first that failed.
    """
    if not is_distributed():
        if error is not None:
            raise error
        return [value]
    found = all_gather_object((None if error is None else one_line(error), value))
    failed = next((rank for rank, (line, _) in enumerate(found) if line is not None), None)
    if failed is None:
        return [value for _, value in found]
    if error is None or get_rank():
        line = found[failed][0]
        told = FailedElsewhere(f'rank {failed}: {line}' if failed else line)
        told.__cause__ = error
        error = told
    error.is_shared = True  # type: ignore[attr-defined]
    raise error


@contextmanager
def together() -> Iterator[None]:
    """A block at whose end all ranks meet, also those that it failed on.

    A rank that fails inside is met by the others wherever they meet next. What they wait for
    there is to be a :func:`meet`, not a barrier or another message of torch.

    Raises:
        Exception: See :func:`meet`.
    """
    try:
        yield
    except Exception as error:
        if not _is_shared(error):
            meet(error=error)
        raise
    meet()


def _is_shared(error: Optional[BaseException]) -> bool:
    """Whether the ranks have met over an error, or over what it came of."""
    while error is not None and not hasattr(error, 'is_shared'):
        error = error.__cause__
    return error is not None


def ask_rank_0(question: Callable[[], Any]) -> Any:
    """What rank 0 finds out, on every rank.

    Args:
        question: What rank 0 does; its answer can be pickled.

    Raises:
        Exception: See :func:`meet`.
    """
    answer = None
    with_error: Optional[Exception] = None
    if get_rank() == 0:
        try:
            answer = question()
        except Exception as error:
            with_error = error
    return meet(answer, with_error)[0]


def on_rank_0(work: Callable[[], Any]) -> None:
    """Do work on rank 0 as if there were no other process; the others wait for it.

    Inside, ``get_world_size()`` is 1: samplers give out all of their data, and a stock Runner
    with the launcher 'none' trains as in a single process.

    Args:
        work: What rank 0 does.

    Raises:
        Exception: See :func:`meet`.
    """
    with together():
        if get_rank() == 0:
            with outside_group():
                work()


def on_every_rank(work: Callable[[], Any]) -> None:
    """Do work on every rank as if there were no other process, then wait for all of them.

    Args:
        work: What each rank does; see :func:`on_rank_0`.

    Raises:
        Exception: See :func:`meet`.
    """
    with together(), outside_group():
        work()


@contextmanager
def outside_group() -> Iterator[None]:
    """Hide the process group from what runs in the block."""
    if not is_distributed():
        yield
        return
    from torch.distributed import group
    ours = group.WORLD
    group.WORLD = None
    try:
        yield
    finally:
        group.WORLD = ours
