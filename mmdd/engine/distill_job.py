"""From a config to a distilled set."""
import difflib
import os
import os.path as osp
from contextlib import contextmanager, nullcontext, suppress
from typing import Callable, ContextManager, Iterator, List, Optional, Sequence, Tuple

from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from mmdd.datasets.checks import open_real_set
from mmdd.datasets.manifest import MANIFEST
from mmdd.registry import MODELS, TASK_UTILS
from mmdd.utils.compat import setup
from mmdd.utils.components import class_of
from mmdd.utils.config import (
    KNOWN_KEYS,
    ConfigType,
    import_custom_modules,
    load_config,
    merge_options,
    suggestion,
)
from mmdd.utils.locks import alone, forget_lock, sole, unless_taken
from mmdd.utils.rank_zero import ask_rank_0, on_every_rank, together
from mmdd.utils.runner import named_runner
from mmdd.utils.signature import check_value
from .fine_tune_checks import check_fine_tunes
from .identity import is_finished_without_weights, weights_path
from .job_text import closing_lines, header_lines
from .journal import Journal
from .preflight import check_data, check_job, check_writable, job_journal
from .prepare import init_launcher, prepare
from .shards import WHOLE, Shard, lock_path, own_lock_path, read_shard, shared_lock_path
from .train_job import ensure_checkpoint


def run_distillation(cfg: Config,
                     resume: bool = False,
                     checks: Sequence[Callable[[Config], None]] = ()) -> str:
    """Run a distillation job: check, prepare, train what is missing, distill.

    Trained where they are missing: the proxy, the judge, and the fine-tuned weights of the
    diffusion. Of shards (``train_cfg.shard``) one at a time does what is done once; the others
    wait, or train the weights of other classes. A shard resumes what it finds.

    Args:
        cfg: Config of the job, see :func:`read_job`; changed in place.
        resume: Resume an interrupted job in the same folder.
        checks: Called with the config after the checks of the job itself.

    Returns:
        str: Folder of the distilled set.

    Raises:
        ValueError: If the config, the real set, weights or folders are unusable, or another
            process makes the same shard.
    """
    setup()
    cfg.work_dir = cfg.get('work_dir') or default_work_dir(cfg)
    init_launcher(cfg)
    with claimed(cfg) as (shard, lock):
        cfg.train_cfg.resume = resume or lock is not None
        if not make_ready(cfg, checks, shard, lock):
            return job_journal(cfg).out_dir
        runner = named_runner(cfg)
        print_log('\n'.join(header_lines(runner)), runner.logger)
        runner.train()
        with together():
            if runner.train_loop.written:
                print_log('\n'.join(closing_lines(runner)), runner.logger)
        return runner.train_loop.out_dir


@contextmanager
def claimed(cfg: Config) -> Iterator[Tuple[Optional[Shard], Optional[str]]]:
    """A block that no other process runs for the same job, or the same shard of it.

    Gives what :func:`read_shards` does.
    """
    journal = job_journal(cfg)
    with no_traces(cfg.work_dir, journal):
        with together():
            shard, lock = read_shards(cfg)
        with only_one(journal.out_dir, shard, lock):
            yield shard, lock


def only_one(out_dir: str, shard: Optional[Shard],
             lock: Optional[str]) -> ContextManager[None]:
    """A block in one process for each shard of a set, or in one for all of it.

    Who merges needs no such block. A job without shards also works without locks.
    """
    if shard is None and lock is not None:
        return nullcontext()
    what = f'{out_dir} is' if shard is None else f'shard {shard} is'
    return sole(own_lock_path(out_dir, shard), f'{what} made by another process already: wait '
                f'for it, or end it first', needed=shard is not None,
                excludes=lambda name: shard is None or name == WHOLE)


@contextmanager
def no_traces(work_dir: str, journal: Journal) -> Iterator[None]:
    """Leave no lock behind that nobody needs, and no empty folders of a job that is refused."""
    lock = shared_lock_path(journal.out_dir)
    new_folders, new_lock, done = missing_folders(work_dir), not osp.isfile(lock), False
    try:
        yield
        done = osp.isfile(osp.join(journal.out_dir, MANIFEST))
    except BaseException:
        done = new_lock
        raise
    finally:
        if get_rank() == 0 and done:
            forget_lock(lock)
            with suppress(OSError):  # one that is not empty
                for folder in new_folders:
                    os.rmdir(folder)


def missing_folders(path: str) -> List[str]:
    """A folder and those above it that are not there, the innermost first."""
    path = osp.abspath(path)
    return [] if osp.exists(path) else [path, *missing_folders(osp.dirname(path))]


def make_ready(cfg: Config, checks: Sequence[Callable[[Config], None]],
               shard: Optional[Shard], lock: Optional[str]) -> bool:
    """Check a job, and get the data and weights that it needs; see :func:`run_distillation`.

    Returns:
        bool: Whether there is anything to make; not where its set is finished and whole.
    """
    with alone(lock):
        check_job(cfg, cfg.train_cfg.resume)
    with together():
        for check in checks:
            check(cfg)
    journal = job_journal(cfg)
    if ask_rank_0(lambda: is_finished_without_weights(cfg, journal)):
        print_log(f'{journal.out_dir} is finished and whole; weights that are gone are not needed',
                  'current')
        return False
    with alone(lock):
        prepare(cfg)
    check_data(cfg)
    with alone(lock):
        fine_tunings = plan_fine_tunings(cfg)
        ready_networks(cfg)
    if fine_tunings:
        cfg.model.fine_tune.checkpoint = ready_fine_tuned(fine_tunings, lock)
    if shard is not None:
        cfg.train_cfg.update(out_dir=journal.out_dir, work_dir=cfg.work_dir)
        cfg.work_dir = osp.join(cfg.work_dir, 'shards', f'{shard.index:04d}')
    return True


