"""What a job needs before it starts: data on disk, checkpoints of other jobs."""
from mmdd.registry import TASK_UTILS
from mmdd.utils.config import ConfigType, load_config
from mmdd.utils.rank_zero import on_rank_0
from mmdd.utils.runner import init_launcher


def prepare(config: ConfigType) -> None:
    """Build, in order, every component of the config's ``prepare`` list.

    Rank 0 builds while the other ranks wait, except for components with a true
    ``collective`` attribute, which all ranks build together.

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
            on_rank_0(component.build)
