"""Loading and fingerprinting config files."""
import copy
import difflib
import hashlib
import inspect
import json
import os.path as osp
import sys
from contextlib import contextmanager
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    Mapping,
    Optional,
    Sequence,
    Union,
    cast,
)

import yaml
from mmengine.config import Config, ConfigDict
from mmengine.utils import import_modules_from_strings

from .paths import resolve_path

ConfigType = Union[str, Mapping[str, Any], Config, Sequence[Union[str, Mapping[str, Any]]]]

# Keys at the top of a config that MMEngine's Runner or mmdd reads.
KNOWN_KEYS = (
    'model', 'work_dir', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'train_cfg',
    'val_cfg', 'test_cfg', 'auto_scale_lr', 'optim_wrapper', 'param_scheduler', 'val_evaluator',
    'test_evaluator', 'default_hooks', 'custom_hooks', 'data_preprocessor', 'load_from', 'resume',
    'launcher', 'env_cfg', 'log_processor', 'log_level', 'visualizer', 'default_scope',
    'randomness', 'experiment_name', 'runner_type', 'model_wrapper_cfg', 'custom_imports',
    'prepare', 'evaluation')

# Fields that do not change what a job computes, only where and how it reports.
VOLATILE_KEYS = ('work_dir', 'resume', 'launcher', 'env_cfg', 'visualizer', 'vis_backends',
                 'log_level', 'log_processor', 'experiment_name', 'model_wrapper_cfg',
                 'default_hooks.logger', 'default_hooks.timer', 'default_hooks.visualization')


def load_config(config: ConfigType) -> Config:
    """Load a config from a file, another package, or a dict.

    The modules of ``custom_imports`` are imported; they may lie beside the
    config file, wherever that is. Bases may lie in mmdd:
    ``_base_ = 'mmdd::unidd/convnet_digits_ipc10.py'``.

    Args:
        config: A path (see :func:`resolve_path`), ``'mmdet::...'`` for a file of
            an installed OpenMMLab package, a dict, a Config (copied), or a list
            of these, merged from left to right: a model, a dataset and a
            schedule make one training config.

    Returns:
        Config: The config; changing it does not change what was passed.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file cannot be read as a config.
    """
    if isinstance(config, Config):
        config = copy.deepcopy(config)
        _inline(config)
        return config
    if isinstance(config, Mapping):
        return Config(_inline(copy.deepcopy(ConfigDict(config))))
    if isinstance(config, (list, tuple)):
        merged = Config()
        for part in config:
            merged.merge_from_dict(load_config(part).to_dict())
        return merged
    name = cast(str, config)
    read: Callable[[str], Config] = Config.fromfile
    if '::' in name and not name.startswith('mmdd::'):
        from mmengine.hub import get_config
        read, path = get_config, name
    else:
        path = resolve_path(name)
    try:
        with import_path(path):
            cfg = read(path)
    except FileNotFoundError as error:
        if error.filename is None:
            raise
        raise FileNotFoundError(f'{path} cannot be read as a config: {error.filename} not '
                                f'found') from None
    except Exception as error:  # a config is code: anything can come out of it
        # MMEngine's line about modules ends in all of sys.path
        reason = str(error).partition(', the current sys.path')[0].strip().splitlines() or ['']
        cause = f' ({error.__cause__ or error.__context__})' if isinstance(
            error, ImportError) and (error.__cause__ or error.__context__) else ''
        raise ValueError(f'{path} cannot be read as a config: '
                         f'{type(error).__name__}: {reason[0]}{cause}') from error
    if cfg.get('custom_imports'):
        keep_import_path(path)
    return cfg


def read_yaml(path: str) -> Any:
    """The content of a YAML file.

    Raises:
        ValueError: If it is none.
    """
    with open(path, encoding='utf-8') as f:
        try:
            return yaml.safe_load(f)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f'{path} is not valid YAML: {" ".join(str(error).split())}') from None


@contextmanager
def import_path(config: str) -> Iterator[None]:
    """Find modules beside a config file for the length of the block, before all others."""
    folder = osp.dirname(osp.abspath(config))
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def keep_import_path(config: str) -> None:
    """Find modules beside a config file from now on, after all others.

    Processes that are started to work on the config, or on one that was made of it, inherit
    it.
    """
    folder = osp.dirname(osp.abspath(config))
    if folder not in sys.path:
        sys.path.append(folder)


