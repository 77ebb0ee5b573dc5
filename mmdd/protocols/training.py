"""One student: its training, its test and its files, resumable."""
import copy
import math
import os
import os.path as osp
import re
import time
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import find_latest_checkpoint

from mmdd.engine.hooks.resume_hook import ResumeHook
from mmdd.engine.hooks.scalars_hook import StudentScalarsHook
from mmdd.models.students.label_regimes import label_mib, label_regime
from mmdd.models.students.label_settings import check_labels, read_settings
from mmdd.models.students.label_writer import write_soft_labels
from mmdd.utils.config import fingerprint, load_config
from mmdd.utils.locks import LOCK, alone
from mmdd.utils.quiet import work_quietly
from mmdd.utils.runner import build_runner
from mmdd.utils.state import is_whole_checkpoint, write_state
from .protocol import selection
from .sets import FULL


@dataclass
class StudentRun:
    """One training and its test."""
    key: str  # name of the run, see :func:`run_key`
    method: str  # name of the method that made the set
    folder: str  # folder of the set, or 'full'
    seed: int  # seed of the training
    images: Optional[int]  # images that the set lists; None where only the training will tell
    config: Dict[str, Any]  # the student's config as plain dicts
    protocol: Dict[str, Any]  # the field ``protocol`` likewise
    work_dir: str  # where the training writes; the result is ``<work_dir>.json``
    lr: Optional[float] = None  # learning rate in place of the protocol's

    @property
    def result_file(self) -> str:
        """The JSON file that exists once the run is finished."""
        return f'{self.work_dir}.json'

    @property
    def resume_file(self) -> str:
        """What a training that was killed resumes from."""
        return osp.join(self.work_dir, 'resume.pth')

    @property
    def log_file(self) -> str:
        """Everything the run printed."""
        return osp.join(self.work_dir, 'output.log')

    @property
    def evaluation_dir(self) -> str:
        """The work dir that all runs share."""
        return osp.dirname(osp.dirname(self.work_dir))

    def label_facts(self, images: Optional[int]) -> Tuple[Optional[str], Optional[float]]:
        """:func:`label_regime` and :func:`label_mib`; None of tasks without such labels."""
        if self.protocol.get('task') != 'classification':
            return None, None
        return label_regime(self.config), label_mib(
            self.config, images, self.protocol.get('num_classes'))


def prepare_student(config: Mapping[str, Any], work_dir: str) -> Config:
    """The config of a student with the folder of its stored soft labels, which are made first.

    Args:
        config: Student config as :func:`student_config` gives it; one without stored labels
            stays as it is, and of labels that it names :func:`check_labels` is asked.
        work_dir: Folder of the evaluation; labels go to ``<work_dir>/soft_labels/<key>``, where
            the key stands for images, teacher and settings. Labels that are there are used,
            unfinished ones finished.

    Raises:
        FileNotFoundError: If labels that it names are missing.
        ValueError: If they do not fit, or a teacher has no weights or other classes than the set.
    """
    cfg = load_config(config)
    if cfg.get('soft_labels') is None:
        return cfg
    dataset = cfg.train_dataloader.dataset
    if dataset.labels is not None:
        check_labels(cfg, dataset.labels)
    else:
        settings = read_settings(cfg)
        key = fingerprint(dict(settings=settings))[:16]
        dataset.labels = write_soft_labels(cfg, osp.join(work_dir, 'soft_labels', key), settings)
    return cfg


