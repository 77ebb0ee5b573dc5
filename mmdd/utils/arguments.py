"""Arguments of the command lines: numbers with bounds, KEY=VALUE options, one line for errors."""
import argparse
from typing import Any, Callable, NoReturn, Optional, Sequence

from mmengine.config import DictAction

from .cli import stop
from .numbers import check_number

MAX_SEED = 2**32 - 1
# Suffixes of files that tables and pictures are written to.
TABLES, PICTURES = ('.md', '.csv'), ('.svg', '.png', '.pdf')


class ToolParser(argparse.ArgumentParser):
    """An argument parser that answers bad arguments with one line."""

    def error(self, message: str) -> NoReturn:
        """End the command with what is wrong."""
        stop(f'error: {message} (--help shows the usage)')


class CfgOptions(DictAction):
    """Options as KEY=VALUE; a word without '=' is an error that names it."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Any, option_string: Optional[str] = None) -> None:
        """Read the options."""
        for pair in values:
            key, found, _ = pair.partition('=')
            if not (key and found):
                parser.error(f'argument {option_string}: write KEY=VALUE, got {pair!r}')
            try:
                self._parse_iterable(pair.partition('=')[2])
            except RecursionError:
                parser.error(
                    f'argument {option_string}: the value of {key} cannot be read: write lists '
                    f'of plain values as [a,b], and one setting as {key}.0.NAME=VALUE')
        super().__call__(parser, namespace, values, option_string)


def whole(low: int, high: Optional[int] = None) -> Callable[[str], int]:
    """Type of an argument that is a whole number, ``low`` at least and ``high`` at most."""
    return _number(int, low=low, high=high)


def real(low: Optional[float] = None, above: Optional[float] = None,
         high: Optional[float] = None) -> Callable[[str], float]:
    """Type of an argument that is a finite number in bounds, see :func:`check_number`."""
    return _number(float, low=low, above=above, high=high)


def _number(kind: type, **bounds: Optional[float]) -> Callable[[str], Any]:

    def read(text: str) -> Any:
        try:
            value: Any = kind(text)
        except ValueError:
            value = text
        try:
            return check_number('it', value, integer=kind is int, **bounds)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error).removeprefix('it ')) from None

    return read


def check_suffix(path: str, known: Sequence[str]) -> None:
    """Check that the name of a file to write has one of the known suffixes; else ValueError."""
    if not path.endswith(tuple(known)):
        raise ValueError(f'{path}: the name must end in one of {", ".join(known)}')


# Seeds of torch, numpy and random alike.
seed = whole(0, MAX_SEED)
