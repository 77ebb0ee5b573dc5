"""Work that processes of a distributed job do by themselves."""
from contextlib import contextmanager
from typing import Any, Callable, Iterator

from mmengine.dist import all_gather_object, broadcast_object_list, get_rank, is_distributed

from .cli import BAD_INPUT, one_line


def on_rank_0(work: Callable[[], Any]) -> None:
    """Do work on rank 0 as if there were no other process; the others wait for it.

    Inside, ``get_world_size()`` is 1: samplers give out all of their data, and a stock Runner
    with the launcher 'none' trains as in a single process.

    Args:
        work: What rank 0 does.

    Raises:
        ValueError: On every rank, if it failed for bad input; rank 0 raises the error itself.
    """
    error = None
    if get_rank() == 0:
        try:
            with outside_group():
                work()
        except BAD_INPUT as caught:
            error = caught
    failed = ['' if error is None else one_line(error)]
    broadcast_object_list(failed)
    if error is not None:
        raise error
    if failed[0]:
        raise ValueError(failed[0])


def on_every_rank(work: Callable[[], Any]) -> None:
    """Do work on every rank as if there were no other process, then wait for all of them.

    Args:
        work: What each rank does; see :func:`on_rank_0`.

    Raises:
        ValueError: On every rank, if it failed for bad input on one; that one raises the error
            itself.
    """
    error = None
    try:
        with outside_group():
            work()
    except BAD_INPUT as caught:
        error = caught
    failed = all_gather_object('' if error is None else one_line(error))
    if error is not None:
        raise error
    if any(failed):
        raise ValueError(next(text for text in failed if text))


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
