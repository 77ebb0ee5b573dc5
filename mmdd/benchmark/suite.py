"""What a benchmark consists of: groups of methods, from a suite file or a command line."""
import json
import os.path as osp
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import yaml
from mmengine.config import Config

from mmdd.engine.distill_job import read_job
from mmdd.protocols.protocol import leaf_dataset, read_protocol
from mmdd.utils.config import ConfigType, fingerprint, plain, resolve_path, suggestion
from mmdd.utils.names import slug
from mmdd.utils.sections import check_section
from mmdd.utils.signature import SECRET
from .random_baseline import RANDOM, is_random, random_job, same_budget
from .report.paper_values import paper_entry
from .suite_sections import GROUP, METHOD, SECONDS, SUITE, SWEEP

SUITES = 'configs/benchmarks'


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


@dataclass
class Group:
    """Methods that share a student protocol, hence a table.

    Attributes:
        name: Heading of the table.
        methods: Its rows.
        full: Whether the full real set is a method; None where that is left open.
        ablation: Methods, in order, that add one component each.
        paper: Values of the paper by method, for what no metafile holds.
        protocols: More student protocols by name, beside those of the configs'
            ``evaluation.students``.
        seconds: What a ``set`` and a ``student`` took where the suite was measured.
    """
    name: str
    methods: List[Method]
    full: Optional[bool] = None
    ablation: Sequence[str] = ()
    paper: Mapping[str, Any] = field(default_factory=dict)
    protocols: Mapping[str, ConfigType] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def protocol(self) -> Config:
        """The student protocol of the first method."""
        return read_protocol(self.methods[0].cfg.evaluation.protocol)

    def students(self, which: Union[str, Sequence[str]]) -> Dict[str, ConfigType]:
        """Student protocols by name, the configs' own one first.

        That one has its name in ``evaluation.students`` or :attr:`protocols`, or '' where
        it has none there.

        Args:
            which: 'default' for the configs' own, 'all' for those of
                ``evaluation.students`` and :attr:`protocols` as well, or names of these.

        Raises:
            ValueError: If a name is unknown in this group.
        """
        own = plain(self.methods[0].cfg.evaluation.protocol)
        more: Dict[str, Any] = plain(self.protocols)
        for method in self.methods:
            for name, protocol in plain(method.cfg.evaluation.get('students') or {}).items():
                if more.setdefault(name, protocol) != protocol:
                    raise ValueError(f'{self.name}: the methods give different students the name '
                                     f'{name!r} in evaluation.students')
        first = next((name for name, protocol in more.items() if protocol == own), '')
        wanted = dict(default=[], all=list(more)).get(which, which) if isinstance(
            which, str) else which
        for name in [wanted] if isinstance(wanted, str) else wanted:
            if name not in more:
                raise ValueError(f'{self.name}: no student {name!r} in evaluation.students or '
                                 f'the protocols of the suite ({", ".join(more) or "none"})')
        return {first: own, **{name: more[name] for name in wanted}}


def budget_text(budget: Mapping[str, Any]) -> str:
    """A budget in words."""
    words = dict(IPC=('n', 'IPC {}'), Ratio=('percent', '{} %'), Total=('n', '{} images'))
    key, text = words.get(str(budget['type']).rsplit('.', 1)[-1], ('type', '{}'))
    value = budget[key]
    return text.format(f'{value:g}' if isinstance(value, float) else value)


