"""Students: one stock training per set and seed, in worker processes, resumable."""
import copy
import math
import os
import os.path as osp
import re
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, TextIO, Union

from mmengine.config import Config

from mmdd.datasets.manifest import read_manifest
from mmdd.engine.hooks.resume_hook import ResumeHook
from mmdd.utils.config import ConfigType
from mmdd.utils.state import is_whole_checkpoint, read_state, write_state
from .lr_search import best_rates, search_protocol
from .protocol import (
    FULL,
    protocol_classes,
    read_protocol,
    run_key,
    selection,
    set_content,
    set_files,
    student_config,
)
from .scalars_hook import StudentScalarsHook
from .settings import arm_line, protocol_settings, settings_lines
from .workers import execute

# Folder of each set by name; several folders are generated sets of one arm; 'full'.
Sets = Mapping[str, Union[str, Sequence[str]]]
RANDOM_METHOD = 'RandomCoreset'
# What a result file holds at least.
RESULT = {'images', 'seed', 'updates', 'seconds', 'last', 'best'}


@dataclass
class StudentRun:
    """One training and its test.

    Attributes:
        key: Name of the run, see :func:`run_key`.
        arm: Name of the set.
        folder: Folder of the set, or 'full'.
        seed: Seed of the training.
        images: Images of the set; None if only the training will tell.
        listed: Images that the lists of the full real set name, where they tell.
        config: The student's config as plain dicts.
        protocol: The field ``protocol`` as plain dicts.
        work_dir: Where the training writes; the result is ``<work_dir>.json``.
        lr: Learning rate in place of the protocol's.
    """
    key: str
    arm: str
    folder: str
    seed: int
    images: Optional[int]
    listed: Optional[int]
    config: Dict[str, Any]
    protocol: Dict[str, Any]
    work_dir: str
    lr: Optional[float] = None

    @property
    def result_file(self) -> str:
        """The JSON file that exists once the run is finished."""
        return f'{self.work_dir}.json'

    @property
    def resume_file(self) -> str:
        """What a training that was killed goes on from."""
        return osp.join(self.work_dir, 'resume.pth')

    @property
    def log_file(self) -> str:
        """Everything the run printed."""
        return osp.join(self.work_dir, 'output.log')

    @property
    def evaluation_dir(self) -> str:
        """The work dir that all runs share."""
        return osp.dirname(osp.dirname(self.work_dir))


def evaluate_sets(sets: Sets,
                  protocol: ConfigType,
                  work_dir: str,
                  seeds: Sequence[int] = (0, 1, 2),
                  jobs: Optional[int] = None,
                  full_seeds: Optional[Sequence[int]] = None,
                  lr_grid: Optional[Sequence[float]] = None,
                  require_random: bool = False) -> List[Dict[str, Any]]:
    """Train students on every set with every seed and test them on real data.

    Finished runs are kept in ``<work_dir>/runs/<key>.json`` and skipped the next
    time. Every worker uses one CPU thread, so the results do not depend on
    the number of workers.

    Args:
        sets: Folder of each set by name, or a list of folders: the generated sets of
            one arm, each with a student per seed (the papers' tables have 3 sets
            and 5 students); 'full' for the protocol's real set.
        protocol: See :func:`read_protocol`; its data and weights must be there.
        work_dir: Where the runs go.
        seeds: Seeds of the trainings.
        jobs: Worker processes; one per GPU, or per CPU core, if None. 0 trains
            in this process.
        full_seeds: Seeds of the arm 'full', which is the slowest; ``seeds`` if None.
        lr_grid: Learning rates, of which each arm takes the best; see :func:`pick_rates`.
            None keeps the protocol's.
        require_random: Whether every budget must have an arm of random real images.

    Returns:
        list[dict]: One row per set and seed: arm, set (folder), images, seed, updates,
        seconds, lr (where picked), metrics ``last`` and ``best`` (at the checkpoint that
        the split ``select`` chose, measured on the test split; None where none is
        selected), ``select`` ('val', 'test' or None) and ``num_classes``. A failed run has
        ``error`` and ``log`` instead.

    Raises:
        FileNotFoundError: If a set is incomplete.
        ValueError: If a set or the protocol is unusable, or a random arm is missing.
    """
    cfg = read_protocol(protocol)
    if require_random:
        missing = missing_random(sets, cfg)
        if missing:
            raise ValueError('no baseline of random real images beside '
                             + ', '.join(f'{arm} ({n} images)' for arm, n in missing.items())
                             + ': add one of the same size (model=dict(type="RandomCoreset"))')
    rates = pick_rates(sets, cfg, work_dir, seeds, jobs, lr_grid) if lr_grid else None
    runs = plan_runs(sets, cfg, work_dir, seeds, full_seeds, rates)
    return _train_all(runs, jobs)


