"""Reading pickles of plain values; nothing in them can run."""
import pickle
from typing import Any, BinaryIO, Optional

from .plain_types import Maker, Refused, UnsafeFileError, plain_types, resolve


class PlainUnpickler(pickle.Unpickler):
    """Reads numbers, text, bytes, containers and numpy arrays of numbers.

    Args:
        file: Open binary file.
        encoding: See :class:`pickle.Unpickler`.
    """

    def __init__(self, file: BinaryIO, *, encoding: str = 'ASCII') -> None:
        super().__init__(file, encoding=encoding)
        self._known = plain_types()

    def find_class(self, module: str, name: str) -> Maker:
        """What a name of the pickle stands for.

        Raises:
            Refused: If it could run code.
        """
        try:
            return self._known[f'{module}.{name}']
        except KeyError:
            raise Refused(f'{module}.{name}') from None


def load_pickle(file: BinaryIO, name: Optional[str] = None, encoding: str = 'ASCII') -> Any:
    """Read one pickle.

    Args:
        file: Open binary file.
        name: Its path, for messages.
        encoding: See :class:`pickle.Unpickler`.

    Raises:
        UnsafeFileError: If it asks for more than plain values.
        ValueError: If it is no pickle.
    """
    name = name or getattr(file, 'name', None) or 'the pickle'
    try:
        return resolve(PlainUnpickler(file, encoding=encoding).load())
    except Refused as refused:
        raise UnsafeFileError(
            f'{name}: not read, it asks for {refused}, which could run code; write it anew with '
            f'plain values, such as JSON') from None
    except Exception as error:  # a damaged pickle raises anything
        reason = ' '.join(str(error).split())[:80]
        raise ValueError(f'{name}: no readable pickle ({type(error).__name__}: {reason})'
                         ) from None
