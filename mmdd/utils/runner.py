"""Building stock Runners that follow each other in one process."""
import itertools
import os
import os.path as osp
from typing import Any

from mmengine.config import Config
from mmengine.dist import init_dist, is_distributed
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from . import compat
from .config import ConfigType, import_custom_modules, load_config
from .console import use_console_handler
from .launcher import export_ranks
from .progress import Progress
from .quiet import has_parent

_COUNTER = itertools.count()


class JobRunner(Runner):
    """A stock Runner with a console for people, see :class:`ConsoleHandler`.

    Inside of a parent that keeps it quiet it tells how far its training is.
    """

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """Build the stock logger with another console handler."""
        logger = super().build_logger(*args, **kwargs)
        use_console_handler(logger)
        return logger

    def register_hooks(self, *args, **kwargs) -> None:
        """Register the hooks of the config and, for a parent, one that tells the progress."""
        super().register_hooks(*args, **kwargs)
        if has_parent():
            self.register_hook(ParentHook())


class ParentHook(Hook):
    """Tells the parent of a quiet job how many iterations are done."""

    priority = 'VERY_LOW'

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self.progress = Progress(osp.basename(osp.normpath(runner.work_dir)), runner.max_iters,
                                 'iterations', log=False)
        self.progress.skip(runner.iter)

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Count an iteration; a distillation may have got more of them."""
        self.progress.total = runner.max_iters
        self.progress.add()


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
        JobRunner: See :func:`named_runner`.
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
    return named_runner(cfg)


def named_runner(cfg: Config) -> JobRunner:
    """Build the Runner of a whole config under a name that no other has.

    mmengine keeps loggers, visualizers and scopes by that name; two Runners that begin in one
    second under one name would write into each other's folders.
    """
    name = cfg.get('experiment_name') or osp.basename(osp.normpath(cfg.work_dir))
    cfg.experiment_name = f'{name}_{os.getpid()}_{next(_COUNTER)}'
    return JobRunner.from_cfg(cfg)