def read_shards(cfg: Config) -> Tuple[Optional[Shard], Optional[str]]:
    """The shard that a job makes, and what it locks beside other shards; None without them.

    Raises:
        ValueError: If the shard is none, there is nothing to merge, or the work dir cannot be
            written.
    """
    text, merge = cfg.train_cfg.get('shard'), cfg.train_cfg.get('merge_shards', False)
    if text is None and not merge:
        check_writable(cfg.work_dir)
        return None, None
    shard = None if merge else read_shard(text)
    journal = job_journal(cfg)
    if merge and not osp.isfile(journal.plan_file):
        raise ValueError(f'{journal.out_dir} holds no job to merge: run its shards first')
    check_writable(cfg.work_dir)
    return shard, lock_path(journal.out_dir, shard, merge)


def ready_networks(cfg: Config) -> None:
    """Give proxy and judge of a job their checkpoints: found, downloaded or trained.

    Args:
        cfg: Config of the job, changed in place.

    Raises:
        ValueError: As :func:`ready_weights`.
    """
    for name in ('proxy', 'judge'):
        network = cfg.model.get(name)
        if network is not None:
            network.checkpoint = ready_weights(network, cfg.work_dir, name)


def ready_weights(proxy, work_dir: str, name: str = 'proxy') -> str:
    """Path of the weights of a proxy: found, downloaded or trained.

    Args:
        proxy: Config of the proxy.
        work_dir: Where weights without a place of their own are kept, as ``<name>.pth``.
        name: Its part in the job, 'proxy' or 'judge'.

    Raises:
        ValueError: If the proxy is not trained here and its weights are missing.
    """
    path = weights_path(proxy, work_dir, name)
    if path is None:
        return class_of(MODELS, proxy).local_checkpoint(proxy.get('checkpoint'))
    return ensure_checkpoint(proxy.cfg, path)


def plan_fine_tunings(cfg: Config) -> List[Tuple[Config, str]]:
    """Training configs and checkpoints of a job's fine-tuned weights, one per shard of classes.

    They are checked before anything of the job is trained. None of a job without
    ``model.fine_tune``, or whose ``checkpoint`` lists the files.

    Args:
        cfg: Config of the job.

    Raises:
        ValueError: See :func:`check_fine_tunes`.
    """
    if cfg.model.get('fine_tune') is None:
        return []
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdd'):
        fine_tuned = TASK_UTILS.build(cfg.model.fine_tune)
    if not isinstance(fine_tuned.checkpoint, (str, type(None))):
        return []
    classes = open_real_set(cfg.train_dataloader.dataset).metainfo['classes']
    jobs = fine_tuned.jobs(len(classes), cfg.work_dir, cfg.model.diffusion)
    check_fine_tunes(jobs, load_config(fine_tuned.cfg), classes)
    return jobs


def ready_fine_tuned(jobs: Sequence[Tuple[Config, str]],
                     lock: Optional[str] = None) -> List[str]:
    """Paths of fine-tuned weights: found or trained.

    Those of several shards of classes are shared by the ranks of a job, and by jobs that need
    them at the same time, see :func:`share_trainings`.

    Args:
        jobs: See :func:`plan_fine_tunings`.
        lock: What the processes of a sharded job lock; None of a job without shards.
    """
    if len(jobs) > 1 and (lock is not None or get_world_size() > 1):
        on_every_rank(lambda: share_trainings(jobs))
    with alone(lock):
        return [ensure_checkpoint(config, checkpoint) for config, checkpoint in jobs]


def share_trainings(jobs: Sequence[Tuple[Config, str]]) -> None:
    """Train checkpoints that other processes need too: each takes what no other has begun.

    Then it waits for those of the others. What a process that died had begun is resumed here.

    Args:
        jobs: Training configs and their checkpoints.
    """
    for wait in (False, True):
        for config, checkpoint in jobs:
            if osp.isfile(checkpoint):
                continue
            check_writable(osp.dirname(checkpoint) or '.')
            with unless_taken(f'{osp.splitext(checkpoint)[0]}.lock', wait) as mine:
                if mine and not osp.isfile(checkpoint):
                    ensure_checkpoint(config, checkpoint)


def read_job(config: ConfigType, cfg_options: Optional[dict] = None) -> Config:
    """Load and check the config of a distillation job.

    Raises:
        ValueError: If a key looks misspelt, a required one is missing, or the config is one of a
            training.
    """
    cfg = load_config(config)
    import_custom_modules(cfg)
    merge_options(cfg, cfg_options)
    for key in cfg:
        if key not in KNOWN_KEYS and difflib.get_close_matches(key, KNOWN_KEYS, 1, 0.85):
            raise ValueError(f'unknown config key {key!r}{suggestion(key, KNOWN_KEYS)}')
    for key in ('model', 'train_dataloader', 'train_cfg'):
        if cfg.get(key) is None:
            raise ValueError(f'the config has no {key!r}: a distillation job needs it')
        check_value(key, cfg[key], dict)
    if {'max_epochs', 'max_iters'} & set(cfg.train_cfg):
        raise ValueError(f'{cfg.filename or "the config"} is a training config (train_cfg has no '
                         f'budget, but a number of updates): use tools/train.py')
    return cfg


def default_work_dir(cfg: Config) -> str:
    """``work_dirs/<name of the config file>``."""
    name = osp.splitext(osp.basename(cfg.filename))[0] if cfg.filename else 'distill'
    return osp.join('work_dirs', name)
