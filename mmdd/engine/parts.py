"""The components of a job."""
from typing import Any, Iterator, Mapping, Tuple

from mmengine.config import Config
from mmengine.registry import Registry

from mmdd.datasets.views import check_class_order
from mmdd.registry import DATASETS, HOOKS, LOOPS, MODELS, TASK_UTILS
from mmdd.utils.components import class_of

# (place in the config, where its type is looked up, its config)
Part = Tuple[str, Registry, Any]
# Networks that are built by other packages from configs of their own.
NETWORKS = ('proxy', 'judge')
# The setting that holds such a config.
FOREIGN = 'cfg'
# Parts of a distiller that mmdd names; what a method from outside adds is found by its type.
KNOWN = dict(diffusion=MODELS, proxy=MODELS, judge=MODELS, label_sampler=TASK_UTILS,
             prompter=TASK_UTILS, initializer=TASK_UTILS, pool=TASK_UTILS,
             statistics=TASK_UTILS, fine_tune=TASK_UTILS)
LISTS = ('refiners', 'set_stages')
# Where the type of a part of a part is looked up when no registry knows it.
INNER = dict(backend=TASK_UTILS, cluster_features=MODELS, coreset=MODELS, views=TASK_UTILS,
             extractor=MODELS)


def parts_of(cfg: Config, inner: bool = True) -> Iterator[Part]:
    """Every component of a job.

    Args:
        cfg: Config of the job.
        inner: Also those that a component builds for itself.

    Raises:
        ValueError: If the config lacks one that every job needs.
    """
    yield from model_parts(cfg.model, inner)
    yield from loop_parts(cfg)
    for i, node in enumerate(cfg.get('prepare') or []):
        yield f'prepare[{i}]', TASK_UTILS, node
    yield from hook_parts(cfg, inner)
    if cfg.train_dataloader.get('dataset') is None:
        raise ValueError('the config has no train_dataloader.dataset: it is the real set')
    yield 'train_dataloader.dataset', DATASETS, cfg.train_dataloader.dataset


def model_parts(model: Mapping[str, Any], inner: bool = True) -> Iterator[Part]:
    """A distiller and its parts; those of its parts too with ``inner``."""
    yield 'model', MODELS, model
    for name, registry in KNOWN.items():
        if model.get(name) is not None:
            yield f'model.{name}', registry, model[name]
            if inner and name not in NETWORKS:
                yield from inner_parts(f'model.{name}', model[name])
    for name in LISTS:
        for i, node in enumerate(model.get(name) or []):
            yield f'model.{name}[{i}]', TASK_UTILS, node
            if inner:
                yield from inner_parts(f'model.{name}[{i}]', node)
    if inner:
        yield from inner_parts('model', model, (*KNOWN, *LISTS))


def inner_parts(where: str, node: Any, known: Tuple[str, ...] = ()) -> Iterator[Part]:
    """The components among the settings of a component, but those that are known."""
    for name, inner in node.items() if isinstance(node, Mapping) else ():
        if name in (*known, FOREIGN) or not isinstance(inner, Mapping) or not (
                inner.get('type') or name in INNER):
            continue
        registry = next((r for r in (MODELS, TASK_UTILS) if class_of(r, inner)), INNER.get(name))
        if registry is not None:
            yield f'{where}.{name}', registry, inner
            yield from inner_parts(f'{where}.{name}', inner)


def loop_parts(cfg: Config) -> Iterator[Part]:
    """The loop of a job, its budget and its writer.

    Raises:
        ValueError: If it has no budget or no writer.
    """
    loop = cfg.train_cfg
    yield 'train_cfg', LOOPS, dict(loop, runner=None, dataloader=None)
    for name in ('budget', 'writer'):
        if loop.get(name) is None:
            raise ValueError(f'the config has no train_cfg.{name}: a distillation job needs it')
        yield f'train_cfg.{name}', TASK_UTILS, loop[name]


def hook_parts(cfg: Config, inner: bool = True) -> Iterator[Part]:
    """The hooks of a job, and with ``inner`` the components in them."""
    for i, node in enumerate(cfg.get('custom_hooks') or []):
        yield f'custom_hooks[{i}]', HOOKS, node
        if inner:
            yield from inner_parts(f'custom_hooks[{i}]', node)
    for name, node in (cfg.get('default_hooks') or {}).items():
        if node is not None:
            yield f'default_hooks.{name}', HOOKS, node


def check_proxy_classes(proxy, classes: Tuple[str, ...], part: str = 'proxy') -> None:
    """Check that a proxy knows the classes of the real set in the same order.

    Args:
        proxy: The proxy; None and one that does not say its classes pass.
        classes: Class names of the real set by index.
        part: Its part in the job, 'proxy' or 'judge'.

    Raises:
        ValueError: If it was trained on other class names or another order.
    """
    check_class_order(f'the {part}', getattr(proxy, 'classes', None), 'the real set', classes,
                      'names and order must agree: train it on the real set')