def plan_runs(sets: Sets, protocol: ConfigType, work_dir: str,
              seeds: Sequence[int],
              full_seeds: Optional[Sequence[int]] = None,
              rates: Optional[Mapping[str, Optional[float]]] = None) -> List[StudentRun]:
    """Check every set and list the runs, set by set.

    Args:
        sets: See :func:`evaluate_sets`, as for the other arguments.
        protocol: See :func:`read_protocol`.
        work_dir: Where the runs go.
        seeds: Seeds of the trainings.
        full_seeds: Seeds of the arm 'full'.
        rates: Learning rate by arm; None keeps the protocol's.
    """
    cfg = read_protocol(protocol)
    for given in (seeds, full_seeds or ()):
        if len(set(given)) < len(given):
            raise ValueError(f'a seed that is given twice trains one student, not two: '
                             f'{" ".join(map(str, given))}; give different seeds')
    runs = []
    for arm, folder in arm_folders(sets):
        content = set_content(cfg, folder)
        found = set_files(cfg, folder, content)
        rate = (rates or {}).get(arm)
        for seed in seeds if folder != FULL or full_seeds is None else full_seeds:
            student = student_config(cfg, folder, seed, content, rate)
            key = run_key(student, found['sha256'], seed)
            runs.append(StudentRun(
                key, arm, folder, seed, found['images'], content.images, student.to_dict(),
                dict(cfg.protocol.to_dict(), num_classes=len(protocol_classes(cfg) or ())),
                osp.join(work_dir, 'runs', key), rate))
    if not runs:
        raise ValueError('nothing to evaluate: no sets or no seeds')
    return runs


def arm_folders(sets: Sets) -> List[tuple]:
    """(arm, folder) of every set.

    Raises:
        ValueError: If an arm has no folder, or the same one twice.
    """
    pairs = []
    for arm, folders in sets.items():
        folders = [folders] if isinstance(folders, str) else list(folders)
        if not folders or len(set(map(osp.normpath, folders))) < len(folders):
            raise ValueError(f'arm {arm}: {"no folder" if not folders else "a folder is twice"} '
                             f'in its sets ({", ".join(folders)})')
        pairs += [(arm, folder) for folder in folders]
    return pairs


def pick_rates(sets: Sets, protocol: ConfigType, work_dir: str, seeds: Sequence[int],
               jobs: Optional[int], lr_grid: Sequence[float]) -> Dict[str, Optional[float]]:
    """The learning rate of each arm: the best of a grid, on no test image.

    One student with the first seed is trained for each rate on the first set of each
    arm. They are kept and skipped like all runs.

    Args:
        sets: See :func:`evaluate_sets`, as for the other arguments.
        protocol: See :func:`read_protocol`.
        work_dir: Where the runs go.
        seeds: Only the first is used.
        jobs: Worker processes.
        lr_grid: Learning rates.

    Returns:
        dict: Learning rate by arm; None, the protocol's, where all trainings failed.
    """
    cfg, how = search_protocol(read_protocol(protocol))
    first = {arm: folder if isinstance(folder, str) else folder[0]
             for arm, folder in sets.items()}
    runs = [run for rate in lr_grid
            for run in plan_runs(first, cfg, work_dir, seeds[:1],
                                 rates={arm: rate for arm in first})]
    print(f'{how}, {len(lr_grid)} rates for each of {len(first)} methods', flush=True)
    rates = best_rates(_train_all(runs, jobs))
    for arm, rate in rates.items():
        print(f'{arm}: ' + ("all rates failed, the protocol's is kept" if rate is None
                            else f'lr {rate:g}'), flush=True)
    return rates