def merge_options(config: Config, options: Optional[Mapping[str, Any]]) -> None:
    """Merge dotted options into a config, in place; the modules that they name are imported.

    Args:
        config: The config.
        options: Values by dotted key, ``{'train_cfg.max_iters': 100}``.

    Raises:
        ValueError: If an option names no place of the config.
    """
    for key, value in (options or {}).items():
        first = key.split('.')[0]
        if first not in set(config) | set(KNOWN_KEYS):
            raise ValueError(f'--cfg-options {key}: the config has no {first!r}'
                             f'{suggestion(first, set(config))}')
        try:
            config.merge_from_dict({key: value})
        except (KeyError, TypeError) as error:  # an item that a list has not, a key of no dict
            raise ValueError(f'--cfg-options {key}: there is no such place '
                             f'({str(error.args[0]).split(" [")[0][:120]})') from None
    if any(key.split('.')[0] == 'custom_imports' for key in options or ()):
        try:
            import_custom_modules(config)
        except ValueError as error:
            raise ValueError(f'--cfg-options {error}') from None


def import_custom_modules(config: Config) -> None:
    """Import the modules that a config names, as reading it from its file does.

    A config that came to this process as an object was read in another one.

    Raises:
        ValueError: If it names none, or one that cannot be imported.
    """
    node = config.get('custom_imports')
    if not node:
        return
    if not isinstance(node, Mapping) or not isinstance(node.get('imports'), (str, list, tuple)):
        raise ValueError("custom_imports must be a dict such as dict(imports=['my_module']), got "
                         f'{node!r}')
    try:
        with import_path(config.filename or 'config.py'):
            import_modules_from_strings(**node)
    except (ImportError, TypeError) as error:
        raise ValueError(f'custom_imports: {error}') from error


def _inline(node: Any) -> Any:
    """Turn what MMEngine cannot write down into plain data, in place.

    Configs inside of a config become dicts; a class or function as ``type`` becomes its name.
    """
    if isinstance(node, Config):
        node = node._cfg_dict
    if isinstance(node, dict):
        for key, value in dict.items(node):  # as they are: objects of lazy imports stay lazy
            inlined = _importable(value) if key == 'type' else _inline(value)
            if inlined is not value:
                node[key] = inlined
    elif isinstance(node, (list, tuple)):
        inlined = [_inline(value) for value in node]
        if any(new is not old for new, old in zip(inlined, node)):
            return type(node)(inlined)
    return node


def _importable(kind: Any) -> Any:
    """The name by which MMEngine imports a class or function; others as they are."""
    if not (isinstance(kind, type) or inspect.isroutine(kind)) or '<' in kind.__qualname__:
        return kind
    return f'{kind.__module__}.{kind.__qualname__}'


def suggestion(key: str, known: Iterable[str]) -> str:
    """'; did you mean ...?' where a known name is close to ``key``, else ''."""
    close = difflib.get_close_matches(key, sorted(known), 1)
    return f'; did you mean {close[0]!r}?' if close else ''


def plain(value: Any) -> Any:
    """The value as dicts, lists, numbers and text, whatever classes it is made of."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if inspect.isroutine(value):  # whose own text holds an address
        return f'{value.__module__}.{value.__qualname__}'
    return str(value)


def fingerprint(config: ConfigType, ignore: Sequence[str] = VOLATILE_KEYS) -> str:
    """SHA-256 of what a config computes.

    Args:
        config: Anything :func:`load_config` takes.
        ignore: Dotted keys that are left out.

    Returns:
        str: 64 hexadecimal digits, independent of the order of keys and of
        tuple versus list.
    """
    content = plain(load_config(config).to_dict())
    for key in ignore:
        *parents, last = key.split('.')
        node = content
        for parent in parents:
            node = node.get(parent) or {}
        node.pop(last, None)
    text = json.dumps(content, sort_keys=True, separators=(',', ':'))
    return hashlib.sha256(text.encode()).hexdigest()


def describe_network(node: Mapping[str, Any]) -> Dict[str, Any]:
    """A proxy or judge by what its config says, wherever that lies, without its weights."""
    network = {name: value for name, value in node.items() if name != 'checkpoint'}
    if network.get('cfg') is not None:
        network['cfg'] = fingerprint(network['cfg'])
    return network
