"""What a stock training takes."""
import time
from typing import Dict, Optional

from mmengine.hooks import Hook

from mmdd.registry import HOOKS
from mmdd.utils.timing import peak_memory_mib, reset_peak_memory

# Where a checkpoint keeps the seconds that led to it.
KEY = 'mmdd_train_seconds'


@HOOKS.register_module()
class TrainCostHook(Hook):
    """Measures seconds and peak memory of a training, over restarts.

    A checkpoint carries the seconds that led to it: a training that goes on from there adds
    its own, and what was lost with a killed process does not count.

    Attributes:
        seconds: Wall-clock seconds of the training, validation included.
        peak_memory_mib: 'host' and 'gpu' of this process.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.peak_memory_mib: Dict[str, int] = {}
        self._earlier = 0.
        self._begin = time.perf_counter()
        self._end: Optional[float] = None

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        end = time.perf_counter() if self._end is None else self._end
        return self._earlier + end - self._begin

    def before_train(self, runner) -> None:
        """Take over what a checkpoint says and start the clock."""
        reset_peak_memory()
        self._earlier = float(runner.message_hub.runtime_info.get(KEY, 0.))
        self._begin = time.perf_counter()

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Write the seconds so far into a checkpoint."""
        runner.message_hub.update_info(KEY, self.seconds)
        checkpoint['message_hub'] = runner.message_hub.state_dict()

    def after_train(self, runner) -> None:
        """Stop the clock."""
        self._end = time.perf_counter()
        self.peak_memory_mib = peak_memory_mib()
