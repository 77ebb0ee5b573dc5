"""What the constructor of a component takes, and whether a value of a config fits it."""
import inspect
import math
import re
import types
from collections import abc
from functools import cache
from numbers import Integral, Real
from typing import (
    Any,
    Dict,
    Iterator,
    List,
    Literal,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from mmengine.config import Config

from .numbers import check_number

# Bounds of a setting as keywords of ``check_number``, or the values that it may have.
Limit = Union[Mapping[str, float], Sequence[Any]]

# Parts of a component's config that belong to others: their authors know what they mean.
FOREIGN = ('cfg', 'pipeline')
# Settings whose values are written nowhere.
SECRET = re.compile(r'(api_?key|token|secret|password)$', re.IGNORECASE)
DICTS = (abc.Mapping, Config)
WORDS = {
    int: ('a whole number', 'whole numbers'), float: ('a number', 'numbers'),
    bool: ('True or False', 'True or False'), str: ('text', 'texts'),
    dict: ('a dict', 'dicts'), list: ('a list', 'lists'), type(None): ('None', 'None')
}
# Words of docstrings that name types: ``scale (float, optional): ...``.
DOC_TYPES = dict(int=int, float=float, bool=bool, str=str, dict=dict, list=list, tuple=list,
                 none=type(None), optional=type(None))


def defaults_of(cls: type) -> Dict[str, Any]:
    """The default values of a class's settings, those of its bases among them."""
    found: Dict[str, Any] = {}
    for base in inspect.getmro(cls):
        if base is not object and '__init__' in vars(base):
            for p in inspect.signature(vars(base)['__init__']).parameters.values():
                if p.default is not p.empty:
                    found.setdefault(p.name, p.default)
    return found


@cache
def settings_of(cls) -> Optional[Mapping[str, Any]]:
    """The arguments of a class or function with the types that they may have.

    Args:
        cls: A class; what its constructor hands on in ``**kwargs`` is looked up in the
            constructors of its bases.

    Returns:
        dict: Type hint by name, ``Any`` where neither the signature nor the docstring tells
        one; None where the class takes arguments of any name.
    """
    found: Dict[str, Any] = {}
    for base in inspect.getmro(cls) if inspect.isclass(cls) else [cls]:
        init = base.__dict__.get('__init__') if inspect.isclass(base) else base
        if base is object:
            return found
        if init is None:
            continue
        hints = _hints(init)
        parameters = inspect.signature(init).parameters.values()
        for p in parameters:
            if p.name != 'self' and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                hint = hints.get(p.name) or _documented(base, init, p.name)
                found.setdefault(p.name, Optional[hint] if p.default is None else hint)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return found
    return None


def limits_of(cls) -> Dict[str, Limit]:
    """The ranges that a class declares in ``limits``, with those of its bases.

    ``limits = dict(steps=dict(low=1), strength=dict(above=0, high=1), dtype=('fp32', 'bf16'))``:
    bounds as :func:`check_number` takes them, or the values that are allowed. The bounds hold for
    every number of a list.
    """
    found: Dict[str, Limit] = {}
    for base in reversed(inspect.getmro(cls) if inspect.isclass(cls) else ()):
        found.update(base.__dict__.get('limits') or {})
    return found


def check_value(key: str, value: Any, hint: Any = Any, limit: Optional[Limit] = None) -> None:
    """Check one value of a config.

    Args:
        key: Its place in the config, for the message.
        value: What was given.
        hint: Type hint of the setting.
        limit: See :func:`limits_of`.

    Raises:
        ValueError: If the value is of another type, not finite, or out of range.
    """
    if not fits(value, hint):
        raise ValueError(f'{key} must be {describe(hint, limit)}, got {shown(value, key)}')
    for place, number in _numbers(key, value):
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError(f'{place} must be a finite number, got {number}')
        if isinstance(limit, Mapping):
            check_number(place, number, integer=_is_whole(hint), **limit)
    if limit is not None and not isinstance(limit, Mapping) and value is not None \
            and value not in limit:
        raise ValueError(f'{key} must be {describe(hint, limit)}, got {shown(value, key)}')


def fits(value: Any, hint: Any) -> bool:
    """Whether a value of a config has a type.

    Lists stand for tuples and dicts for all mappings. What is not plain data passes, and so
    does plain data other than a number where the hint names a class that is none.
    """
    if hint is Any or not (value is None or isinstance(
            value, (str, Real, list, tuple, abc.Mapping))):
        return True
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, option) for option in args)
    if origin is Literal:
        return any(value == option and type(value) is type(option) for option in args)
    if hint in (None, type(None)):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint in (int, float):
        kind = Integral if hint is int else Real
        return isinstance(value, kind) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    kind = origin or hint
    if not isinstance(kind, type):
        return True
    if issubclass(kind, DICTS):
        return isinstance(value, abc.Mapping) and (
            len(args) < 2 or all(fits(inner, args[1]) for inner in value.values()))
    if issubclass(kind, (list, tuple)) or kind is abc.Sequence:
        return isinstance(value, (list, tuple)) and _items_fit(value, kind, args)
    return not isinstance(value, Real) or _is_instance(value, kind)


def _items_fit(value: Sequence[Any], kind: type, args: Tuple[Any, ...]) -> bool:
    if issubclass(kind, tuple) and args and args[-1] is not Ellipsis:
        return len(value) == len(args) and all(map(fits, value, args))
    return not args or all(fits(item, args[0]) for item in value)


def _is_instance(value: Any, kind: type) -> bool:
    try:
        return isinstance(value, kind)
    except TypeError:  # a protocol that cannot be checked
        return True


