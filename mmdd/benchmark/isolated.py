"""A distillation in a process of its own: what it breaks, it breaks alone."""
import itertools
import os
import os.path as osp
import traceback
from typing import Any, Dict, Optional

from mmdd.protocols.workers import end_with_parent, worker_context
from mmdd.utils.cli import one_line
from mmdd.utils.names import slug
from mmdd.utils.quiet import quiet

_COUNTER = itertools.count()


def distill_isolated(config: Any,
                     work_dir: str,
                     cfg_options: Optional[Dict[str, Any]] = None,
                     spawn: bool = True,
                     threads: Optional[int] = None,
                     label: str = '') -> Optional[str]:
    """Distill, or go on with it, with a short progress display.

    The full output is in ``<work_dir>/output.log``.

    Args:
        config: Config of the job, a file or a dict.
        work_dir: Its work dir.
        cfg_options: Dotted options merged into the config.
        spawn: Whether to use a process of its own. Memory, process-wide settings
            and crashes then end with the job.
        threads: CPU threads of that process; torch's default if None.
        label: Stands before its progress lines.

    Returns:
        str: None, or one line that says why it failed.
    """
    os.makedirs(work_dir, exist_ok=True)
    if not spawn:
        return _distill(config, work_dir, cfg_options, label)
    context = worker_context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_work, args=(sender, config, work_dir, cfg_options, threads, label))
    process.start()
    sender.close()
    try:
        error = receiver.recv()
    except EOFError:
        process.join()
        error = (f'its process died with exit code {process.exitcode} (out of memory?); see '
                 f'{osp.join(work_dir, "output.log")}')
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
    return error


def _work(sender, config: Any, work_dir: str, cfg_options: Optional[Dict[str, Any]],
          threads: Optional[int], label: str) -> None:
    end_with_parent()
    if threads:
        import torch
        torch.set_num_threads(threads)
    try:
        sender.send(_distill(config, work_dir, cfg_options, label))
    except KeyboardInterrupt:  # the parent says so
        os._exit(130)


def _distill(config: Any, work_dir: str, cfg_options: Optional[Dict[str, Any]],
             label: str) -> Optional[str]:
    from mmdd.engine.distill_job import read_job, run_distillation
    path = osp.join(work_dir, 'output.log')
    # mmengine keeps Runners of one name and second together, which jobs in one process would be.
    options = dict(cfg_options or {}, experiment_name=f'{slug(work_dir)}_{next(_COUNTER)}')
    with quiet(path, label):
        try:
            job = read_job(config, options)
            job.work_dir = work_dir
            run_distillation(job, resume=True)
        except Exception as error:  # one method's failure must not end the others
            traceback.print_exc()
            return f'{one_line(error)[:300]}; see {path}'
    return None
