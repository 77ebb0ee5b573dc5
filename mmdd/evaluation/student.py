"""Students: one stock training per set and seed, in worker processes, resumable."""
import json
import multiprocessing
import os
import os.path as osp
import re
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from mmdd.utils.config import ConfigType
from mmdd.utils.io import atomic_write_json
from .protocol import FULL, num_updates, read_protocol, run_key, set_files, student_config


@dataclass
class StudentRun:
    """One training and its test.

    Attributes:
        key: Name of the run, see :func:`run_key`.
        arm: Name of the set.
        folder: Folder of the set, or 'full'.
        seed: Seed of the training.
        images: Images of the set; None if only the training will tell.
        config: The student's config as plain dicts.
        protocol: The field ``protocol`` as plain dicts.
        work_dir: Where the training writes; the result is ``<work_dir>.json``.
    """
    key: str
    arm: str
    folder: str
    seed: int
    images: Optional[int]
    config: Dict[str, Any]
    protocol: Dict[str, Any]
    work_dir: str

    @property
    def result_file(self) -> str:
        """The JSON file that exists once the run is finished."""
        return f'{self.work_dir}.json'

    @property
    def log_file(self) -> str:
        """Everything the run printed."""
        return osp.join(self.work_dir, 'output.log')


def evaluate_sets(sets: Mapping[str, str],
                  protocol: ConfigType,
                  work_dir: str,
                  seeds: Sequence[int] = (0, 1, 2),
                  jobs: Optional[int] = None,
                  full_seeds: Optional[Sequence[int]] = None) -> List[Dict[str, Any]]:
    """Train students on every set with every seed and test them on real data.

    Finished runs are kept in ``<work_dir>/runs/<key>.json`` and skipped the next
    time. Every worker uses one CPU thread, so the results do not depend on
    the number of workers.

    Args:
        sets: Folder of each set by name; 'full' for the protocol's real set.
        protocol: See :func:`read_protocol`; its data and weights must be there.
        work_dir: Where the runs go.
        seeds: Seeds of the trainings.
        jobs: Worker processes; one per GPU, or per CPU core, if None. 0 trains
            in this process.
        full_seeds: Seeds of the arm 'full', which is the slowest; ``seeds`` if None.

    Returns:
        list[dict]: One row per set and seed: arm, images, seed, updates, seconds,
        metrics ``last`` and ``best`` (selected on the validation split, measured
        on the test split; None where the protocol selects none). A failed run has
        ``error`` and ``log`` instead.

    Raises:
        FileNotFoundError: If a set is incomplete.
        ValueError: If a set or the protocol is unusable.
    """
    runs = plan_runs(sets, protocol, work_dir, seeds, full_seeds)
    pending = list({run.key: run for run in runs if not osp.isfile(run.result_file)}.values())
    pending.sort(key=lambda run: run.folder != FULL)  # the longest runs first
    if len(pending) < len(runs):
        print(f'{len(runs) - len(pending)} of {len(runs)} runs are finished already', flush=True)
    errors: Dict[str, str] = {}
    begin = time.time()
    for done, (run, error) in enumerate(_execute(pending, jobs), 1):
        eta = (time.time() - begin) / done * (len(pending) - done)
        if error:
            errors[run.key] = error
        text = f'failed: {error}; see {run.log_file}' if error else _brief(_read(run))
        print(f'[{done}/{len(pending)}] {run.arm} seed {run.seed}: {text}, eta {eta:.0f} s',
              flush=True)
    return [_row(run, errors.get(run.key)) for run in runs]


def plan_runs(sets: Mapping[str, str], protocol: ConfigType, work_dir: str,
              seeds: Sequence[int],
              full_seeds: Optional[Sequence[int]] = None) -> List[StudentRun]:
    """Check every set and list the runs, set by set."""
    cfg = read_protocol(protocol)
    runs = []
    for arm, folder in sets.items():
        content = set_files(cfg, folder)
        for seed in seeds if folder != FULL or full_seeds is None else full_seeds:
            student = student_config(cfg, folder, seed)
            key = run_key(student, content['sha256'], seed)
            runs.append(StudentRun(
                key, arm, folder, seed, content['images'], student.to_dict(),
                cfg.protocol.to_dict(), osp.join(work_dir, 'runs', key)))
    if not runs:
        raise ValueError('nothing to evaluate: no sets or no seeds')
    return runs


def default_jobs() -> int:
    """One worker per GPU, or per CPU core this process may use."""
    import torch
    if torch.cuda.is_available():
        return torch.cuda.device_count()
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


def train_student(run: StudentRun) -> Dict[str, Any]:
    """Train and test one student and write its result file.

    Returns:
        dict: The row of :func:`evaluate_sets` without the name of the arm.
    """
    from mmengine.config import Config
    from mmengine.registry import DefaultScope
    from mmengine.runner import find_latest_checkpoint

    from mmdd.utils.runner import build_runner
    cfg = Config(run.config)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        runner = build_runner(cfg, run.work_dir)
        begin = time.time()
        runner.train()
        seconds = time.time() - begin
        last = find_latest_checkpoint(run.work_dir)
        best = runner.message_hub.runtime_info.get('best_ckpt')
        result = dict(
            images=run.images or _num_images(runner.train_dataloader.dataset), seed=run.seed,
            updates=runner.iter, seconds=round(seconds, 1), last_step=_step(last),
            best_step=best and _step(best), last=_test(cfg, last, run), best=None)
        if best:
            same = result['best_step'] == result['last_step']
            result['best'] = result['last'] if same else _test(cfg, best, run)
    atomic_write_json(run.result_file, result)
    return result