def read_suite(name: str, cfg_options: Optional[dict] = None) -> Dict[str, Any]:
    """Read a suite: a file, or the name of one below ``configs/benchmarks``.

    Args:
        name: ``digits`` or a path to a YAML file.
        cfg_options: Dotted options merged into every distillation config.

    Returns:
        dict: ``title``, ``groups`` (of :class:`Group`) and the settings of the suite.

    Raises:
        FileNotFoundError: If there is no such suite or config.
        ValueError: If the file is malformed.
    """
    path = resolve_path(name if name.endswith(('.yml', '.yaml')) else f'{SUITES}/{name}.yml')
    with open(path, encoding='utf-8') as f:
        try:
            content = yaml.safe_load(f)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f'{path} is not valid YAML: {" ".join(str(error).split())}') from None
    check_section(path, content, SUITE, joint=': ')
    if not isinstance(content.get('groups'), dict) or not content['groups']:
        raise ValueError(f'{path}: a suite needs groups: {{name: {{methods: {{name: config}}}}}}')
    groups = []
    for title, node in content['groups'].items():
        where = f'{path}: group {title!r}'
        if isinstance(node, Mapping) and 'arms' in node:
            raise ValueError(f'{where}: arms: is called methods: now; rename the key')
        check_section(where, node, GROUP, joint=': ')
        methods = [method for entry, value in (node.get('methods') or {}).items()
                   for method in read_method(str(entry), value, where, slug(str(title)),
                                             cfg_options, node.get('cfg_options'))]
        shared = {key: node.get(key, content.get(key)) or {} for key in ('protocols', 'seconds')}
        check_section(f'{where}, seconds', shared['seconds'], SECONDS, joint=': ')
        groups.append(Group(str(title), methods, node.get('full', content.get('full')),
                            node.get('ablation') or (), node.get('paper') or {}, **shared))
        _check_group(groups[-1], where)
    return dict(content, title=content.get('title') or osp.splitext(osp.basename(path))[0],
                groups=groups)


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
    configs = sweep.get('configs') or dict.fromkeys(sweep['values'], node.get('config'))
    key = None if sweep.get('configs') else sweep['key']
    return [_method(f'{name}@{number(value)}', dict(node, curve=node.get('curve') or name), folder,
                 config, {} if key is None else {key: value},
                 dict(base=name, label=sweep.get('label') or key or 'value', value=value))
            for value, config in configs.items()]


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


def group_methods(methods: Mapping[str, Any], cfg_options: Optional[dict] = None) -> List[Group]:
    """Group methods by their student protocol, in the order of their first method.

    Args:
        methods: Entry of :func:`read_method` by name.
        cfg_options: Dotted options merged into every config.

    Raises:
        ValueError: If a config names no protocol.
    """
    groups: Dict[str, Group] = {}
    for name, value in methods.items():
        for method in read_method(name, value, 'the command line', '', cfg_options):
            protocol = protocol_of(method)
            title = f'{protocol.protocol.task}: {dataset_name(protocol)}'.capitalize()
            group = groups.setdefault(protocol_mark(method), Group(title, []))
            group.methods.append(method)
    named: Dict[str, int] = {}
    for group in groups.values():
        count = named[group.name] = named.get(group.name, 0) + 1
        if count > 1:
            group.name += f' (protocol {count})'
        _check_group(group, group.name)
    return list(groups.values())


def dataset_name(protocol: Config) -> str:
    """The real set of a protocol in a word: the last folder of its data root, or its type."""
    leaf = leaf_dataset(protocol.train_dataloader.dataset)
    return osp.basename(osp.normpath(leaf.get('data_root') or '')) or str(leaf['type'])


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


def add_random_baselines(group: Group) -> List[Method]:
    """Add a random baseline for every real set and budget of a group that has none.

    Returns:
        list[Method]: The methods that were added, at the head of the group.
    """
    missing: List[Method] = []
    for method in group.methods:
        known = [other for other in group.methods if is_random(other.cfg)] + missing
        if not any(same_budget(method.cfg, other.cfg) for other in known):
            missing.append(method)
    added: List[Method] = []
    for method in missing:
        name = RANDOM if len(missing) == 1 else f'{RANDOM}, {method.budget}'
        while name in {other.name for other in group.methods + added}:
            name += ' (added)'
        job = random_job(method.cfg)
        mark = fingerprint(dict(part=plain(job.to_dict())))[:6]
        folder = osp.join(osp.dirname(method.folder), slug(f'random {method.budget} {mark}'))
        added.append(Method(name, job, folder, RANDOM, added=True))
    group.methods[:0] = added
    return added


def load_groups(groups: Any, cfg_options: Optional[dict] = None) -> List[Group]:
    """Groups from methods by name, or from groups; these are copied."""
    if isinstance(groups, Mapping):
        return group_methods(groups, cfg_options)
    return [replace(group, methods=list(group.methods)) for group in groups]


def _check_group(group: Group, where: str) -> None:
    names = [method.name for method in group.methods]
    if not names:
        raise ValueError(f'{where}: there are no methods')
    folders = [method.folder for method in group.methods]
    for kind, values in (('name', names), ('folder', folders)):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f'{where}: two methods have the {kind} {twice[0]!r}')
    for name in group.ablation:
        if name not in names:
            raise ValueError(f'{where}: ablation names {name!r}, which is no method'
                             f'{suggestion(name, names)}')
    marks = {protocol_mark(method) for method in group.methods}
    if len(marks) > 1:
        raise ValueError(f'{where}: its methods name {len(marks)} different student protocols; '
                         f'a group shares one evaluation.protocol')
