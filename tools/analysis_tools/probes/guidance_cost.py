"""What guidance costs: time and memory of guided and unguided denoising."""
import statistics
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import List, Optional, Sequence

import numpy as np

from mmdd.structures import DistillSlot, slot_seed
from mmdd.utils.timing import StepTimer, peak_memory, reset_peak_memory, synchronize


@dataclass
class Cost:
    """Cost of sampling one batch.

    Attributes:
        batch_size: Images that are denoised together.
        step: Median seconds of one denoising step of the batch.
        image: Seconds per image of a job: its steps, text encoding and the
            final decoding.
        memory: Peak memory in MiB.
    """
    batch_size: int
    step: float
    image: float
    memory: int


class HookCaller:
    """Fires the stages of hooks outside of a Runner.

    Args:
        hooks: Hooks in the order in which they are called.
        proxy: What ``runner.model.proxy`` is for them.
        model: What ``runner.model`` is for them, in place of one with that proxy alone.
    """

    def __init__(self, hooks: Sequence, proxy=None, model=None) -> None:
        self.hooks = hooks
        self.model = SimpleNamespace(proxy=proxy) if model is None else model

    def call_hook(self, name: str, **kwargs) -> None:
        """Call the method ``name`` of every hook that has it."""
        for hook in self.hooks:
            if hasattr(hook, name):
                getattr(hook, name)(self, **kwargs)


def random_slots(num: int, size: int, num_classes: int, boxes: int = 3) -> List[DistillSlot]:
    """Slots with random boxes of a quarter to three quarters of the image.

    Args:
        num: Number of slots.
        size: Side of the images in pixels.
        num_classes: Labels are drawn from this many classes.
        boxes: Boxes per slot.
    """
    slots = []
    for i in range(num):
        rng = np.random.default_rng(i)
        sides = rng.uniform(0.25, 0.75, (boxes, 2))
        corners = rng.uniform(0, 1 - sides)
        slots.append(DistillSlot(
            id=i, seed=slot_seed(0, i), size=(size, size),
            labels=rng.integers(num_classes, size=boxes),
            bboxes=(np.hstack([corners, corners + sides]) * size).astype(np.float32),
            prompt='a photo of one and two'))
    return slots


def measure_sampling(diffusion, slots: List[DistillSlot], hook: Optional[object] = None,
                     proxy=None, steps: int = 5, warmup: int = 1) -> Cost:
    """Measure a diffusion adapter with or without a guidance hook.

    Args:
        diffusion: A diffusion adapter; its ``steps`` are those of the job.
        slots: One batch.
        hook: A ``GuidanceHook``; None denoises unguided.
        proxy: The proxy that the hook asks for.
        steps: Denoising steps that are measured.
        warmup: Steps before them.

    Returns:
        Cost: Of a job of ``diffusion.steps`` steps.
    """
    hooks = [] if hook is None else [hook]
    if warmup:
        diffusion.sample(slots, steps=warmup, call_hook=HookCaller(hooks, proxy).call_hook)
    timer = StepTimer()
    caller = HookCaller([timer] + hooks, proxy)
    reset_peak_memory()
    synchronize()
    begin = time.perf_counter()
    diffusion.sample(slots, steps=steps, call_hook=caller.call_hook)
    synchronize()
    rest = time.perf_counter() - begin - sum(timer.seconds)
    step = statistics.median(timer.seconds)
    return Cost(len(slots), step, (rest + step * diffusion.steps) / len(slots), peak_memory())
