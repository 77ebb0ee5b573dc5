"""How many images are denoised together where a job's ``batch_size`` is 'auto'."""
import os.path as osp
from typing import Any, Callable, Final, Optional

import torch
from mmengine.dist import get_rank

from mmdd.utils.progress import announce
from mmdd.utils.rank_zero import meet
from mmdd.utils.state import read_state, write_state
from .job import changes_images

AUTO: Final = 'auto'
# What a CPU takes, whose memory is no bound, and a job that samples no images.
DEFAULT = 8
# Larger batches hardly make a step faster, while scoring and writing need memory too.
MOST = 32
# Share of the memory that a batch may take; the rest is for scoring, and for blocks that the
# allocator cannot use.
SHARE = 0.9
# Denoising steps of a trial: few, yet each hook's window opens in one of them.
STEPS = 20
FILE = 'batch_size.json'


def check_batches(batch_size: Any, max_rounds: int, shard: Optional[str] = None) -> None:
    """Check how a loop cuts its slots into batches.

    Raises:
        ValueError: If a number is too small, or shards are to find one each.
    """
    if (batch_size != AUTO and batch_size < 1) or max_rounds < 1:
        raise ValueError(
            f'DistillLoop: batch_size and max_rounds must be at least 1, got {batch_size} '
            f'and {max_rounds}')
    if batch_size == AUTO and shard is not None:
        raise ValueError("train_cfg.batch_size='auto' does not go with shards, which share out "
                         'batches: give a number')


def auto_batch_size(loop: Any) -> int:
    """The batch size of a ``DistillLoop`` whose plan is made, the same on all ranks.

    Trials on the slots of the job find it. It is kept in the journal, so that a resumed job
    gives the same bytes, and looked for again where the GPU has less memory than it had.
    """
    memory = gpu_memory()
    if memory is None or not loop.distiller.draws or loop.distiller.diffusion is None or \
            loop.raw is not None:
        return DEFAULT
    path = osp.join(loop.journal.folder, FILE)
    kept = read_state(path, lambda found: min(
        found['batch_size'], found['memory']) >= 1)
    kept = kept if kept and kept['memory'] <= memory else None
    found = kept['batch_size'] if kept else largest_batch(
        lambda size: peak_of(loop, size), SHARE * usable_memory(), MOST)
    found = min(meet(found))
    if found < 1:
        raise ValueError(
            f'one image does not fit {memory / 2**30:.1f} GiB of GPU memory: set '
            f'model.diffusion.gradient_checkpointing=True or a small energy_decoder, and '
            f'wrt="denoised" of the hook (docs/memory.md says what each saves)')
    if get_rank() == 0 and kept is None:
        write_state(path, dict(batch_size=found, memory=memory))
    announce(f'batch_size auto: {found} images are denoised together')
    return found


def largest_batch(peak: Callable[[int], int], memory: float, most: int = MOST) -> int:
    """The largest power of two of images that fits.

    Args:
        peak: Runs a batch of so many images and gives the most bytes that it took.
        memory: Bytes that a batch may take.
        most: No larger batch is tried.

    Returns:
        int: 0 where not even one image fits. A batch is tried only where the growth before
        it says that it fits; one that runs out of memory all the same does not fit.
    """
    fits, before, last = 0, 0, 0
    size = 1
    while size <= most:
        expected = last + 2 * (last - before) if fits > 1 else last
        if expected > memory:
            break
        try:
            before, last = last, peak(size)
        except torch.cuda.OutOfMemoryError:
            break
        if last > memory:
            break
        fits, size = size, 2 * size
    return fits


def gpu_memory() -> Optional[int]:
    """Bytes of this process's GPU; None without one."""
    if not torch.cuda.is_available():
        return None
    return torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory


def usable_memory() -> int:
    """Bytes that are free on the GPU, and those that this process holds already."""
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info()[0] + torch.cuda.memory_allocated()


def peak_of(loop: Any, size: int) -> int:
    """Most bytes on the GPU during a trial."""
    torch.cuda.reset_peak_memory_stats()
    run_trial(loop, size)
    return torch.cuda.max_memory_allocated()


def run_trial(loop: Any, size: int) -> None:
    """Sample a batch of the job's own slots in a few steps, guided as the job is, for nothing."""
    hooks = [hook for hook in loop.runner.hooks if changes_images(hook)]

    def call_hook(name: str, **kwargs) -> None:
        for hook in hooks:
            if hasattr(hook, name):
                getattr(hook, name)(loop.runner, **kwargs)

    slots = [loop.slots[i % len(loop.slots)] for i in range(size)]
    diffusion = loop.distiller.diffusion
    init, strength = loop.distiller.initial_latents(slots)
    diffusion.sample(slots, init=init, strength=strength, call_hook=call_hook,
                     steps=min(STEPS, diffusion.steps))