def missing_random(sets: Sets, protocol: ConfigType) -> Dict[str, int]:
    """Arms that no arm of random real images stands beside, with their images.

    An arm is random if the manifests of its sets name ``RandomCoreset``; it measures
    all arms of as many images.
    """
    cfg, images, random = read_protocol(protocol), {}, set()
    for arm, folder in arm_folders(sets):
        if folder == FULL:
            continue
        images.setdefault(arm, set_content(cfg, folder).images)
        if str(read_manifest(folder).get('method')).rsplit('.', 1)[-1] == RANDOM_METHOD:
            random.add(images[arm])
    return {arm: number for arm, number in images.items() if number not in random}


def _train_all(runs: Sequence[StudentRun], jobs: Optional[int]) -> List[Dict[str, Any]]:
    """Train what is not finished; returns the rows of all runs."""
    pending = list({run.key: run for run in runs if read_result(run) is None}.values())
    pending.sort(key=lambda run: run.folder != FULL)  # the longest runs first
    if len(pending) < len(runs):
        print(f'{len(runs) - len(pending)} of {len(runs)} runs are finished already', flush=True)
    _write_labels(pending)
    errors: Dict[str, str] = {}
    begin = time.time()
    for done, (run, error) in enumerate(execute(_guarded, pending, jobs), 1):
        eta = (time.time() - begin) / done * (len(pending) - done)
        if error:
            errors[run.key] = error
        rate = '' if run.lr is None else f' lr {run.lr:g}'
        text = f'failed: {error}; see {run.log_file}' if error else _brief(read_result(run))
        print(f'[{done}/{len(pending)}] {run.arm} seed {run.seed}{rate}: {text}, '
              f'eta {eta:.0f} s', flush=True)
    return [_row(run, errors.get(run.key)) for run in runs]


def _write_labels(pending: Sequence[StudentRun]) -> None:
    """Write stored soft labels once, before several workers would."""
    for folder in dict.fromkeys(run.folder for run in pending):
        run = next(run for run in pending if run.folder == folder)
        try:
            _with_labels(run)
        except Exception as error:  # the run itself fails again, and says so
            print(f'{run.arm}: no soft labels ({" ".join(str(error).split())[:200]})', flush=True)


def _with_labels(run: StudentRun) -> Config:
    """The config of a run; stored soft labels that its protocol asks for are there then."""
    if run.config.get('soft_labels') is None:
        return Config(run.config)
    from .label_writer import prepare_student
    return prepare_student(run.config, run.evaluation_dir)


def train_student(run: StudentRun) -> Dict[str, Any]:
    """Train and test one student and write its result file.

    A training that was killed goes on where it last saved, see :class:`ResumeHook`.

    Returns:
        dict: The row of :func:`evaluate_sets` without the name of the arm.
    """
    from mmengine.registry import DefaultScope
    from mmengine.runner import find_latest_checkpoint

    from mmdd.utils.runner import build_runner
    begin = time.time()
    cfg = _with_labels(run)
    hook = ResumeHook(run.resume_file)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        training = copy.deepcopy(cfg)
        if osp.isfile(run.resume_file) and is_whole_checkpoint(run.resume_file):
            print(f'going on from {run.resume_file}', flush=True)
            training.load_from, training.resume = run.resume_file, True
        runner = build_runner(training, run.work_dir, tidy=False)
        runner.register_hook(hook)
        runner.train()
        seconds = hook.elapsed
        last = find_latest_checkpoint(run.work_dir)
        best = runner.message_hub.runtime_info.get('best_ckpt')
        accumulated = cfg.optim_wrapper.get('accumulative_counts', 1)
        result = dict(
            images=run.images or _num_images(runner.train_dataloader.dataset), seed=run.seed,
            updates=math.ceil(runner.iter / accumulated), seconds=round(seconds, 1),
            last_step=_step(last), best_step=best and _step(best), last=_test(cfg, last, run),
            best=None, select=selection(cfg), num_classes=run.protocol.get('num_classes'))
        if best:
            same = result['best_step'] == result['last_step']
            result['best'] = result['last'] if same else _test(cfg, best, run)
    result['total_seconds'] = round(hook.seconds + time.time() - begin, 1)
    write_state(run.result_file, result)
    if osp.isfile(run.resume_file):
        os.remove(run.resume_file)
    return result


