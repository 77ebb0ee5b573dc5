"""The job that makes one set, with a short progress display."""
import os.path as osp
from typing import Any, Dict

from mmdd.datasets.manifest import MANIFEST
from mmdd.engine.distill_job import read_job, run_distillation
from mmdd.utils.jobs import Job
from mmdd.utils.quiet import work_quietly


def distill_job(name: str, config: Any, work_dir: str, options: Dict[str, Any], label: str,
                **more: Any) -> Job:
    """The job ``work_dir`` that makes or resumes a set: finished once its manifest is there.

    Its line calls it ``name``, its progress lines begin with ``label``, the full output is in
    ``output.log``. ``options`` are merged into the config, ``more`` are further fields of the
    job.
    """
    folder, log = osp.join(work_dir, 'distilled'), osp.join(work_dir, 'output.log')
    return Job(work_dir, name, work_quietly, (log, label, _distill, config, work_dir, options),
               target=osp.join(folder, MANIFEST), log=log, alone=True, result=lambda: folder,
               **more)


def _distill(config: Any, work_dir: str, options: Dict[str, Any]) -> None:
    cfg = read_job(config, options)
    cfg.work_dir = work_dir
    run_distillation(cfg, resume=True)
