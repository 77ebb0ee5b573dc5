"""How far a long stage is and when it will end."""
import logging
import time
from datetime import timedelta
from typing import Callable

from mmengine.dist import get_rank
from mmengine.logging import MMLogger

from .console import LIVE
from .quiet import tell_parent


def announce(text: str, level: int = logging.INFO, shown: bool = False) -> None:
    """Log a line that the parent of a quiet job shows as well; rank 0 only.

    Args:
        text: The line.
        level: Level of the log record.
        shown: Whether a terminal has shown it already, so that only the log file needs it.
    """
    if get_rank() == 0:
        LIVE.clear()
        MMLogger.get_current_instance().log(level, text, extra=dict(shown=shown))
        tell_parent(text)


class Progress:
    """Says how many things of a stage are done, how fast, and the remaining time.

    There is a line at most every ``every`` seconds, and one at the end of a stage that takes
    longer than that. A terminal shows a line that is rewritten in place instead. Each rank
    counts its own share, and rank 0 reports.

    Args:
        title: What is going on.
        total: How many things there are; may change.
        unit: What they are, in the plural.
        every: Least seconds between two lines.
        log: Whether lines go to the log; otherwise the parent of a quiet job alone gets them.
        clock: Seconds, from any start.
    """

    def __init__(self, title: str, total: int, unit: str = 'images', every: float = 10.,
                 log: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self.title = title
        self.total = total
        self.unit = unit
        self.every = every
        self.log = log
        self.clock = clock
        self.done = self.counted = 0
        self.begin = self.last = clock()

    def skip(self, number: int = 1) -> None:
        """Count things that took no time: they were done before."""
        self.done += number

    def add(self, number: int = 1) -> None:
        """Count things that are done now."""
        self.done += number
        self.counted += number
        seconds = self.clock() - self.begin
        if self.done >= self.total:
            LIVE.clear()
            if seconds >= self.every:
                self._tell(f'{self.title}: {self.done} {self.unit} in {as_time(seconds)}')
            return
        live = self.log and get_rank() == 0 and LIVE.show(lambda: self._line(seconds))
        if self.begin + seconds - self.last >= self.every:
            self.last = self.begin + seconds
            self._tell(self._line(seconds), live)

    def _line(self, seconds: float) -> str:
        """Count, rate and remaining time after so many seconds."""
        left = (self.total - self.done) * seconds / self.counted
        rate = f', {self.counted / seconds:.3g} per second' if seconds > 0 else ''
        return f'{self.title}: {self.done} of {self.total} {self.unit}{rate}, eta {as_time(left)}'

    def _tell(self, text: str, shown: bool = False) -> None:
        if self.log:
            announce(text, shown=shown)
        else:
            tell_parent(text)


def as_time(seconds: float) -> str:
    """Whole seconds as h:mm:ss."""
    return str(timedelta(seconds=round(seconds)))
