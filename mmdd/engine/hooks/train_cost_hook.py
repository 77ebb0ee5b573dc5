"""What a stock training takes."""
import time
from typing import Dict, Optional

from mmengine.dist import get_world_size
from mmengine.hooks import Hook

from mmdd.registry import HOOKS
from mmdd.utils.timing import peak_memory_mib, reset_peak_memory

# Where a checkpoint keeps what led to it.
SECONDS, PASSES = 'mmdd_train_seconds', 'mmdd_train_passes'


@HOOKS.register_module()
class TrainCostHook(Hook):
    """Measures seconds, denoiser evaluations and peak memory of a training, over restarts.

    A checkpoint carries what led to it: a training that resumes from it adds its own, and
    what was lost with a killed process does not count.

    Attributes:
        seconds: Wall-clock seconds of the training, validation included.
        denoiser_passes: Evaluations of the diffusions and fine-tuners in the model, see
            ``BaseDiffusion.count_passes``, of all ranks.
        peak_memory_mib: 'host' and 'gpu' of this process.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.seconds = 0.
        self.denoiser_passes = 0
        self.peak_memory_mib: Dict[str, int] = {}
        self._time: Optional[float] = None
        self._passes = 0

    def before_train(self, runner) -> None:
        """Take over what a checkpoint says and start the clock."""
        reset_peak_memory()
        known = runner.message_hub.runtime_info
        self.seconds = float(known.get(SECONDS, 0.))
        self.denoiser_passes = int(known.get(PASSES, 0))
        self._time, self._passes = time.perf_counter(), count_passes(runner.model)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Write what was spent so far into a checkpoint."""
        self._update(runner)
        runner.message_hub.update_info(SECONDS, self.seconds)
        runner.message_hub.update_info(PASSES, self.denoiser_passes)
        checkpoint['message_hub'] = runner.message_hub.state_dict()

    def after_train(self, runner) -> None:
        """Stop the clock."""
        self._update(runner)
        self.peak_memory_mib = peak_memory_mib()

    def _update(self, runner) -> None:
        now, passes = time.perf_counter(), count_passes(runner.model)
        assert self._time is not None, 'before_train starts the clock'
        self.seconds += now - self._time
        self.denoiser_passes += (passes - self._passes) * get_world_size()
        self._time, self._passes = now, passes


def count_passes(model) -> int:
    """Denoiser evaluations of the diffusions and fine-tuners in a model."""
    return sum(part.passes for part in model.modules()
               if isinstance(getattr(part, 'passes', None), int))
