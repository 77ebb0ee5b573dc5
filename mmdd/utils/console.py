"""What of a log stands on the console; the log file keeps everything."""
import logging
import re
import shutil
import sys
import time
import warnings
from typing import Any, Callable, Optional, TextIO

# Where mmengine logs environment, config, order of the hooks and SyncBN; and where iterations.
_TABLES = (('runner', '_log_env'), ('runner', '__init__'), ('runner', 'wrap_model'))
_ITERATION = ('logger_hook', 'after_train_iter')
# How warnings of mmengine about its own insides begin, which nobody who runs a job can heed.
_INSIDES = ('"FileClient" will be deprecated', '"HardDiskBackend" is the alias',
            '`save_param_scheduler` is True but', 'The prefix is not set in metric class')
# Likewise those that mmseg gives by Python's warnings, of stock configs too.
_WARNINGS = ('``build_loss`` would be deprecated', 'Default ``avg_non_ignore`` is False')
# Least seconds between two lines of iterations, and between two states of a live line.
EVERY, REFRESH = 10., .5


class LiveLine:
    """The last line of a terminal, rewritten in place; nothing where there is no terminal.

    As a context it leaves no line behind, so that an error has one of its own.
    """

    def __init__(self) -> None:
        self._open = False
        self._last = 0.

    def show(self, text: Callable[[], str]) -> bool:
        """Show a line, unless the one there is hardly old; returns whether there is a terminal."""
        if not sys.stdout.isatty():
            return False
        if time.monotonic() - self._last >= REFRESH:
            self._last, self._open = time.monotonic(), True
            width = shutil.get_terminal_size().columns - 1
            print(f'\r\x1b[2K{text()[:width]}', end='', flush=True)
        return True

    def clear(self) -> None:
        """Make room for other output."""
        if self._open:
            self._open = False
            print('\r\x1b[2K', end='', flush=True)

    def __enter__(self) -> 'LiveLine':
        return self

    def __exit__(self, *error: Any) -> None:
        self.clear()


LIVE = LiveLine()


class ConsoleHandler(logging.StreamHandler):
    """Writes to what ``sys.stdout`` is at that moment, without tables and most iterations.

    Environment, config and hooks, about 225 lines of a Runner, are for the log file alone, and so
    are mmengine's warnings about its own insides.
    A line of an iteration is shown at most every 10 seconds.

    Args:
        like: Handler whose level, format and filters are taken over.
    """

    def __init__(self, like: logging.Handler) -> None:
        logging.Handler.__init__(self, like.level)
        self.setFormatter(like.formatter)
        self.filters = list(like.filters)
        self._last: Optional[float] = None

    @property
    def stream(self) -> TextIO:
        """The standard output."""
        return sys.stdout

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown."""
        origin = (record.module, record.funcName)
        if record.levelno <= logging.INFO and origin in _TABLES:
            return False
        if record.getMessage().startswith(_INSIDES):
            return False
        if getattr(record, 'shown', False) and sys.stdout.isatty():
            return False
        if origin == _ITERATION:
            if self._last is not None and record.created - self._last < EVERY:
                return False
            self._last = record.created
        return bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        LIVE.clear()
        super().emit(record)


def ignore_insides() -> None:
    """Let this process pass over warnings of mmseg about its own insides."""
    for text in _WARNINGS:
        warnings.filterwarnings('ignore', re.escape(text))


def use_console_handler(logger: logging.Logger) -> None:
    """Put a :class:`ConsoleHandler` in the place of a logger's plain console handlers."""
    logger.handlers[:] = [ConsoleHandler(handler) if type(handler) is logging.StreamHandler
                          else handler for handler in logger.handlers]
