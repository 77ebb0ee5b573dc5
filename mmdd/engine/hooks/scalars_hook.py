"""Metrics of a test for the visualizer, which a stock Runner gives those of a validation only."""
import math
from numbers import Real
from typing import Dict, Optional

from mmengine.hooks import Hook
from mmengine.runner import Runner


class StudentScalarsHook(Hook):
    """Gives the metrics of a test to the backends of the visualizer, as ``test/<metric>``.

    Its attribute ``step`` is the iteration or epoch of the checkpoint that is tested.
    """

    step = 0

    def after_test_epoch(self, runner: Runner,
                         metrics: Optional[Dict[str, float]] = None) -> None:
        """Record the finite numbers among the metrics."""
        numbers = {f'test/{name}': float(value) for name, value in (metrics or {}).items()
                   if isinstance(value, Real) and math.isfinite(value)}
        if numbers:
            runner.visualizer.add_scalars(numbers, step=self.step)
