"""What a job needs before it starts: data on disk, checkpoints of other jobs."""
from typing import Any

from mmengine.dist import get_rank

from mmdd.registry import TASK_UTILS
from mmdd.utils.config import ConfigType, load_config
from mmdd.utils.locks import alone, forget_lock
from mmdd.utils.rank_zero import ask_rank_0, on_rank_0
from mmdd.utils.runner import init_launcher


def prepare(config: ConfigType) -> None:
    """Build, in order, every component of the config's ``prepare`` list.

    Rank 0 builds while the other ranks wait, except for components with a true
    ``collective`` attribute, which all ranks build together. Of jobs that start at the same
    time, one builds a component that has a ``lock``, the path of a file (None where its result
    is there already).

    Args:
        config: A config with an optional list ``prepare`` of components of
            TASK_UTILS, each with a method ``build()`` that does nothing where
            its result is there already.

    Raises:
        ValueError: If an entry has no ``build`` method.
    """
    cfg = load_config(config)
    init_launcher(cfg)
    for node in cfg.get('prepare', None) or []:
        component = TASK_UTILS.build(node)
        if not callable(getattr(component, 'build', None)):
            raise ValueError(f'prepare: {node.type} has no build() method')
        if getattr(component, 'collective', False):
            component.build()
        else:
            _build_once(component)


def _build_once(component: Any) -> None:
    lock = ask_rank_0(lambda: getattr(component, 'lock', None))
    try:
        with alone(lock, needed=False):
            on_rank_0(component.build)
    finally:  # also in a folder that was refused
        if lock is not None and get_rank() == 0:
            forget_lock(lock)
