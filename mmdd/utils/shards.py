"""Long passes over images in parts that the ranks share."""
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Callable, Dict, Sequence, TypeVar

from mmengine.dist import get_rank, get_world_size

from .progress import Progress
from .rank_zero import together

Result = TypeVar('Result')


def do_shards(name: str, sizes: Sequence[int],
              do: Callable[[int, ThreadPoolExecutor, Progress], Result],
              shared: bool = True) -> Dict[int, Result]:
    """Do the parts of a pass, each by one rank, and wait for the others.

    Args:
        name: What is going on, for the log.
        sizes: Images in each part.
        do: Does a part by its index. It has threads to read with, and reports the images
            that it does or finds done. What is to outlive a killed job it keeps on disk.
        shared: Whether the ranks share the parts; without, this one does all of them.

    Returns:
        dict: What the parts of this rank gave, by their index.

    Raises:
        Exception: On every rank, if a part failed on one; see :func:`meet`.
    """
    step = get_world_size() if shared else 1
    mine = range(get_rank() if shared else 0, len(sizes), step)
    progress = Progress(name, sum(sizes[i] for i in mine))
    with together() if step > 1 else nullcontext(), ThreadPoolExecutor(4) as pool:
        return {i: do(i, pool, progress) for i in mine}
