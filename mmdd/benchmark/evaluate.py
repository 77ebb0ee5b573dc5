"""From sets to a table of what students learn from them."""
from typing import Any, Dict, List, Optional, Sequence

from mmengine.config import Config

from mmdd.engine.prepare import prepare
from mmdd.protocols import MethodRuns, Run, by_method, evaluate_sets
from mmdd.protocols.protocol import FULL, read_protocol, set_content
from mmdd.protocols.results import warnings_of
from mmdd.protocols.settings import protocol_settings
from mmdd.protocols.student import Sets, describe_runs, method_folders, plan_runs, train_runs
from mmdd.protocols.teacher import ensure_teacher
from mmdd.protocols.training import StudentRun
from mmdd.utils.config import ConfigType, load_config
from .random_baseline import with_random
from .report.evaluation import write_evaluation
from .results import StudentResult


def evaluate(protocol: ConfigType,
             sets: Sets,
             work_dir: str,
             seeds: Sequence[int] = (0, 1, 2),
             jobs: Optional[int] = None,
             cfg_options: Optional[Dict[str, Any]] = None,
             full_seeds: Optional[Sequence[int]] = None,
             random: bool = True,
             lr_grid: Optional[Sequence[float]] = None) -> Dict[str, MethodRuns]:
    """Train students on every set, test them on real data, write the table.

    Args:
        protocol: Student protocol, or a distillation config that names one in
            ``evaluation.protocol``.
        sets: Folder of each set by name, or the folders of several generated sets of one
            method; 'full' for the protocol's real set.
        work_dir: Where ``results.json``, ``results.md`` and the runs go. Finished
            runs are skipped, so calling it again resumes it.
        seeds: One student is trained per set and seed.
        jobs: Students that are trained at once; as many as there are GPUs, or
            CPU cores, if None.
        cfg_options: Dotted options merged into the protocol.
        full_seeds: Seeds of the full real set, which is the slowest; ``seeds`` if None.
        random: Whether to add a baseline of random real images for each size that has none.
            Takes a distillation config; its real set and writer are used. The sets are kept
            in ``<work_dir>/random``.
        lr_grid: Learning rates of which each method takes the best, see
            :func:`mmdd.protocols.student.pick_rates`.

    Returns:
        dict: The runs of each method by its name.

    Raises:
        FileNotFoundError: If the protocol is missing, or a set is incomplete.
        ValueError: If a set or the protocol is unusable, or a run failed; the
            finished runs are in the report then.
    """
    source = load_config(protocol)
    cfg = read_protocol(source if source.get('evaluation') else protocol, cfg_options)
    folders = [folder for _, folder in method_folders(sets)]
    for folder in folders:
        if folder != FULL:  # which may not be prepared yet
            set_content(cfg, folder)
    prepare(cfg)
    cfg = ensure_teacher(cfg, work_dir, folders[0] if folders else None)
    notes: List[str] = []
    if random:
        sets, notes = with_random(source, cfg, sets, work_dir, jobs)
    # At the protocol's own rate: every set is checked before hours go into a search for others.
    planned = plan_runs(sets, cfg, work_dir, seeds, full_seeds)
    print('\n'.join([*describe_runs(planned), *notes]), flush=True)
    runs = train_runs(planned, jobs) if not lr_grid else evaluate_sets(
        sets, cfg, work_dir, seeds, jobs, full_seeds, lr_grid)
    student = student_result('', cfg, planned, runs)
    write_evaluation(student, work_dir, f'Students, {len(seeds)} seeds', notes)
    failed = [run for run in student.runs if run.error]
    if failed:
        raise ValueError(f'{len(failed)} of {len(student.runs)} runs failed; the first: '
                         f'{failed[0].method} seed {failed[0].seed}: {failed[0].error}; '
                         f'see {failed[0].log}')
    return student.methods


def student_result(name: str, protocol: Config, planned: Sequence[StudentRun],
                   runs: Sequence[Run]) -> StudentResult:
    """What the students of one kind made of all sets, from runs of :func:`plan_runs`."""
    task = protocol.protocol.task
    return StudentResult(name, protocol.pretty_text, protocol_settings(planned, task), list(runs),
                         warnings_of(by_method(runs), task))
