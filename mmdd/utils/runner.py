"""Building stock Runners that follow each other in one process."""
import itertools
import os
import os.path as osp
from typing import Any

from mmengine.config import Config
from mmengine.dist import init_dist, is_distributed
from mmengine.runner import Runner

from . import compat
from .config import ConfigType, import_custom_modules, load_config
from .launcher import export_ranks

_COUNTER = itertools.count()


def init_launcher(cfg: Any) -> None:
    """Start the process group of ``cfg.launcher`` unless it runs already.

    Args:
        cfg: Runner config, changed in place: its launcher becomes 'pytorch', whose variables
            are then set, and on CPU its model wrapper is adapted.

    Raises:
        ValueError: If the launcher did not start this process.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none':
        return
    if not is_distributed():
        export_ranks(launcher)
    cfg.launcher = 'pytorch'
    compat.fix_cpu_dist(cfg)
    if not is_distributed():
        init_dist('pytorch', **cfg.get('env_cfg', {}).get('dist_cfg', {}))


def build_runner(config: ConfigType, work_dir: str, tidy: bool = True) -> Runner:
    """Build a stock Runner.

    Args:
        config: Any mm* config.
        work_dir: Where it writes.
        tidy: Whether the config that it logs and saves is laid out; that takes seconds,
            which small trainings notice.

    Returns:
        Runner: With an experiment name of its own, which mmengine needs to keep
        the loggers and scopes of several Runners apart.
    """
    compat.setup()
    cfg = load_config(config)
    if not tidy:
        cfg = Config(cfg._cfg_dict, filename=cfg.filename, format_python_code=False)
    import_custom_modules(cfg)
    cfg.work_dir = work_dir
    if is_distributed() and cfg.get('launcher', 'none') == 'none':
        cfg.launcher = 'pytorch'
    init_launcher(cfg)
    name = cfg.get('experiment_name') or osp.basename(osp.normpath(work_dir))
    cfg.experiment_name = f'{name}_{os.getpid()}_{next(_COUNTER)}'
    return Runner.from_cfg(cfg)
