"""The methods of a benchmark: rows of its tables, and the entries that stand for them."""
import json
import os.path as osp
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Dict, List, Mapping, Optional

from mmengine.config import Config

from mmdd.engine.distill_job import read_job
from mmdd.protocols.protocol import read_protocol
from mmdd.utils.config import fingerprint, plain
from mmdd.utils.names import slug
from mmdd.utils.sections import check_section
from mmdd.utils.signature import SECRET
from .report.paper_values import paper_entry
from .suite_sections import METHOD, SWEEP


@dataclass
class Method:
    """One row of a table.

    Attributes:
        name: What the row is called, once per group.
        config: Config file of the distillation job, or the config itself.
        folder: Where its sets go, below the work dir.
        curve: Methods of one curve, as one method at several budgets, are one line of a plot.
        options: Dotted options merged into the config.
        sweep: ``dict(base=, label=, value=)`` for a method of a sweep.
        added: Whether the benchmark added it, as the random baseline of a budget.
    """
    name: str
    config: Any
    folder: str
    curve: str = ''
    options: Dict[str, Any] = field(default_factory=dict)
    sweep: Optional[Dict[str, Any]] = None
    added: bool = False

    def __post_init__(self) -> None:
        self.curve = self.curve or (self.sweep or {}).get('base') or self.name
        self.cfg: Config = read_job(self.config, self.options)

    @property
    def config_name(self) -> str:
        """The config file as it was given; '' for a config that is no file."""
        return self.config if isinstance(self.config, str) else ''

    @property
    def budget(self) -> str:
        """The budget in words: ``IPC 10``, ``5 %``, ``50 images``."""
        return budget_text(self.cfg.train_cfg.budget)


def budget_text(budget: Mapping[str, Any]) -> str:
    """A budget in words."""
    words = dict(IPC=('n', 'IPC {}'), Ratio=('percent', '{} %'), Total=('n', '{} images'))
    key, text = words.get(str(budget['type']).rsplit('.', 1)[-1], ('type', '{}'))
    value = budget[key]
    return text.format(f'{value:g}' if isinstance(value, float) else value)


def read_method(name: str, value: Any, where: str, folder: str = '',
                cfg_options: Optional[dict] = None,
                defaults: Optional[dict] = None) -> List[Method]:
    """The methods that one entry stands for: a list of budgets and a sweep are several.

    Args:
        name: Name of the entry.
        value: Config file, config, list of config files, or a dict of ``config``,
            ``cfg_options``, ``curve`` and ``sweep`` (``label``, and ``key`` and ``values``,
            or ``configs``: config file by value). A config may have a field ``sweep``.
        where: Place, for messages.
        folder: Folder of the group below the work dir.
        cfg_options: Dotted options merged into every config that has the part they change:
            ``model.proxy.x`` says nothing to a method without a proxy.
        defaults: The same, where the entry does not say otherwise.

    Raises:
        ValueError: If the entry is malformed.
    """
    if isinstance(value, Config) or (isinstance(value, Mapping) and 'model' in value):
        value = dict(config=value)
    node = dict(value) if isinstance(value, Mapping) else dict(config=value)
    where = f'{where}, method {name!r}'
    check_section(where, node, METHOD, joint=': ')
    node['cfg_options'] = dict(node.get('cfg_options') or {})
    node.update(defaults=defaults or {}, given=cfg_options or {})
    for options in (node['defaults'], node['cfg_options'], node['given']):
        check_no_secret(where, options)
    sweep = node.get('sweep') or {}
    check_section(f'{where}, sweep', sweep, SWEEP, joint=': ')
    if not node.get('config') and not sweep.get('configs'):
        raise ValueError(f'{where} names no config')
    if isinstance(node.get('config'), (list, tuple)):
        methods = [_method(name, node, folder, config) for config in node['config']]
        for method in methods:
            method.curve, method.name = name, f'{name}, {method.budget}'
            method.folder = osp.join(folder, slug(method.name))
        return methods
    if not sweep.get('configs'):
        method = _method(name, node, folder, node['config'])
        sweep = dict(method.cfg.get('sweep') or {}, **sweep)
        if not sweep:
            return [method]
        if not sweep.get('key') or not sweep.get('values'):
            raise ValueError(f'{where}: a sweep needs key and values, or configs: '
                             f'{{value: config}}')
    points = sweep['configs'].items() if sweep.get('configs') else [
        (value, node.get('config')) for value in sweep['values']]
    key = None if sweep.get('configs') else sweep['key']
    return [_method(f'{name}@{number(value)}', dict(node, curve=node.get('curve') or name), folder,
                 config, {} if key is None else {key: value},
                 dict(base=name, label=sweep.get('label') or key or 'value', value=value))
            for value, config in points]


def _method(name: str, node: Mapping[str, Any], folder: str, config: Any,
            options: Optional[Mapping[str, Any]] = None,
            sweep: Optional[Dict[str, Any]] = None) -> Method:
    defaults, own, given = (node[key] for key in ('defaults', 'cfg_options', 'given'))
    if defaults or given:
        model = read_job(config, dict(own)).model
        defaults, given = (_fitting(name, shared, model) for shared in (defaults, given))
    return Method(name, config, osp.join(folder, slug(name)), node.get('curve') or '',
               {**defaults, **own, **given, **(options or {})}, sweep)


def _fitting(name: str, options: Mapping[str, Any], model: Mapping[str, Any]) -> Dict[str, Any]:
    """Options for all methods without those of a part that the method of this one lacks."""
    fitting = {}
    for key, value in options.items():
        part = key.split('.')[1:-1]
        if key.startswith('model.') and part and model.get(part[0]) is None:
            print(f'{name}: {key} is left out, its method has no model.{part[0]}', flush=True)
        else:
            fitting[key] = value
    return fitting


def check_no_secret(where: str, options: Mapping[str, Any]) -> None:
    """Check that options hold no key of a service: they are written into results.

    Raises:
        ValueError: If one does; the message does not repeat it.
    """
    for key in options:
        if SECRET.search(key):
            raise ValueError(f'{where}: {key} would be written into the results; put the key into '
                             f'an environment variable and name that in api_key_env')


def number(value: Any) -> str:
    """A swept value as part of a name."""
    return f'{value:g}' if isinstance(value, float) else str(value)


def config_title(config: str) -> str:
    """What a method is called that was given as a bare config file."""
    entry = paper_entry(config)
    folder, stem = osp.split(osp.splitext(config)[0])
    return entry.get('name') or f'{osp.basename(folder)}_{stem}'


def protocol_of(method: Method) -> Config:
    """The student protocol of a method.

    Raises:
        ValueError: If its config names none.
    """
    protocol = (method.cfg.get('evaluation') or {}).get('protocol')
    if protocol is None:
        raise ValueError(f'{method.config_name or method.name}: the config names no '
                         f'evaluation.protocol')
    return read_protocol(protocol)


def protocol_mark(method: Method) -> str:
    """What tells the student protocol of a method from others."""
    protocol = plain((method.cfg.get('evaluation') or {}).get('protocol'))
    if isinstance(protocol, (str, list)) and protocol:
        return _protocol_mark(json.dumps(protocol))
    return fingerprint(protocol_of(method))


@cache
def _protocol_mark(protocol: str) -> str:
    return fingerprint(read_protocol(json.loads(protocol)))
