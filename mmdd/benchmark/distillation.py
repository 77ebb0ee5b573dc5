"""The job that makes one set, with a short progress display."""
import os.path as osp
from typing import Any, Dict, Optional

from mmdd.datasets.manifest import MANIFEST
from mmdd.engine.distill_job import read_job, run_distillation
from mmdd.utils.jobs import Job
from mmdd.utils.quiet import work_quietly


def distill_quietly(config: Any, work_dir: str, options: Dict[str, Any],
                    label: str) -> Optional[str]:
    """Distill, or resume it, with a short progress display.

    The full output is in ``<work_dir>/output.log``.

    Args:
        config: Config of the job, a file or a dict.
        work_dir: Its work dir.
        options: Dotted options merged into the config.
        label: Stands before its progress lines.

    Returns:
        str: None, or one line that says why it failed.
    """
    return work_quietly(osp.join(work_dir, 'output.log'), label, _distill, config, work_dir,
                        options)


def _distill(config: Any, work_dir: str, options: Dict[str, Any]) -> None:
    cfg = read_job(config, options)
    cfg.work_dir = work_dir
    run_distillation(cfg, resume=True)


def distill_job(name: str, config: Any, work_dir: str, options: Dict[str, Any], label: str,
                **more: Any) -> Job:
    """The job that makes a set: finished once its manifest is there, which is written last.

    Args:
        name: What its line calls it; the job itself is called by its work dir.
        more: Further fields of the job.
    """
    folder = osp.join(work_dir, 'distilled')
    return Job(work_dir, name, distill_quietly, (config, work_dir, options, label),
               target=osp.join(folder, MANIFEST), log=osp.join(work_dir, 'output.log'),
               alone=True, result=lambda: folder, **more)
