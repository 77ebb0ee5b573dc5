"""The methods of a benchmark: rows of its tables, and the entries that stand for them."""
import json
import os.path as osp
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from mmengine.config import Config

from mmdd.engine.distill_job import read_job
from mmdd.protocols.protocol import read_protocol
from mmdd.utils.components import short_name
from mmdd.utils.config import fingerprint, plain
from mmdd.utils.names import slug
from mmdd.utils.sections import Section, check_section
from mmdd.utils.signature import SECRET
from .report.paper_values import paper_entry

# What an entry may hold, and its sweep.
SWEEP: Section = dict(label=(str, None), key=(str, None), values=(list, None),
                      configs=(dict, None))
METHOD: Section = dict(config=(Union[str, Mapping, List[str]], None),
                       cfg_options=(Optional[Dict[str, Any]], None), curve=(str, None),
                       sweep=(Optional[dict], None))
# Marks of protocols by what names them.
_MARKS: Dict[str, str] = {}


@dataclass
class Method:
    """One row of a table."""
    name: str  # what the row is called, once per group
    config: Any  # config file of the distillation job, or the config itself
    folder: str  # where its sets go, below the work dir
    # Methods of one curve, as one method at several budgets, are one line of a plot.
    curve: str = ''
    options: Dict[str, Any] = field(default_factory=dict)  # dotted options for the config
    # ``dict(base=, label=, value=)`` of a method of a sweep.
    sweep: Optional[Dict[str, Any]] = None
    added: bool = False  # whether the benchmark added it, as the random baseline of a budget

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
    key, text = words.get(short_name(budget['type']), ('type', '{}'))
    return text.format(number(budget[key]))


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
        FileNotFoundError: If a config is missing.
        ValueError: If the entry, its sweep or a config is malformed, or an option is a secret.
    """
    if isinstance(value, Config) or (isinstance(value, Mapping) and 'model' in value):
        value = dict(config=value)
    node = dict(value) if isinstance(value, Mapping) else dict(config=value)
    where = f'{where}, method {name!r}'
    check_section(where, node, METHOD, joint=': ')
    own, curve = dict(node.get('cfg_options') or {}), node.get('curve') or ''
    config, sweep = node.get('config'), node.get('sweep') or {}
    for key in {**own, **(defaults or {}), **(cfg_options or {})}:
        if SECRET.search(key):  # the message does not repeat its value either
            raise ValueError(f'{where}: {key} would be written into the results; put the key into '
                             f'an environment variable and name that in api_key_env')
    check_section(f'{where}, sweep', sweep, SWEEP, joint=': ')
    if not config and not sweep.get('configs'):
        raise ValueError(f'{where} names no config')

    def method(title: str, config: Any, curve: str, options: Optional[Mapping[str, Any]] = None,
               sweep: Optional[Dict[str, Any]] = None) -> Method:
        before, after = defaults or {}, cfg_options or {}
        if before or after:
            model = read_job(config, dict(own)).model
            before, after = (_fitting(title, shared, model) for shared in (before, after))
        return Method(title, config, osp.join(folder, slug(title)), curve,
                      {**before, **own, **after, **(options or {})}, sweep)

    if isinstance(config, (list, tuple)):
        methods = [method(name, each, name) for each in config]
        for each in methods:
            each.name = f'{name}, {each.budget}'
            each.folder = osp.join(folder, slug(each.name))
        return methods
    if not sweep.get('configs'):
        single = method(name, config, curve)
        sweep = dict(single.cfg.get('sweep') or {}, **sweep)
        if not sweep:
            return [single]
    return [method(f'{name}@{number(value)}', each, curve or name, options,
                   dict(base=name, label=sweep.get('label') or next(iter(options), 'value'),
                        value=value))
            for value, each, options in _sweep_points(where, sweep, config)]


def _sweep_points(where: str, sweep: Mapping[str, Any],
                  config: Any) -> List[Tuple[Any, Any, Dict[str, Any]]]:
    """Value, config and options of each point of a sweep."""
    if sweep.get('configs'):
        return [(value, each, {}) for value, each in sweep['configs'].items()]
    if not sweep.get('key') or not sweep.get('values'):
        raise ValueError(f'{where}: a sweep needs key and values, or configs: {{value: config}}')
    return [(value, config, {sweep['key']: value}) for value in sweep['values']]


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


def number(value: Any) -> str:
    """A swept value or a budget as part of a name."""
    return f'{value:g}' if isinstance(value, float) else str(value)


def config_title(config: str) -> str:
    """What a method is called that was given as a bare config file."""
    entry = paper_entry(config)
    folder, stem = osp.split(osp.splitext(config)[0])
    return entry.get('name') or f'{osp.basename(folder)}_{stem}'


def protocol_of(method: Method) -> Config:
    """The student protocol of a method; ValueError if its config names none."""
    protocol = (method.cfg.get('evaluation') or {}).get('protocol')
    if protocol is None:
        raise ValueError(f'{method.config_name or method.name}: the config names no '
                         f'evaluation.protocol')
    return read_protocol(protocol)


def protocol_mark(method: Method) -> str:
    """What tells the student protocol of a method from others; each protocol is read once."""
    key = json.dumps(plain((method.cfg.get('evaluation') or {}).get('protocol')))
    return _MARKS.get(key) or _MARKS.setdefault(key, fingerprint(protocol_of(method)))