def _test(cfg: Any, checkpoint: str, run: StudentRun) -> Dict[str, float]:
    """Metrics of a checkpoint on the test split, in a Runner of its own.

    A Runner that trained would test the raw weights where a hook keeps an average.
    """
    import copy

    from mmdd.utils.runner import build_runner
    cfg = copy.deepcopy(cfg)
    cfg.load_from, cfg.resume = checkpoint, False
    measured = build_runner(cfg, osp.join(run.work_dir, 'test')).test()
    values = {}
    for column, key in run.protocol['metrics'].items():
        # Some metrics report nothing at all where nothing was detected.
        if measured and key not in measured:
            raise ValueError(f'protocol.metrics: {key!r} is not among {sorted(measured)}')
        value = float(measured.get(key, 0.)) * run.protocol.get('scale', 1.)
        values[column] = round(value, 4)
    return values


def _step(checkpoint: str) -> int:
    """The iteration (or epoch) in the name of a checkpoint."""
    return int(re.findall(r'(?:iter|epoch)_(\d+)', osp.basename(checkpoint))[-1])


def _num_images(dataset: Any) -> int:
    inner = getattr(dataset, 'dataset', None)
    return len(dataset) if inner is None else _num_images(inner)


def _start_worker(devices: Optional[Any]) -> None:
    """Give a worker its one CPU thread and, where there are GPUs, its device."""
    if devices is not None:
        os.environ['CUDA_VISIBLE_DEVICES'] = devices.get()
    import torch
    torch.set_num_threads(1)


def _guarded(run: StudentRun) -> Optional[str]:
    """Train in the log file's presence; returns one line where it failed."""
    os.makedirs(run.work_dir, exist_ok=True)
    with open(run.log_file, 'w', encoding='utf-8') as log:
        with redirect_stdout(log), redirect_stderr(log):
            try:
                train_student(run)
                return None
            except Exception as error:  # one arm's failure must not end the others
                traceback.print_exc(file=log)
                return ' '.join(f'{type(error).__name__}: {error}'.split())[:300]


def _execute(pending: Sequence[StudentRun],
             jobs: Optional[int]) -> Iterator[Tuple[StudentRun, Optional[str]]]:
    """Run everything; yields each run with its error, as they finish."""
    if jobs == 0:
        for run in pending:
            yield run, _guarded(run)
        return
    unfinished = list(pending)
    for run, error in _in_pool(pending, min(jobs or default_jobs(), len(pending))):
        unfinished.remove(run)
        yield run, error
    # A dead worker takes its whole pool along: the rest is tried again, each in its own.
    for run in unfinished:
        yield next(_in_pool([run], 1), (run, 'its worker process died twice (out of memory?)'))


def _in_pool(runs: Sequence[StudentRun],
             workers: int) -> Iterator[Tuple[StudentRun, Optional[str]]]:
    """Run in worker processes; runs that are lost with their worker are not yielded."""
    if not runs:
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context('spawn'), _start_worker,
                             (_devices(workers), )) as pool:
        futures = {pool.submit(_guarded, run): run for run in runs}
        for future in as_completed(futures):
            try:
                error = future.result()
            except BrokenProcessPool:
                continue
            yield futures[future], error


def _devices(workers: int) -> Optional[Any]:
    """A queue with one GPU number per worker, or None without a GPU."""
    import torch
    count = torch.cuda.device_count()
    if not count:
        return None
    visible = os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',')
    names = visible if len(visible) == count else [str(i) for i in range(count)]
    queue = multiprocessing.get_context('spawn').Queue()
    for i in range(workers):
        queue.put(names[i % count])
    return queue


def _read(run: StudentRun) -> Dict[str, Any]:
    with open(run.result_file) as f:
        return json.load(f)


def _row(run: StudentRun, error: Optional[str]) -> Dict[str, Any]:
    head = dict(arm=run.arm, set=run.folder, seed=run.seed, key=run.key)
    if error:
        return dict(head, error=error, log=run.log_file)
    return dict(_read(run), **head)


def _brief(result: Dict[str, Any]) -> str:
    values = ' '.join(f'{name} {value:.1f}' for name, value in result['last'].items())
    return f'{values} ({result["updates"]} updates, {result["seconds"]:.0f} s)'


def describe_runs(runs: Sequence[StudentRun]) -> List[str]:
    """One line per arm: what will be trained, before it starts."""
    from mmengine.config import Config
    lines = []
    for run in {run.arm: run for run in runs}.values():
        cfg = Config(run.config)
        loader = cfg.train_dataloader
        schedule = (f'{num_updates(cfg, run.images)} updates'
                    if run.images or 'max_iters' in cfg.train_cfg
                    else f'{cfg.train_cfg.max_epochs} epochs')
        rate = cfg.optim_wrapper.optimizer
        lines.append(f'{run.arm}: {run.images or "all"} images, {schedule} of batch '
                     f'{loader.batch_size}, {rate.type} lr {rate.lr:g}, {run.folder}')
    return lines
