"""The checkpoint of another training, as a component of a config's ``prepare`` list."""
from typing import Any, Dict, Optional

from mmdd.registry import TASK_UTILS
from mmdd.utils.config import ConfigType
from .train_job import ensure_checkpoint


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
        return ensure_checkpoint(self.config, self.checkpoint, self.cfg_options)
