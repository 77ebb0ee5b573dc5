"""A whole job on a few images, with random tiny networks: does every step work?"""
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Iterator, List, Optional, Tuple

from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from mmdd.datasets.checks import EMPTY
from mmdd.datasets.manifest import read_manifest
from mmdd.engine.distill_job import read_job, run_distillation
from mmdd.engine.preflight import build_set_stages, check_budget, check_writable
from mmdd.engine.prepare import prepare
from mmdd.protocols.protocol import read_protocol
from mmdd.protocols.recipes.lengths import num_updates
from mmdd.protocols.student import plan_runs, read_result
from mmdd.protocols.training import train_student
from mmdd.registry import TASK_UTILS
from mmdd.utils.cli import BAD_INPUT, one_line
from mmdd.utils.compat import setup, without_coco_tables
from mmdd.utils.config import ConfigType, load_config
from .projection import Pace, project
from .shrink import cut_dataset, evenly, shrink_job, shrink_training, spread


def dry_distill(config: ConfigType, work_dir: Optional[str] = None,
                cfg_options: Optional[dict] = None,
                pace: Optional[Pace] = None) -> List[str]:
    """Run a distillation job small: every step on a few images, the networks tiny and random.

    The real set is cut to a few dozen images, the diffusion is random and tiny, a proxy gets two
    updates, and so does one student of the job's protocol. Nothing is downloaded, and nothing is
    written but in a folder of its own.

    Args:
        config: Config file or dict.
        work_dir: Keeps that folder there; None removes it.
        cfg_options: Dotted options merged into the config.
        pace: How fast images of the job itself are made, to say how long it will take.

    Returns:
        list: What was done, and what the job itself would do, one line each.

    Raises:
        ValueError: If a step fails; the message names it.
    """
    setup()
    begin, real = time.perf_counter(), read_job(config, cfg_options)
    with scratch_folder(work_dir) as scratch:
        with stage('config', scratch):
            cfg, left_out = shrink_job(real, scratch)
        with stage('data', scratch):
            prepare(cfg)
            ahead = describe_job(real, pace)
            cut_dataset(cfg.train_dataloader.dataset,
                        partial(spread, number=cfg.train_cfg.budget.get('n', 0)))
        with stage('distill', scratch):
            cfg.work_dir = scratch
            folder = run_distillation(cfg)
        lines = [describe_set(folder)]
        with stage('student', scratch):
            lines.append(train_one(real, folder, scratch))
    seconds = time.perf_counter() - begin
    return [*lines, *(f'left out: {line}' for line in left_out), *ahead,
            f'dry run passed in {seconds:.0f} s']


@contextmanager
def scratch_folder(work_dir: Optional[str]) -> Iterator[str]:
    """A new folder; removed at the end where it is nobody's and nothing failed."""
    if work_dir is not None:
        check_writable(work_dir)
    folder = tempfile.mkdtemp(prefix='dry_run_', dir=work_dir)
    yield folder
    if work_dir is None:
        shutil.rmtree(folder)


@contextmanager
def stage(name: str, scratch: str) -> Iterator[None]:
    """Say where a failure comes from."""
    try:
        yield
    except BAD_INPUT as error:
        raise ValueError(f'dry run, {name}: {one_line(error)} (what was made so far is in '
                         f'{scratch})') from error


def describe_set(folder: str) -> str:
    """What was made, from its manifest."""
    manifest = read_manifest(folder)
    return (f'made {manifest["budget_asked"]} images of {len(manifest["classes"])} classes by '
            f'{manifest["method"]}, {manifest["budget_met"]} pass')


