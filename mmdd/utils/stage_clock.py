"""What each stage of a job costs: seconds and denoiser evaluations."""
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional


@dataclass
class StageCost:
    """Cost of one stage.

    Attributes:
        deploy: Whether it is a one-time cost of a real set, as the training of a proxy is, rather
            than for every distilled set (the two bars of UniDD, figure 5).
        seconds: Wall-clock seconds.
        passes: Denoiser evaluations, one per image and branch.
    """
    deploy: bool = False
    seconds: float = 0.
    passes: int = 0


class StageClock:
    """Adds up what named stages cost.

    A stage may run several times and inside another one: what passes in it counts for it
    alone, so that the stages add up to the whole.

    Args:
        counter: Denoiser evaluations so far.

    Attributes:
        stages: Cost by the name of the stage, in the order of their first run.
    """

    def __init__(self, counter: Callable[[], int] = int) -> None:
        self.counter = counter
        self.stages: Dict[str, StageCost] = {}
        self._open: List[StageCost] = []
        self._time, self._count = time.perf_counter(), counter()

    @contextmanager
    def timed(self, name: str, deploy: Optional[bool] = None) -> Iterator[None]:
        """Count the block for the stage ``name``.

        Args:
            name: Name of the stage.
            deploy: Whether it is a one-time cost of a real set; as the stage around it if None,
                False where there is none.
        """
        self.update()
        if deploy is None:
            deploy = self._open[-1].deploy if self._open else False
        stage = self.stages.setdefault(name, StageCost(deploy))
        self._open.append(stage)
        try:
            yield
        finally:
            self.update()
            self._open.pop()

    def update(self) -> None:
        """Give what has passed since the last call to the innermost open stage."""
        now, count = time.perf_counter(), self.counter()
        if self._open:
            self._open[-1].seconds += now - self._time
            self._open[-1].passes += count - self._count
        self._time, self._count = now, count

    def report(self) -> Dict[str, Dict[str, Any]]:
        """``kind`` ('deploy' or 'distill'), ``seconds`` and ``denoiser_passes`` by stage."""
        self.update()
        return {name: dict(kind='deploy' if stage.deploy else 'distill', seconds=stage.seconds,
                           denoiser_passes=stage.passes) for name, stage in self.stages.items()}
