"""A mean with its standard deviation."""
import math
import statistics
from dataclasses import dataclass
from typing import Optional, Sequence


@dataclass(frozen=True)
class MeanStd:
    """A mean and its sample standard deviation (n - 1), which is None of a single value."""
    mean: float
    std: Optional[float] = None

    @classmethod
    def of(cls, values: Sequence[float]) -> 'MeanStd':
        """Of one or more values; NaN where one is not finite."""
        mean = statistics.fmean(values)
        if len(values) < 2:
            return cls(mean)
        return cls(mean, statistics.stdev(values) if math.isfinite(mean) else math.nan)

    def __sub__(self, other: 'MeanStd') -> 'MeanStd':
        """The difference of the means, and the root of the summed variances."""
        std = None
        if self.std is not None and other.std is not None:
            std = math.hypot(self.std, other.std)
        return MeanStd(self.mean - other.mean, std)

    def scaled(self, factor: float) -> 'MeanStd':
        """Both multiplied by a number."""
        return MeanStd(factor * self.mean, None if self.std is None else factor * self.std)

    @property
    def text(self) -> str:
        """'mean ± std' with one decimal; without a deviation the mean alone."""
        return f'{self.mean:.1f}' + ('' if self.std is None else f' ± {self.std:.1f}')