def train_student(run: StudentRun) -> Dict[str, Any]:
    """Train and test one student, write its result file, and return what that holds.

    A training that was killed is resumed where it last saved, see :class:`ResumeHook`.

    Raises:
        ValueError: If the test measures no metric of the name that the protocol gives; and as
            :func:`prepare_student`.
    """
    begin = time.time()
    cfg = prepare_student(run.config, run.evaluation_dir)
    hook = ResumeHook(run.resume_file)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        training = copy.deepcopy(cfg)
        if osp.isfile(run.resume_file) and is_whole_checkpoint(run.resume_file):
            print(f'resuming from {run.resume_file}', flush=True)
            training.load_from, training.resume = run.resume_file, True
        runner = build_runner(training, run.work_dir, tidy=False)
        runner.register_hook(hook)
        runner.train()
        seconds = hook.elapsed
        last = find_latest_checkpoint(run.work_dir)
        best = runner.message_hub.runtime_info.get('best_ckpt')
        accumulated = cfg.optim_wrapper.get('accumulative_counts', 1)
        tested = _test(cfg, [last, best] if best else [last], run)
        result = dict(
            images=_num_images(runner.train_dataloader.dataset) if run.folder == FULL else
            run.images, seed=run.seed, updates=math.ceil(runner.iter / accumulated),
            seconds=round(seconds, 1), last_step=_step(last), best_step=best and _step(best),
            last=tested[_step(last)], best=best and tested[_step(best)], select=selection(cfg),
            num_classes=run.protocol.get('num_classes'))
    result['total_seconds'] = round(hook.seconds + time.time() - begin, 1)
    write_state(run.result_file, result)
    if osp.isfile(run.resume_file):
        os.remove(run.resume_file)
    return result


def _test(cfg: Config, checkpoints: Sequence[str], run: StudentRun) -> Dict[int, Dict[str, float]]:
    """Metrics of checkpoints on the test split, by step, in one Runner of their own.

    The Runner that trained would test the raw weights where a hook keeps an average.
    """
    cfg = copy.deepcopy(cfg)
    cfg.load_from, cfg.resume = None, False
    runner = build_runner(cfg, osp.join(run.work_dir, 'test'), tidy=False)
    scalars = StudentScalarsHook()
    tested: Dict[int, Dict[str, float]] = {}
    runner.register_hook(scalars)
    # What runner.test() does, with one test loop for all: its dataset is read once.
    runner.call_hook('before_run')
    for checkpoint in checkpoints:
        scalars.step = _step(checkpoint)
        if scalars.step not in tested:  # the best one may be a copy of the last
            runner.load_checkpoint(checkpoint)
            tested[scalars.step] = _columns(runner.test_loop.run(), run.protocol)
    runner.call_hook('after_run')
    return tested


def _columns(measured: Dict[str, float], protocol: Dict[str, Any]) -> Dict[str, float]:
    """The columns of a protocol from what a test measured."""
    values = {}
    for column, key in protocol['metrics'].items():
        # Some metrics report nothing at all where nothing was detected.
        if measured and key not in measured:
            raise ValueError(f'protocol.metrics: {key!r} is not among {sorted(measured)}')
        values[column] = round(float(measured.get(key, 0.)) * protocol.get('scale', 1.), 4)
    return values


def _step(checkpoint: str) -> int:
    """The iteration (or epoch) in the name of a checkpoint."""
    return int(re.findall(r'(?:iter|epoch)_(\d+)', osp.basename(checkpoint))[-1])


def _num_images(dataset: Any) -> int:
    """Images of a dataset without repetitions."""
    inner = getattr(dataset, 'dataset', None)
    repeated = inner is not None and len(dataset) >= len(inner)
    return _num_images(inner) if repeated else len(dataset)


def train_logged(run: StudentRun) -> Optional[str]:
    """Train with all output in the log file; returns one line where it failed.

    A student that another evaluation in the same folder is training is waited for.
    """
    def is_trained() -> bool:
        return osp.isfile(run.result_file)

    with alone(osp.join(run.work_dir, LOCK), is_trained, needed=False):
        if is_trained():
            return None
        if osp.isfile(run.log_file) and not osp.isfile(run.resume_file):
            os.remove(run.log_file)  # of a training that begins again
        return work_quietly(run.log_file, None, train_student, run)
