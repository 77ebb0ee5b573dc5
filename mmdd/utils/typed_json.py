"""Dataclasses from plain data, strictly: every field is there, of its type, and no other."""
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Dict, Mapping, Type, TypeVar, Union, get_args, get_origin, get_type_hints

from .config import suggestion
from .signature import describe, fits, shown

Kind = TypeVar('Kind')


def from_json(kind: Type[Kind], node: Any, where: str) -> Kind:
    """A dataclass from what ``dataclasses.asdict`` and JSON made of it.

    Args:
        kind: The dataclass; its fields may be dataclasses, and lists and dicts of them.
        node: What the JSON file holds. A null in place of a number is one that was not finite.
        where: Its place, for messages.

    Raises:
        ValueError: If a field is missing, unknown or of another type.
    """
    known = _hints(kind)  # type: ignore[arg-type]  # to mypy no type[T] is hashable
    if not isinstance(node, Mapping):
        raise ValueError(f'{where} must be a dict with {", ".join(known)}, got {shown(node)}')
    for name in node:
        if name not in known:
            raise ValueError(f'{where}.{name}: there is no such field'
                             f'{suggestion(str(name), known)}')
    missing = [name for name in known if name not in node]
    if missing:
        raise ValueError(f'{where}: {missing[0]} is missing')
    return kind(**{name: _value(hint, node[name], f'{where}.{name}')
                   for name, hint in known.items()})


@cache
def _hints(kind: type) -> Dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Union:
        return None if value is None else _value(args[0], value, where)
    if isinstance(hint, type) and is_dataclass(hint):
        return from_json(hint, value, where)
    if hint is float and value is None:
        return float('nan')
    if origin is list and isinstance(value, list):
        return [_value(args[0], item, f'{where}[{i}]') for i, item in enumerate(value)]
    if origin is dict and isinstance(value, Mapping):
        return {key: _value(args[1], item, f'{where}.{key}') for key, item in value.items()}
    if not fits(value, hint):
        raise ValueError(f'{where} must be {describe(hint)}, got {shown(value)}')
    return value
