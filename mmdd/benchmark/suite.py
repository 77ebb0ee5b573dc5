"""What a benchmark consists of: groups of arms, from a suite file or a command line."""
import json
import os.path as osp
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import yaml
from mmengine.config import Config

from mmdd.datasets.views import leaf_dataset
from mmdd.engine.distill_job import read_job
from mmdd.protocols.protocol import read_protocol
from mmdd.utils.config import ConfigType, fingerprint, plain, resolve_path, suggestion
from mmdd.utils.names import slug
from mmdd.utils.sections import check_section
from mmdd.utils.signature import SECRET
from .random_baseline import RANDOM, is_random, random_twin, same_budget
from .report.paper_values import paper_entry
from .suite_sections import ARM, GROUP, SECONDS, SUITE, SWEEP

SUITES = 'configs/benchmarks'


@dataclass
class Arm:
    """One row of a table.

    Attributes:
        name: What the row is called, once per group.
        config: Config file of the distillation job, or the config itself.
        folder: Where its sets go, below the work dir.
        method: Arms of one method at several budgets are one line of a plot.
        options: Dotted options merged into the config.
        sweep: ``dict(base=, label=, value=)`` for an arm of a sweep.
        added: Whether the benchmark added it, as the random arm of a budget.
    """
    name: str
    config: Any
    folder: str
    method: str = ''
    options: Dict[str, Any] = field(default_factory=dict)
    sweep: Optional[Dict[str, Any]] = None
    added: bool = False

    def __post_init__(self) -> None:
        self.method = self.method or (self.sweep or {}).get('base') or self.name
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
    """Arms that share a student protocol, hence a table.

    Attributes:
        name: Heading of the table.
        arms: Its rows.
        full: Whether the full real set is an arm; None where that is left open.
        ablation: Arms, in order, that add one component each.
        paper: Values of the paper by arm, for what no metafile holds.
        protocols: More student protocols by name, beside those of the configs'
            ``evaluation.students``.
        seconds: What a ``set`` and a ``student`` took where the suite was measured.
    """
    name: str
    arms: List[Arm]
    full: Optional[bool] = None
    ablation: Sequence[str] = ()
    paper: Mapping[str, Any] = field(default_factory=dict)
    protocols: Mapping[str, ConfigType] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def protocol(self) -> Config:
        """The student protocol of the first arm."""
        return read_protocol(self.arms[0].cfg.evaluation.protocol)

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
        own = plain(self.arms[0].cfg.evaluation.protocol)
        more: Dict[str, Any] = plain(self.protocols)
        for arm in self.arms:
            for name, protocol in plain(arm.cfg.evaluation.get('students') or {}).items():
                if more.setdefault(name, protocol) != protocol:
                    raise ValueError(f'{self.name}: the arms give different students the name '
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
        raise ValueError(f'{path}: a suite needs groups: {{name: {{arms: {{name: config}}}}}}')
    groups = []
    for title, node in content['groups'].items():
        where = f'{path}: group {title!r}'
        check_section(where, node, GROUP, joint=': ')
        arms = [arm for arm_name, value in (node.get('arms') or {}).items()
                for arm in read_arm(str(arm_name), value, where, slug(str(title)), cfg_options,
                                    node.get('cfg_options'))]
        shared = {key: node.get(key, content.get(key)) or {} for key in ('protocols', 'seconds')}
        check_section(f'{where}, seconds', shared['seconds'], SECONDS, joint=': ')
        groups.append(Group(str(title), arms, node.get('full', content.get('full')),
                            node.get('ablation') or (), node.get('paper') or {}, **shared))
        _check_group(groups[-1], where)
    return dict(content, title=content.get('title') or osp.splitext(osp.basename(path))[0],
                groups=groups)


def read_arm(name: str, value: Any, where: str, folder: str = '',
             cfg_options: Optional[dict] = None,
             defaults: Optional[dict] = None) -> List[Arm]:
    """The arms that one entry stands for: a list of budgets and a sweep are several.

    Args:
        name: Name of the entry.
        value: Config file, config, list of config files, or a dict of ``config``,
            ``cfg_options``, ``method`` and ``sweep`` (``label``, and ``key`` and ``values``,
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
    where = f'{where}, arm {name!r}'
    check_section(where, node, ARM, joint=': ')
    node['cfg_options'] = dict(node.get('cfg_options') or {})
    node.update(defaults=defaults or {}, given=cfg_options or {})
    for options in (node['defaults'], node['cfg_options'], node['given']):
        check_no_secret(where, options)
    sweep = node.get('sweep') or {}
    check_section(f'{where}, sweep', sweep, SWEEP, joint=': ')
    if not node.get('config') and not sweep.get('configs'):
        raise ValueError(f'{where} names no config')
    if isinstance(node.get('config'), (list, tuple)):
        arms = [_arm(name, node, folder, config) for config in node['config']]
        for arm in arms:
            arm.method, arm.name = name, f'{name}, {arm.budget}'
            arm.folder = osp.join(folder, slug(arm.name))
        return arms
    if not sweep.get('configs'):
        arm = _arm(name, node, folder, node['config'])
        sweep = dict(arm.cfg.get('sweep') or {}, **sweep)
        if not sweep:
            return [arm]
        if not sweep.get('key') or not sweep.get('values'):
            raise ValueError(f'{where}: a sweep needs key and values, or configs: '
                             f'{{value: config}}')
    configs = sweep.get('configs') or dict.fromkeys(sweep['values'], node.get('config'))
    key = None if sweep.get('configs') else sweep['key']
    return [_arm(f'{name}@{number(value)}', dict(node, method=node.get('method') or name), folder,
                 config, {} if key is None else {key: value},
                 dict(base=name, label=sweep.get('label') or key or 'value', value=value))
            for value, config in configs.items()]


def _arm(name: str, node: Mapping[str, Any], folder: str, config: Any,
         options: Optional[Mapping[str, Any]] = None,
         sweep: Optional[Dict[str, Any]] = None) -> Arm:
    defaults, own, given = (node[key] for key in ('defaults', 'cfg_options', 'given'))
    if defaults or given:
        model = read_job(config, dict(own)).model
        defaults, given = (_fitting(name, shared, model) for shared in (defaults, given))
    return Arm(name, config, osp.join(folder, slug(name)), node.get('method') or '',
               {**defaults, **own, **given, **(options or {})}, sweep)


def _fitting(name: str, options: Mapping[str, Any], model: Mapping[str, Any]) -> Dict[str, Any]:
    """Options for all arms without those of a part that the method of this one lacks."""
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


def group_arms(arms: Mapping[str, Any], cfg_options: Optional[dict] = None) -> List[Group]:
    """Group arms by their student protocol, in the order of their first arm.

    Args:
        arms: Entry of :func:`read_arm` by name.
        cfg_options: Dotted options merged into every config.

    Raises:
        ValueError: If a config names no protocol.
    """
    groups: Dict[str, Group] = {}
    for name, value in arms.items():
        for arm in read_arm(name, value, 'the command line', '', cfg_options):
            protocol = protocol_of(arm)
            title = f'{protocol.protocol.task}: {dataset_name(protocol)}'.capitalize()
            group = groups.setdefault(protocol_mark(arm), Group(title, []))
            group.arms.append(arm)
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
    """What an arm is called that was given as a bare config file."""
    entry = paper_entry(config)
    folder, stem = osp.split(osp.splitext(config)[0])
    return entry.get('name') or f'{osp.basename(folder)}_{stem}'


def protocol_of(arm: Arm) -> Config:
    """The student protocol of an arm.

    Raises:
        ValueError: If its config names none.
    """
    protocol = (arm.cfg.get('evaluation') or {}).get('protocol')
    if protocol is None:
        raise ValueError(f'{arm.config_name or arm.name}: the config names no evaluation.protocol')
    return read_protocol(protocol)


def protocol_mark(arm: Arm) -> str:
    """What tells the student protocol of an arm from others."""
    protocol = plain((arm.cfg.get('evaluation') or {}).get('protocol'))
    if isinstance(protocol, (str, list)) and protocol:
        return _protocol_mark(json.dumps(protocol))
    return fingerprint(protocol_of(arm))


@cache
def _protocol_mark(protocol: str) -> str:
    return fingerprint(read_protocol(json.loads(protocol)))


def add_random_arms(group: Group) -> List[Arm]:
    """Add a random arm for every real set and budget of a group that has none.

    Returns:
        list[Arm]: The arms that were added, at the head of the group.
    """
    missing: List[Arm] = []
    for arm in group.arms:
        known = [other for other in group.arms if is_random(other.cfg)] + missing
        if not any(same_budget(arm.cfg, other.cfg) for other in known):
            missing.append(arm)
    added: List[Arm] = []
    for arm in missing:
        name = RANDOM if len(missing) == 1 else f'{RANDOM}, {arm.budget}'
        while name in {other.name for other in group.arms + added}:
            name += ' (added)'
        twin = random_twin(arm.cfg)
        mark = fingerprint(dict(part=plain(twin.to_dict())))[:6]
        folder = osp.join(osp.dirname(arm.folder), slug(f'random {arm.budget} {mark}'))
        added.append(Arm(name, twin, folder, RANDOM, added=True))
    group.arms[:0] = added
    return added


def load_groups(groups: Any, cfg_options: Optional[dict] = None) -> List[Group]:
    """Groups from arms by name, or from groups; these are copied."""
    if isinstance(groups, Mapping):
        return group_arms(groups, cfg_options)
    return [replace(group, arms=list(group.arms)) for group in groups]


def _check_group(group: Group, where: str) -> None:
    names = [arm.name for arm in group.arms]
    if not names:
        raise ValueError(f'{where}: there are no arms')
    folders = [arm.folder for arm in group.arms]
    for kind, values in (('name', names), ('folder', folders)):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f'{where}: two arms have the {kind} {twice[0]!r}')
    for name in group.ablation:
        if name not in names:
            raise ValueError(f'{where}: ablation names {name!r}, which is no arm'
                             f'{suggestion(name, names)}')
    marks = {protocol_mark(arm) for arm in group.arms}
    if len(marks) > 1:
        raise ValueError(f'{where}: its arms name {len(marks)} different student protocols; '
                         f'a group shares one evaluation.protocol')
