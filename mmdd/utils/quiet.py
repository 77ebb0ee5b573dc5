"""Turn the long log of a job into a short progress display."""
import io
import re
import sys
import time
from contextlib import contextmanager
from typing import Iterator, TextIO

_ITERATION = re.compile(
    r'(?:Iter|Epoch)\((\w+)\)[^[]*((?:\[\s*\d+\])?\[\s*\d+/\d+\]).*?eta: (\S+)')
_NEWS = re.compile(
    r' - (?:INFO|WARNING) - (.*(?:is missing: training|images to make|are tried again|'
    r'images pass|rounds are used up).*)')


class ProgressFilter(io.TextIOBase):
    """Writes everything to a log and shows progress lines only.

    Args:
        log: Open log file.
        screen: Where progress goes.
        every: Least seconds between two progress lines.
        label: Stands at the beginning of these lines.
    """

    def __init__(self, log: TextIO, screen: TextIO, every: float = 5., label: str = '') -> None:
        self.log = log
        self.screen = screen
        self.every = every
        self.label = f'    {label}: ' if label else '    '
        self._last = 0.
        self._rest = ''

    def write(self, text: str) -> int:
        """Take output; complete lines are logged and, if they tell, shown."""
        self.log.write(text)
        *lines, self._rest = (self._rest + text).split('\n')
        for line in lines:
            self._show(line)
        return len(text)

    def flush(self) -> None:
        """Flush log and screen."""
        self.log.flush()
        self.screen.flush()

    def _show(self, line: str) -> None:
        news = _NEWS.search(line)
        if news:
            print(f'{self.label}{news[1]}', file=self.screen, flush=True)
            return
        found = _ITERATION.search(line)
        if found and time.monotonic() - self._last >= self.every:
            self._last = time.monotonic()
            print(f'{self.label}{found[1]} {found[2].replace(" ", "")} eta {found[3]}',
                  file=self.screen, flush=True)


@contextmanager
def quiet(path: str, label: str = '') -> Iterator[None]:
    """Within the block, output goes to the file ``path``; progress stays visible."""
    screen = sys.stdout
    with open(path, 'a', encoding='utf-8') as log:
        shown = ProgressFilter(log, screen, label=label)
        old = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = shown
        try:
            yield
        finally:
            sys.stdout, sys.stderr = old