def train_one(real: Config, folder: str, scratch: str) -> str:
    """Train one student of the job's protocol for a few updates.

    Args:
        real: Config of the whole job.
        folder: The set that was made.
        scratch: Where the student goes.

    Returns:
        str: What it came to, or why none was trained.
    """
    if (real.get('evaluation') or {}).get('protocol') is None:
        return 'no student: the config names no evaluation.protocol'
    protocol = read_protocol(real)
    if 'teacher' in (protocol.protocol.get('schedule') or {}):
        return 'no student: its labels come from a teacher, which would have to be trained first'
    prepare(shrink_training(protocol, scratch))
    run, = plan_runs({'dry': folder}, protocol, scratch, seeds=[0])
    student = shrink_training(Config(run.config), scratch)
    cut_dataset(student.test_dataloader.dataset, evenly)
    run = replace(run, config=student.to_dict())
    with without_coco_tables():
        train_student(run)
    result = read_result(run)
    assert result is not None, f'{run.result_file} is there'
    metrics = ', '.join(f'{name} {value:.1f}' for name, value in result.last.items())
    return f'trained a student for {result.updates} updates and tested it ({metrics})'


def describe_job(cfg: Config, pace: Optional[Pace] = None) -> List[str]:
    """What the job itself would make, from its config and its real set.

    Raises:
        ValueError: If the budget does not fit the real set.
    """
    number, classes, asked = _budget(cfg)
    model, lines = cfg.model, []
    line = f'the job makes {asked:,} images for {number:,} real ones of {classes} classes'
    diffusion = model.get('diffusion')
    if diffusion is not None:
        steps = diffusion.get('steps', 50)
        branches = 2 if diffusion.get('cfg_scale', 7.5) > 1 else 1
        line += (f', in at most {_rounds(cfg)}: {asked:,} x {steps} '
                 f'steps x {branches} = {asked * steps * branches:,} denoiser evaluations each')
        lines += _missing_weights(diffusion)
    lines.insert(0, line)
    for name in ('proxy', 'judge'):
        network = model.get(name)
        if network is None or network.get('cfg') is None or not hasattr(
                load_config(network.cfg), 'train_cfg'):
            continue
        checkpoint = network.get('checkpoint')
        if checkpoint is None or not os.path.isfile(checkpoint):
            updates = num_updates(load_config(network.cfg), number)
            lines.append(f'the {name} is trained first: {updates:,} updates')
    lines += _student_updates(cfg, asked, classes)
    if pace is not None:
        # Without refiners only an attempt that fails is followed by another one.
        rounds = cfg.train_cfg.get('max_rounds', 3) if model.get('refiners') else 1
        lines += project(_slots(cfg, asked), rounds, pace)
    return lines


def _budget(cfg: Config) -> Tuple[int, int, int]:
    """Images and classes of the real set, and images of the budget."""
    node = cfg.train_dataloader.dataset
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdd'):
        dataset = DATASETS.build(node)
        if not len(dataset):
            raise ValueError(EMPTY)
        classes = len(dataset.metainfo.get('classes') or ())
        budget = TASK_UTILS.build(cfg.train_cfg.budget)
        return len(dataset), classes, check_budget(budget, dataset, classes)


def _slots(cfg: Config, asked: int) -> int:
    """Slots of a plan for so many images of the set."""
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdd'):
        return build_set_stages(cfg).slots(asked)


def _rounds(cfg: Config) -> str:
    number = cfg.train_cfg.get('max_rounds', 3)
    return f'{number} round{"s" if number > 1 else ""}'


def _missing_weights(diffusion: Any) -> List[str]:
    """Where weights come from that are not in a local folder; the hub is not asked."""
    source = diffusion.get('pretrained')
    if source is None or source.startswith('mmdd::') or os.path.isdir(source):
        return []
    return [f'the weights {source} are no local folder: they come from the hub, or from its cache']


def _student_updates(cfg: Config, images: int, classes: int) -> List[str]:
    if (cfg.get('evaluation') or {}).get('protocol') is None:
        return []
    protocol = read_protocol(cfg)
    rule = protocol.protocol.get('schedule')
    if rule is not None:
        TASK_UTILS.build(rule).apply(protocol, images, classes)
    return [f'a student gets {num_updates(protocol, images):,} updates']
