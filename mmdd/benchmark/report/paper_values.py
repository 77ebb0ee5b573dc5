"""What the papers report, from the ``metafile.yml`` beside a config."""
import os.path as osp
import re
from dataclasses import replace
from functools import cache
from typing import Any, Dict, List, Mapping, Optional, Sequence

from mmdd.utils.config import read_yaml, resolve_path
from mmdd.utils.mean_std import MeanStd

METAFILE = 'metafile.yml'
# Names under which one metric goes in metafiles, protocols and mm* packages.
ALIASES = (
    ('top1', 'top1accuracy', 'accuracytop1', 'accuracy', 'acc', 'acc1', 'top1acc'),
    ('top5', 'top5accuracy', 'accuracytop5', 'acc5', 'top5acc'),
    ('map', 'boxap', 'bboxmap', 'boxmap', 'ap', 'pascalvocmap', 'cocobboxmap'),
    ('ap50', 'map50', 'bboxmap50', 'boxap50', 'pascalvocap50', 'cocobboxmap50'),
    ('miou', 'meaniou', 'iou'))
_NUMBER = re.compile(r'[-+]?\d*\.?\d+(?:e[-+]?\d+)?')
_STD = re.compile(r'.*[ _-]std', re.I)


def metric_key(name: str) -> str:
    """A metric's name without case, blanks and signs; one of several names for one thing."""
    bare = ''.join(c for c in str(name).lower() if c.isalnum())
    return next((names[0] for names in ALIASES if bare in names), bare)


def paper_entry(config: str) -> Dict[str, Any]:
    """What the metafile beside a config file says of it.

    ``name``, ``collection``, ``title`` and ``url`` of the paper, ``source`` and ``results`` (list
    of the entry's results). Empty where there is no file or no entry for the config; ValueError
    where the file is no YAML.
    """
    try:
        path = resolve_path(osp.join(osp.dirname(config), METAFILE))
    except FileNotFoundError:
        return {}
    content = _read(path, osp.getmtime(path))
    model = next((model for model in _items(content.get('Models'))
                  if osp.basename(str(model.get('Config'))) == osp.basename(config)), None)
    if model is None:
        return {}
    collections = {entry.get('Name'): entry for entry in _items(content.get('Collections'))}
    paper = (collections.get(model.get('In Collection')) or {}).get('Paper') or {}
    own = model.get('Paper') or paper
    return dict(
        name=str(model.get('Name') or ''), collection=str(model.get('In Collection') or ''),
        title=str(own.get('Title') or ''), url=str(own.get('URL') or ''),
        source=str((model.get('Metadata') or {}).get('Source') or ''),
        results=_items(model.get('Results')))


def paper_values(config: str, metrics: Sequence[str],
                 student: str = '') -> Dict[str, MeanStd]:
    """The paper's values of a config by column of a protocol, as far as there are some.

    Args:
        config: Config file.
        metrics: Columns of the protocol.
        student: Name of the student, for metafiles that list several; entries
            with ``Student`` count for that student alone.
    """
    found: Dict[str, MeanStd] = {}
    for result in paper_entry(config).get('results', []):
        owner = result.get('Student')
        if metric_key(owner or '') != metric_key(student) and (owner or student):
            continue
        for column, value in read_metrics(result.get('Metrics'), metrics).items():
            found.setdefault(column, value)
    return found


def read_metrics(node: Any, metrics: Sequence[str]) -> Dict[str, MeanStd]:
    """Values by column from a ``Metrics`` mapping; signs and case of names do not count.

    A value is a number with its deviation under ``<metric>_std``, a text like
    ``'16.8 ± 0.5'``, a pair, or ``dict(mean=, std=)``. Anything else is passed over.
    """
    if not isinstance(node, Mapping):
        return {}
    given: Dict[str, Optional[MeanStd]] = {}
    stds: Dict[str, Optional[MeanStd]] = {}
    for name, value in node.items():
        known, bare = (stds, str(name)[:-4]) if _STD.fullmatch(str(name)) else (given, name)
        known[metric_key(bare)] = _mean_std(value)
    found = {}
    for column in metrics:
        value, std = (known.get(metric_key(column)) for known in (given, stds))
        if value is not None:
            found[column] = replace(value, std=std.mean) if std and value.std is None else value
    return found


def _mean_std(value: Any) -> Optional[MeanStd]:
    if isinstance(value, Mapping):
        value = [value.get('mean'), value.get('std')]
    parts = value if isinstance(value, (list, tuple)) else _NUMBER.findall(str(value))
    mean, std, *_ = [float(part) if _NUMBER.fullmatch(part) else None
                     for part in map(str, parts)] + [None, None]
    return None if mean is None else MeanStd(mean, std)


@cache
def _read(path: str, changed: float) -> Mapping[str, Any]:
    content = read_yaml(path)
    return content if isinstance(content, Mapping) else {}


def _items(node: Any) -> List[Mapping[str, Any]]:
    return [item for item in node if isinstance(item, Mapping)] if isinstance(node, list) else []
