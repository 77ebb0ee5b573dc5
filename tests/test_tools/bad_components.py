"""Bad settings of every registered component, and classes from outside with wrong methods."""
from typing import Any, Iterator, Tuple, get_args

from mmengine.registry import Registry

from mmdd.engine.hooks import GuidanceHook
from mmdd.models.coresets import CoresetBaseline
from mmdd.models.distillers import DatasetDistiller
from mmdd.models.label_samplers import BaseLabelSampler
from mmdd.models.prompters import BasePrompter
from mmdd.models.refiners import BaseRefiner
from mmdd.models.set_stages import SetStage
from mmdd.protocols.recipes import ScheduleRule
from mmdd.registry import DATA_SAMPLERS, DATASETS, HOOKS, LOOPS, MODELS, TASK_UTILS
from mmdd.utils.signature import limits_of, settings_of

REGISTRIES = (MODELS, TASK_UTILS, HOOKS, LOOPS, DATASETS, DATA_SAMPLERS)
# What is wrong for a type, whatever else it is for.
WRONG = {int: 2.5, float: 'abc', bool: 'yes', str: 7, dict: 'a.py'}

Case = Tuple[str, Registry, dict, str]


def registered() -> Iterator[Tuple[Registry, Any]]:
    """(registry, class) of all components of mmdd itself."""
    for registry in REGISTRIES:
        registry.get('a name that imports all locations')
        found = {cls.__name__: cls for cls in registry.module_dict.values()
                 if cls.__module__.startswith('mmdd.')}
        for name in sorted(found):
            yield registry, found[name]


def kinds(hint: Any) -> set:
    """Plain types that a hint names anywhere."""
    return {hint} | {kind for inner in get_args(hint) for kind in kinds(inner)}


def wrong_value(hint: Any) -> Any:
    """A value of a type that the hint does not allow; None where it allows all that are tried."""
    allowed = kinds(hint)
    if Any in allowed or any(isinstance(kind, type) and kind.__module__.startswith('mmdd')
                             for kind in allowed):
        return None
    for kind, value in WRONG.items():
        if kind in allowed and type(value) not in allowed and not (kind is float and
                                                                   str in allowed):
            return value
    return None


def out_of_range(limit: Any) -> Any:
    """A value that a limit forbids."""
    if not isinstance(limit, dict):
        return 'nonsense'
    for key, step in (('low', -1), ('above', 0), ('high', 1)):
        if key in limit:
            return limit[key] + step
    raise AssertionError(f'no bound in {limit}')


def component_cases() -> Iterator[Case]:
    """(name, registry, config, key that the message must name)."""
    for registry, cls in registered():
        accepted, limits = settings_of(cls), limits_of(cls)
        if not accepted:
            continue
        name = cls.__name__
        key = f'{next(iter(accepted))}x'
        yield f'{name}: unknown', registry, {'type': name, key: 1}, key
        wrong = ((key, wrong_value(hint)) for key, hint in accepted.items())
        key, value = next(((key, value) for key, value in wrong if value is not None), ('', None))
        if key:
            yield f'{name}: type', registry, {'type': name, key: value}, key
        key = next((key for key, hint in accepted.items()
                    if kinds(hint) in ({float}, {float, type(None)})), '')
        if key:
            yield f'{name}: NaN', registry, {'type': name, key: float('nan')}, key
        for key, limit in limits.items():
            if key in accepted:
                yield (f'{name}: range of {key}', registry,
                       {'type': name, key: out_of_range(limit)}, key)


@HOOKS.register_module()
class EnergyWithoutState(GuidanceHook):
    def energy(self):
        pass


@HOOKS.register_module()
class EnergyWithMore(GuidanceHook):
    def energy(self, state, more):
        pass


@HOOKS.register_module()
class GuidanceWithoutState(GuidanceHook):
    def guidance(self):
        pass


@MODELS.register_module()
class SelectWithoutBudget(CoresetBaseline):
    def select(self, features, labels):
        pass


@MODELS.register_module()
class StepWithoutHooks(DatasetDistiller):
    def distill_step(self, slots):
        pass


@MODELS.register_module()
class CollectNothing(DatasetDistiller):
    def collect(self):
        pass


@TASK_UTILS.register_module()
class SampleWithoutCanvas(BaseLabelSampler):
    def sample(self, annotations, num, num_classes, seed):
        pass


@TASK_UTILS.register_module()
class DescribeWithoutClasses(BasePrompter):
    def describe(self, annotation):
        pass


@TASK_UTILS.register_module()
class RefineWithoutProxy(BaseRefiner):
    def __call__(self, samples):
        pass


@TASK_UTILS.register_module()
class ChooseWithoutNumber(SetStage):
    def choose(self, samples):
        pass


@TASK_UTILS.register_module()
class ExpandNothing(SetStage):
    def expand(self):
        pass


@TASK_UTILS.register_module()
class ApplyWithoutImages(ScheduleRule):
    def apply(self, cfg):
        pass


@TASK_UTILS.register_module()
class Documented:
    """A class whose types stand in its docstring alone.

    Args:
        strength (float): How strong.
        steps (int, optional): How many.
    """

    def __init__(self, strength=1., steps=None):
        pass


def outside_cases() -> Iterator[Case]:
    """Classes from outside: (name, registry, config, what the message must name)."""
    for registry, settings, word in (
            (HOOKS, dict(type='EnergyWithoutState', scale=1.), 'energy must take (state)'),
            (HOOKS, dict(type='EnergyWithMore', scale=1.), 'energy must take (state)'),
            (HOOKS, dict(type='GuidanceWithoutState', scale=1.), 'guidance must take (state)'),
            (MODELS, dict(type='SelectWithoutBudget'),
             'select must take (features, labels, budget)'),
            (MODELS, dict(type='StepWithoutHooks'), 'distill_step must take (slots, call_hook)'),
            (MODELS, dict(type='CollectNothing'), 'collect must take (data_batch)'),
            (TASK_UTILS, dict(type='SampleWithoutCanvas'), 'seed, canvas)'),
            (TASK_UTILS, dict(type='DescribeWithoutClasses'),
             'describe must take (annotation, classes)'),
            (TASK_UTILS, dict(type='RefineWithoutProxy'), '__call__ must take (samples, proxy)'),
            (TASK_UTILS, dict(type='ChooseWithoutNumber'), 'choose must take (samples, num,'),
            (TASK_UTILS, dict(type='ExpandNothing'), 'expand must take (sample)'),
            (TASK_UTILS, dict(type='ApplyWithoutImages'), 'apply must take (cfg, images, num'),
            (TASK_UTILS, dict(type='Documented', strength='much'), 'strength must be a number'),
            (TASK_UTILS, dict(type='Documented', steps=1.5), 'steps must be a whole number'),
            (TASK_UTILS, dict(type='Documented', step=1), "did you mean 'steps'?")):
        yield f'{settings["type"]} {word}', registry, settings, word
