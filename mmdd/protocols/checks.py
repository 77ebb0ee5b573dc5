"""Checks of the settings of a student protocol, before anything is trained."""
from typing import Any, Dict, Optional

from mmengine.config import Config

from mmdd.engine.training_checks import check_training
from mmdd.registry import TASK_UTILS
from mmdd.utils.components import check_part
from mmdd.utils.sections import Section, check_section

SELECT = ('val', 'test', 'none')
# The field ``protocol``, see ``read_protocol``; ``rest`` is set by a search for learning rates.
PROTOCOL: Section = dict(
    task=(str, None), metrics=(Dict[str, str], None), scale=(float, dict(above=0)),
    schedule=(Optional[dict], None), select=(str, SELECT), full=(Optional[dict], None),
    rest=(Any, None))


def check_protocol(name: str, cfg: Config) -> None:
    """Check the settings of a protocol against their types and ranges.

    Args:
        name: What the protocol is called in the message.
        cfg: Training config with a field ``protocol``.

    Raises:
        ValueError: With the first one that is unknown, of another type or out of range.
    """
    check_section(f'{name}: protocol', cfg.protocol, PROTOCOL)
    if cfg.protocol.get('schedule') is not None:
        check_part(f'{name}: protocol.schedule', TASK_UTILS, cfg.protocol.schedule)
    check_training(cfg, f'{name}: ')