def _test(cfg: Any, checkpoint: str, run: StudentRun) -> Dict[str, float]:
    """Metrics of a checkpoint on the test split, in a Runner of its own.

    A Runner that trained would test the raw weights where a hook keeps an average.
    """
    from mmdd.utils.runner import build_runner
    cfg = copy.deepcopy(cfg)
    cfg.load_from, cfg.resume = checkpoint, False
    runner = build_runner(cfg, osp.join(run.work_dir, 'test'), tidy=False)
    runner.register_hook(StudentScalarsHook(_step(checkpoint)))
    measured = runner.test()
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
    """Images of a dataset without repetitions."""
    inner = getattr(dataset, 'dataset', None)
    repeated = inner is not None and len(dataset) >= len(inner)
    return _num_images(inner) if repeated else len(dataset)


def _guarded(run: StudentRun) -> Optional[str]:
    """Train in the log file's presence; returns one line where it failed."""
    os.makedirs(run.work_dir, exist_ok=True)
    with open(run.log_file, 'a' if osp.isfile(run.resume_file) else 'w', encoding='utf-8') as log:
        with redirect_stdout(log), redirect_stderr(log):
            try:
                train_student(run)
                return None
            except Exception as error:  # one arm's failure must not end the others
                traceback.print_exc(file=log)
                return ' '.join(f'{type(error).__name__}: {error}'.split())[:300]
            finally:
                _forget(log)


def _forget(stream: TextIO) -> None:
    """Take a stream that will be closed from the loggers, which outlive it in this process."""
    from mmengine.logging import MMLogger
    for logger in MMLogger._instance_dict.values():
        for handler in list(logger.handlers):
            if getattr(handler, 'stream', None) is stream:
                logger.removeHandler(handler)


def read_result(run: StudentRun) -> Optional[Dict[str, Any]]:
    """The result file of a finished run; a metric that is null there was not finite.

    None of others, and where it is damaged and set aside.
    """
    result = read_state(run.result_file, lambda content: RESULT <= set(content),
                        'the student is trained again')
    for which in ('last', 'best'):
        if result and result.get(which):
            result[which] = {name: math.nan if value is None else value
                             for name, value in result[which].items()}
    return result


def _row(run: StudentRun, error: Optional[str]) -> Dict[str, Any]:
    head: Dict[str, Any] = dict(arm=run.arm, set=run.folder, seed=run.seed, key=run.key)
    if run.lr is not None:
        head['lr'] = run.lr
    if error:
        return dict(head, error=error, log=run.log_file)
    return dict(read_result(run), **head)


def _brief(result: Dict[str, Any]) -> str:
    values = ' '.join(f'{name} {value:.1f}' for name, value in result['last'].items())
    return f'{values} ({result["updates"]} updates, {result["seconds"]:.0f} s)'


def describe_runs(runs: Sequence[StudentRun]) -> List[str]:
    """What will be trained, before it starts: the shared settings, then one line per arm."""
    settings = protocol_settings(list(runs), runs[0].protocol['task'])
    folders: Dict[str, List[str]] = {}
    for run in runs:
        if run.folder not in folders.setdefault(run.arm, []):
            folders[run.arm].append(run.folder)
    return settings_lines(settings) + [
        f'{arm_line(arm, own, len(folders[arm]))}, {", ".join(folders[arm])}'
        for arm, own in settings['arms'].items()]
