"""What a benchmark consists of: groups of methods, from a suite file or a command line."""
import os.path as osp
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from mmengine.config import Config

from mmdd.datasets.views import leaf_dataset
from mmdd.utils.components import short_name
from mmdd.utils.config import ConfigType, fingerprint, plain, read_yaml, resolve_path, suggestion
from mmdd.utils.names import slug
from mmdd.utils.sections import Section, check_section
from .methods import Method, protocol_mark, protocol_of, read_method
from .random_baseline import RANDOM, is_random, random_job, same_budget

SUITES = 'configs/benchmarks'
_PROTOCOLS = _OPTIONS = (Optional[Dict[str, Any]], None)
_SECONDS = (Optional[Dict[str, float]], dict(low=0))
_SEEDS = (Optional[List[int]], dict(low=0))
SECONDS: Section = dict(set=(float, dict(low=0)), student=(float, dict(low=0)))
GROUP: Section = dict(
    methods=(Optional[dict], None), cfg_options=_OPTIONS, full=(Optional[bool], None),
    ablation=(Optional[List[str]], None), paper=(Optional[dict], None), protocols=_PROTOCOLS,
    seconds=_SECONDS)
SUITE: Section = dict(
    title=(str, None), groups=(dict, None), sets=(int, dict(low=1)), seeds=_SEEDS,
    full_seeds=_SEEDS, full=(Optional[bool], None),
    students=(Union[str, List[str]], None), protocols=_PROTOCOLS, seconds=_SECONDS)


@dataclass
class Group:
    """Methods that share a student protocol, hence a table."""
    name: str  # heading of the table
    methods: List[Method]  # its rows
    full: Optional[bool] = None  # whether the full real set is a method; None where left open
    ablation: Sequence[str] = ()  # methods, in order, that add one component each
    # Values of the paper by method, for what no metafile holds.
    paper: Mapping[str, Any] = field(default_factory=dict)
    # More student protocols by name, beside those of the configs' ``evaluation.students``.
    protocols: Mapping[str, ConfigType] = field(default_factory=dict)
    # What a ``set`` and a ``student`` took where the suite was measured.
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def protocol(self) -> Config:
        """The student protocol of the methods."""
        return protocol_of(self.methods[0])

    def students(self, which: Union[str, Sequence[str]]) -> Dict[str, ConfigType]:
        """Student protocols by name, the configs' own one first.

        That one has its name in ``evaluation.students`` or :attr:`protocols`, or '' where
        it has none there. ``which`` is 'default' for it alone, 'all' for all of these as well, or
        their names; ValueError for a name that this group has not, or has for two protocols.
        """
        own = plain(self.methods[0].cfg.evaluation.protocol)
        more: Dict[str, Any] = plain(self.protocols)
        for method in self.methods:
            for name, protocol in plain(method.cfg.evaluation.get('students') or {}).items():
                if more.setdefault(name, protocol) != protocol:
                    raise ValueError(f'{self.name}: the methods give different students the name '
                                     f'{name!r} in evaluation.students')
        first = next((name for name, protocol in more.items() if protocol == own), '')
        wanted = dict(default=[], all=list(more)).get(which, [which]) if isinstance(
            which, str) else which
        for name in wanted:
            if name not in more:
                raise ValueError(f'{self.name}: no student {name!r} in evaluation.students or '
                                 f'the protocols of the suite ({", ".join(more) or "none"})')
        return {first: own, **{name: more[name] for name in wanted}}


def read_suite(name: str, cfg_options: Optional[dict] = None) -> Dict[str, Any]:
    """Read a suite: a YAML file, or the name of one below ``configs/benchmarks``.

    ``cfg_options`` are merged into every distillation config. Returns ``title``, ``groups`` (of
    :class:`Group`) and the settings of the suite; FileNotFoundError where there is none,
    ValueError where it is malformed.
    """
    path = resolve_path(name if name.endswith(('.yml', '.yaml')) else f'{SUITES}/{name}.yml')
    content = read_yaml(path)
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


def group_methods(methods: Mapping[str, Any], cfg_options: Optional[dict] = None) -> List[Group]:
    """Group entries of :func:`read_method` by their student protocol, as it comes first.

    ``cfg_options`` are merged into every config; ValueError for one that names no protocol.
    """
    groups: Dict[str, Group] = {}
    for name, value in methods.items():
        for method in read_method(name, value, 'the command line', '', cfg_options):
            protocol = protocol_of(method)
            # The last folder of the data root, or the type of the dataset.
            leaf = leaf_dataset(protocol.train_dataloader.dataset)
            real = osp.basename(osp.normpath(leaf.get('data_root') or ''))
            title = f'{protocol.protocol.task}: {real or short_name(leaf["type"])}'.capitalize()
            group = groups.setdefault(protocol_mark(method), Group(title, []))
            group.methods.append(method)
    named: Counter = Counter()
    for group in groups.values():
        named[group.name] += 1
        if named[group.name] > 1:
            group.name += f' (protocol {named[group.name]})'
        _check_group(group, group.name)
    return list(groups.values())


def add_random_baselines(group: Group) -> List[Method]:
    """Put a random baseline at the head of a group for every real set and budget without one.

    Returns the methods that were added.
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
    """Groups from methods by name, see :func:`group_methods`, or from groups, which are copied."""
    if isinstance(groups, Mapping):
        return group_methods(groups, cfg_options)
    return [replace(group, methods=list(group.methods)) for group in groups]


def _check_group(group: Group, where: str) -> None:
    names = [method.name for method in group.methods]
    if not names:
        raise ValueError(f'{where}: there are no methods')
    for kind in ('name', 'folder'):
        counts = Counter(getattr(method, kind) for method in group.methods)
        twice = sorted(value for value, number in counts.items() if number > 1)
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
