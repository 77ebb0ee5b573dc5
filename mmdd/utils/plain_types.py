"""What a pickle may be made of: plain values and arrays of numbers, never code.

A pickle names functions and calls them, which is how a file runs code. A reader that takes
its names from :func:`plain_types` calls nothing but the functions of this module.
"""
import codecs
from collections import OrderedDict
from typing import Any, Callable, Dict, Optional, Set, Tuple

import numpy as np

# Booleans, integers, floats, complex numbers, bytes and text. Objects and records are left
# out: numpy takes their memory layout from the file.
KINDS = 'biufcSU'
_NUMPY = ('numpy.core', 'numpy._core')


class UnsafeFileError(ValueError):
    """A file asks for something that could run code."""


class Refused(Exception):
    """What a pickle asks for and does not get; the text names it."""


class Maker:
    """A function that a pickle may call, and do nothing else with.

    Args:
        make: The function.
    """
    __slots__ = ('_make', )

    def __init__(self, make: Callable) -> None:
        self._make = make

    def __call__(self, *args: Any) -> Any:
        """Call the function."""
        return self._make(*args)

    def __setstate__(self, state: Any) -> None:
        """Refuse: a pickle must not change it."""
        raise Refused('a change of the reader itself')


class StandIn:
    """What stands in for an object while a pickle is read; :func:`resolve` replaces it."""
    __slots__ = ()

    def value(self) -> Any:
        """The object itself."""
        raise NotImplementedError


class PlainDtype(StandIn):
    """Stands in for a ``numpy.dtype`` while a pickle is read.

    Raises:
        Refused: If the type is not one of plain values.
    """
    __slots__ = ('dtype', )

    def __init__(self, name: Any, *_: Any) -> None:
        text = name.decode('ascii', 'replace') if isinstance(name, bytes) else name
        # Only names such as f8 or S5: a list or a dict would describe a record.
        if not isinstance(text, str) or text[:1] not in KINDS or not (
                text[1:].isdecimal() and len(text) < 8):
            raise Refused(f'numpy arrays of type {str(text)[:40]!r}')
        self.dtype = np.dtype(text)

    def __setstate__(self, state: Tuple) -> None:
        """Take the byte order alone."""
        order: Any = state[1]
        if isinstance(order, bytes):
            order = order.decode('ascii', 'replace')
        if order not in ('<', '>', '|', '='):
            raise Refused(f'numpy arrays of byte order {str(order)[:40]!r}')
        self.dtype = self.dtype.newbyteorder(order)

    def value(self) -> np.dtype:
        """The type."""
        return self.dtype


class PlainArray(StandIn):
    """Stands in for a ``numpy.ndarray`` while a pickle is read."""
    __slots__ = ('array', )

    def __init__(self, *_: Any) -> None:
        self.array: np.ndarray = np.empty(0)

    def __setstate__(self, state: Tuple) -> None:
        """Build the array from its shape, type, order and bytes.

        Raises:
            Refused: If it is not an array of plain values.
        """
        _, shape, holder, fortran, data = state
        if not isinstance(holder, PlainDtype) or not isinstance(data, bytes):
            raise Refused('numpy arrays of objects')
        flat = np.frombuffer(data, holder.dtype)
        self.array = flat.reshape(shape, order='F' if fortran else 'C').copy(order='K')

    def value(self) -> np.ndarray:
        """The array."""
        return self.array


def _scalar(holder: PlainDtype, data: bytes) -> np.generic:
    if not isinstance(holder, PlainDtype) or not isinstance(data, bytes):
        raise Refused('numpy scalars of objects')
    value, = np.frombuffer(data, holder.dtype)
    return value


def _from_buffer(data: bytes, holder: PlainDtype, shape: Tuple, order: str,
                 axes: Optional[Tuple] = None) -> PlainArray:
    """An array as newer pickles hold it: with an order of its axes in the memory."""
    made = PlainArray()
    made.__setstate__((1, shape, holder, order == 'F', bytes(data)))
    if order == 'K' and axes is not None:
        made.array = made.array.transpose(axes)
    return made


def _encode(text: str, encoding: str = 'latin1') -> bytes:
    if encoding not in ('latin1', 'latin-1'):
        raise Refused(f'the codec {str(encoding)[:40]!r}')
    return codecs.latin_1_encode(text)[0]


def plain_types() -> Dict[str, Maker]:
    """What the names of a pickle stand for: builtins, ordered dicts, numpy's arrays."""
    found = {f'{package}.{name}': Maker(make) for package in _NUMPY for name, make in (
        ('multiarray._reconstruct', PlainArray), ('multiarray.scalar', _scalar),
        ('numeric._frombuffer', _from_buffer))}
    found.update({
        'numpy.ndarray': Maker(PlainArray), 'numpy.dtype': Maker(PlainDtype),
        '_codecs.encode': Maker(_encode), 'collections.OrderedDict': Maker(OrderedDict)})
    for kind in (set, frozenset, complex, bytearray, bytes):
        for module in ('builtins', '__builtin__'):
            found[f'{module}.{kind.__name__}'] = Maker(kind)
    return found


def resolve(node: Any, seen: Optional[Set[int]] = None) -> Any:
    """Replace every stand-in by its object, inside of dicts and lists in place."""
    seen = set() if seen is None else seen
    if isinstance(node, StandIn):
        return node.value()
    if isinstance(node, tuple):
        parts = [resolve(part, seen) for part in node]
        changed = any(new is not old for new, old in zip(parts, node))
        return tuple(parts) if changed else node
    if id(node) in seen or not isinstance(node, (dict, list)):
        return node
    seen.add(id(node))
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        new = resolve(value, seen)
        if new is not value:
            node[key] = new
    return node