def describe(hint: Any, limit: Optional[Limit] = None) -> str:
    """A type and its range in words: 'a whole number, at least 1'."""
    if limit is not None and not isinstance(limit, Mapping):
        return f'one of {", ".join(map(repr, limit))}'
    text = _type_words(hint)
    words = dict(low='at least {:.10g}', above='above {:.10g}', high='at most {:.10g}')
    bounds = ' and '.join(words[key].format(value) for key, value in (limit or {}).items())
    return f'{text}, {bounds}' if bounds else text


def _type_words(hint: Any, plural: bool = False) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return ' or '.join(dict.fromkeys(_type_words(option, plural) for option in args))
    if origin is Literal:
        return f'one of {", ".join(map(repr, args))}'
    kind = origin or hint
    if kind in WORDS and not args:
        return WORDS[kind][plural]
    if isinstance(kind, type) and issubclass(kind, DICTS):
        return WORDS[dict][plural]
    if kind in (list, tuple, abc.Sequence):
        if kind is tuple and args and args[-1] is not Ellipsis:
            return f'{len(args)} {_type_words(args[0], True)}'
        items = f' of {_type_words(args[0], True)}' if args and args[0] is not Any else ''
        return f'{WORDS[list][plural]}{items}'
    return getattr(kind, '__name__', str(kind))


def shown(value: Any, key: str = '') -> str:
    """A value for a message, cut where it is long; never what may be the key of a service.

    Args:
        value: What was given.
        key: Its place; a value of ``api_key`` and the like is not told, nor what dicts hold.
    """
    if SECRET.search(key):
        return 'a value that is not shown'
    text = ' '.join(repr(_without_values(value)).split())
    return text if len(text) <= 80 else f'{text[:77]}...'


class _Hidden:
    """Stands for a value that is not told."""

    def __repr__(self) -> str:
        return '...'


def _without_values(value: Any) -> Any:
    if isinstance(value, abc.Mapping):
        return dict.fromkeys(value, _Hidden())
    if isinstance(value, (list, tuple)):
        return type(value)(_without_values(inner) for inner in value)
    return value


def check_overrides(where: str, cls: type) -> None:
    """Check that a class from outside mmdd takes what mmdd calls its methods with.

    Args:
        where: Place of the class in the config.
        cls: The class.

    Raises:
        ValueError: If a method that it overrides takes other arguments than that of mmdd.
    """
    bases = [base for base in inspect.getmro(cls) if _is_own(base)]
    for outside in (base for base in inspect.getmro(cls) if bases and not _is_own(base)
                    and issubclass(base, tuple(bases))):
        for name, member in vars(outside).items():
            base = next((base for base in bases if name in vars(base)), None)
            if base is None or (name.startswith('_') and name != '__call__'):
                continue
            own, wanted = _parameters(member), _parameters(vars(base)[name])
            if own is not None and wanted is not None and not _takes(own, wanted):
                raise ValueError(f'{where}: {outside.__name__}.{name} must take '
                                 f'({_names(wanted)}), as {base.__name__} says, but takes '
                                 f'({_names(own)})')


def _is_own(cls: type) -> bool:
    return cls.__module__.split('.')[0] == 'mmdd'


def _parameters(member: Any) -> Optional[List[inspect.Parameter]]:
    """Parameters of a method without ``self``; None for what is no method."""
    function = getattr(member, '__func__', member)
    if not inspect.isfunction(function):
        return None
    parameters = list(inspect.signature(function).parameters.values())
    return parameters if isinstance(member, staticmethod) else parameters[1:]


def _takes(own: Sequence[inspect.Parameter], wanted: Sequence[inspect.Parameter]) -> bool:
    """Whether a method can be called in the ways in which the wanted one can."""
    signature = inspect.Signature([p.replace(annotation=p.empty) for p in own])
    needed = [p for p in wanted if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    more = {p.name: None for p in wanted if p.default is not p.empty or p.kind is p.KEYWORD_ONLY}
    try:
        signature.bind(*[None] * len(needed), **more)
    except TypeError:
        return False
    return True


def _names(parameters: Sequence[inspect.Parameter]) -> str:
    return ', '.join(str(p.replace(annotation=p.empty)) for p in parameters)


def _hints(init: Any) -> Dict[str, Any]:
    try:
        return get_type_hints(init)
    except Exception:  # names of hints that exist for type checkers alone
        return {}


def _documented(cls: Any, init: Any, name: str) -> Any:
    """The type in ``name (type): ...`` of a docstring; Any where it tells none."""
    text = f'{inspect.getdoc(cls) or ""}\n{inspect.getdoc(init) or ""}'
    match = re.search(rf'^\s*{name} \(([^)]*)\)\s*:', text, re.MULTILINE)
    if match is None:
        return Any
    words = re.split(r',|\||\bor\b', re.sub(r'\[.*\]|defaults? .*', '', match[1]))
    found = [DOC_TYPES.get(word.strip().lower(), Any) for word in words if word.strip()]
    return Any if not found or Any in found else Union[tuple(found)]


def _is_whole(hint: Any) -> bool:
    """Whether all numbers that a hint allows are whole."""
    if get_origin(hint) is Literal:
        return not any(isinstance(option, float) for option in get_args(hint))
    if get_args(hint):
        return all(_is_whole(option) for option in get_args(hint) if option is not type(None))
    return hint is int


def _numbers(key: str, value: Any) -> Iterator[Tuple[str, Real]]:
    """The numbers of a value with their places."""
    if isinstance(value, abc.Mapping):
        for name, inner in value.items():
            if name not in FOREIGN:
                yield from _numbers(f'{key}.{name}', inner)
    elif isinstance(value, (list, tuple)):
        for i, inner in enumerate(value):
            yield from _numbers(f'{key}[{i}]', inner)
    elif isinstance(value, Real) and not isinstance(value, bool):
        yield key, value
