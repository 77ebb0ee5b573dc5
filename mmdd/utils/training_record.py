"""The JSON file beside trained weights: what their training took."""
import json
import os.path as osp
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

from .config import resolve_path
from .io import atomic_write_json


def record_path(weights: str) -> str:
    """Where the record of weights is.

    Args:
        weights: A checkpoint file, whose record is ``<stem>.json`` beside it; or an existing
            folder, whose record is ``training.json`` inside.
    """
    if osp.isdir(weights):
        return osp.join(weights, 'training.json')
    return f'{osp.splitext(weights)[0]}.json'


def write_record(weights: str, seconds: float, **facts: Any) -> None:
    """Write down what the training of weights took.

    Args:
        weights: See :func:`record_path`.
        seconds: Wall-clock seconds, over restarts.
        facts: Plain numbers and text, such as ``config``, ``updates``, ``metrics``,
            ``denoiser_passes``.
    """
    atomic_write_json(record_path(weights), dict(facts, seconds=round(seconds, 3)))


def read_record(weights: Optional[str]) -> Optional[Dict[str, Any]]:
    """The record of weights; None where there is none, as of weights trained elsewhere."""
    path = record_path(weights) if weights else ''
    if not osp.isfile(path):
        return None
    try:
        with open(path, encoding='utf-8') as f:
            content = json.load(f)
    except ValueError:
        return None
    known = isinstance(content, dict) and isinstance(content.get('seconds'), (int, float))
    return content if known else None


def training_facts(weights: Optional[str]) -> Optional[Dict[str, Any]]:
    """What the training of weights cost and reached, by their record; None without one."""
    content = read_record(weights)
    return content and {key: content.get(key) for key in (
        'config', 'seconds', 'updates', 'metrics')}


def training_records(model: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    """Records of all weights that a config names.

    Args:
        model: Config of a distiller.

    Returns:
        dict: Records by the part of ``model`` that the weights belong to, such as 'proxy' or
        'diffusion'. Weights of several parts count for the first one.
    """
    records: Dict[str, Dict[str, Any]] = {}
    seen = set()
    for part, text in _texts(model):
        try:
            path = osp.abspath(resolve_path(text))
        except (FileNotFoundError, OSError, ValueError):
            continue
        record = None if path in seen else read_record(path)
        if record is not None:
            seen.add(path)
            name = part if part not in records else f'{part} ({osp.basename(path)})'
            records[name] = record
    return records


def _texts(node: Any, part: str = '') -> Iterator[Tuple[str, str]]:
    """Every text below a node that may be a path, and the part of the config it is in."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key != 'cfg':  # how a proxy is trained, not what it weighs
                yield from _texts(value, part or str(key))
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _texts(value, part)
    elif isinstance(node, str) and node and len(node) < 1000:
        yield part, node
