"""Checks of components by their configs, before anything is built."""
import inspect
from contextlib import contextmanager
from typing import Any, Iterator, Mapping, Optional, Set, Tuple

from mmengine.registry import Registry

from .compat import setup
from .config import suggestion
from .signature import check_overrides, check_value, limits_of, settings_of, shown

# What registries and Runners read beside the arguments of a constructor.
BUILD_KEYS = ('type', '_scope_', 'priority')


def check_part(where: str, registry: Registry, node: Any) -> None:
    """Check that a component exists, knows its settings, and that these have values it takes.

    Args:
        where: Place in the config, for the message.
        registry: Where its type is looked up.
        node: Its config.

    Raises:
        ValueError: If not: the message names the setting, what was given and what is expected,
            or the method of a class from outside that takes other arguments than it is given.
    """
    cls = component_of(where, registry, node)
    accepted, limits = settings_of(cls), limits_of(cls)
    for key, value in node.items():
        if key in BUILD_KEYS:
            continue
        if accepted is not None and key not in accepted:
            raise ValueError(f'{where}.{key}: {cls.__name__} has no such setting'
                             f'{suggestion(key, accepted)}')
        check_value(f'{where}.{key}', value, (accepted or {}).get(key, Any), limits.get(key))
    if inspect.isclass(cls):
        check_overrides(where, cls)


def component_of(where: str, registry: Registry, node: Any) -> Any:
    """The class or function that a config names.

    Raises:
        ValueError: If it names none, or one that is unknown; the message suggests the nearest.
    """
    if not isinstance(node, Mapping) or node.get('type') is None:
        raise ValueError(f'{where} must be a dict that names a component by type, got '
                         f'{shown(node)}')
    name = node['type']
    if not isinstance(name, str):
        return name
    with _scoped(registry, node) as scoped:
        cls, known = scoped.get(name), names_of(scoped)
    if cls is None:
        raise ValueError(f'{where}: there is no component {name!r}{suggestion(name, known)}')
    return cls


def class_of(registry: Registry, node: Any) -> Any:
    """The class that a config names or holds; None where the registry has none of that name."""
    kind = node.get('type') if isinstance(node, Mapping) else None
    if not isinstance(kind, str):
        return kind
    with _scoped(registry, node) as scoped:
        found = scoped.get(kind)
    return found if callable(found) else None  # MMEngine also finds modules by their names


@contextmanager
def _scoped(registry: Registry, node: Mapping[str, Any]) -> Iterator[Registry]:
    """The registry that a config's type is looked up in, which may import a whole package."""
    setup()
    with registry.switch_scope_and_registry(node.get('_scope_')) as scoped:
        yield scoped


def short_name(kind: Any) -> str:
    """What a component is called, without scope or module: that of a type as configs give it.

    Args:
        kind: A name, or the class itself.
    """
    return (kind if isinstance(kind, str) else getattr(kind, '__name__', str(kind))).rsplit(
        '.', 1)[-1]


def names_of(registry: Optional[Registry]) -> Set[str]:
    """Names that a registry and its parents know."""
    if registry is None:
        return set()
    return set(registry.module_dict) | names_of(registry.parent)


def runtime_settings_of(cls: Any) -> Tuple[str, ...]:
    """The settings that a class, with its bases, declares in ``runtime_settings``.

    They change speed, place or how an answer is got, never what comes out: a job with other
    values of them is the same job.
    """
    found = [base.__dict__.get('runtime_settings', ())
             for base in (inspect.getmro(cls) if inspect.isclass(cls) else ())]
    return tuple(dict.fromkeys(name for names in found for name in names))
