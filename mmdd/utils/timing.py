"""Time and memory of the denoising loop."""
import re
import resource
import time
from typing import Dict, List

import torch


def synchronize() -> None:
    """Wait until the GPU has done what it was given; nothing on a CPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def reset_peak_memory() -> None:
    """Start a new measurement for :func:`peak_memory`."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        with open('/proc/self/clear_refs', 'w') as f:
            f.write('5')
    except OSError:  # not Linux: the peak of the whole process counts
        pass


def peak_memory() -> int:
    """Peak memory in MiB since the last reset: allocated on the GPU, resident on a CPU."""
    peaks = peak_memory_mib()
    return peaks.get('gpu', peaks['host'])


def peak_memory_mib() -> Dict[str, int]:
    """Peak memory of this process in MiB: 'host', and 'gpu' where there is one."""
    peaks = dict(host=_host_peak())
    if torch.cuda.is_available():
        peaks['gpu'] = torch.cuda.max_memory_allocated() // 2**20
    return peaks


def _host_peak() -> int:
    try:
        with open('/proc/self/status') as f:
            found = re.search(r'VmHWM:\s*(\d+)', f.read())
    except OSError:
        found = None
    if found:
        return int(found[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


class StepTimer:
    """Takes the time of each denoising step, hooks and scheduler included.

    It has the methods of a denoising hook and must come first among them, so
    that the work of the others in ``before_denoise`` counts.

    Attributes:
        seconds: One number per finished step.
    """

    def __init__(self) -> None:
        self.seconds: List[float] = []
        self._begin = 0.

    def before_denoise(self, runner, state) -> None:
        """Start the clock."""
        synchronize()
        self._begin = time.perf_counter()

    def after_step(self, runner, state) -> None:
        """Stop the clock."""
        synchronize()
        self.seconds.append(time.perf_counter() - self._begin)
