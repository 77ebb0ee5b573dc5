"""What a job needs before it starts: data on disk, checkpoints of other jobs."""
from typing import Any, Dict, Optional

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


@TASK_UTILS.register_module()
class TrainedCheckpoint:
    """A checkpoint that is trained where it is missing and reused where it is there.

    Args:
        config: Training config of any mm* package: a file, a dict, or a list of these.
        checkpoint: Where the checkpoint is, or is written to.
        cfg_options: Dotted options merged into the config.
    """

    collective = True

    def __init__(self,
                 config: ConfigType,
                 checkpoint: str,
                 cfg_options: Optional[Dict[str, Any]] = None) -> None:
        self.config = config
        self.checkpoint = checkpoint
        self.cfg_options = cfg_options

    def build(self) -> str:
        """Train if needed and return the path of the checkpoint."""
        from .train_job import ensure_checkpoint
        return ensure_checkpoint(self.config, self.checkpoint, self.cfg_options)
