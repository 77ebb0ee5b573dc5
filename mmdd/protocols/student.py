"""Students: which sets, seeds and rates, planned once, and their jobs and results."""
import os.path as osp
from dataclasses import asdict, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from mmengine.config import Config

from mmdd.datasets.manifest import read_manifest
from mmdd.utils.config import ConfigType
from mmdd.utils.jobs import Job, run_jobs
from mmdd.utils.state import read_state
from mmdd.utils.typed_json import from_json
from .lr_search import best_rates, search_protocol
from .protocol import content_hash, read_protocol, run_key, student_config
from .results import Run, is_random_method
from .sets import FULL, protocol_classes, set_content
from .settings import protocol_settings
from .student_check import check_student
from .training import StudentRun, prepare_student, train_logged

# Folder of each set by name; several folders are generated sets of one method; 'full'.
Sets = Mapping[str, Union[str, Sequence[str]]]
# What a result file holds at least.
RESULT = {'images', 'seed', 'updates', 'seconds', 'last', 'best'}


def evaluate_sets(sets: Sets,
                  protocol: ConfigType,
                  work_dir: str,
                  seeds: Sequence[int] = (0, 1, 2),
                  jobs: Optional[int] = None,
                  full_seeds: Optional[Sequence[int]] = None,
                  lr_grid: Optional[Sequence[float]] = None,
                  require_random: bool = False) -> List[Run]:
    """Train students on every set with every seed and test them on real data.

    Finished runs are kept in ``<work_dir>/runs/<key>.json`` and skipped the next
    time. Every worker uses one CPU thread, so the results do not depend on
    the number of workers.

    Args:
        sets: Folder of each set by name, or a list of folders: the generated sets of
            one method, each with a student per seed (the papers' tables have 3 sets
            and 5 students); 'full' for the protocol's real set.
        protocol: See :func:`read_protocol`; its data and weights must be there.
        work_dir: Where the runs go.
        seeds: Seeds of the trainings.
        jobs: Worker processes; one per GPU, or per CPU core, if None. 0 trains
            in this process.
        full_seeds: Seeds of the full real set, which is the slowest; ``seeds`` if None.
        lr_grid: Learning rates, of which each method takes the best; see :func:`pick_rates`.
            None keeps the protocol's.
        require_random: Whether every budget must have a baseline of random real images.

    Returns:
        list[Run]: One per set and seed; a failed one has ``error`` and ``log``.

    Raises:
        FileNotFoundError: If a set is incomplete.
        ValueError: If a set or the protocol is unusable, or a random baseline is missing.
    """
    cfg = read_protocol(protocol)
    missing = missing_random(sets, cfg) if require_random else {}
    if missing:
        names = ', '.join(f'{method} ({n} images)' for method, n in missing.items())
        raise ValueError(f'no baseline of random real images beside {names}: add one of the same '
                         f'size (model=dict(type="RandomCoreset"))')
    rates = pick_rates(sets, cfg, work_dir, seeds, jobs, lr_grid) if lr_grid else None
    runs = plan_runs(sets, cfg, work_dir, seeds, full_seeds, rates)
    return train_runs(runs, jobs)


def plan_runs(sets: Sets, protocol: ConfigType, work_dir: str,
              seeds: Sequence[int],
              full_seeds: Optional[Sequence[int]] = None,
              rates: Optional[Mapping[str, Optional[float]]] = None) -> List[StudentRun]:
    """Check every set and list the runs, set by set; arguments as of :func:`evaluate_sets`.

    ``rates`` are learning rates by method; None keeps the protocol's.

    Raises:
        FileNotFoundError: If a set is incomplete.
        ValueError: If a set or the protocol is unusable, there is nothing to train, or a seed or
            a folder is given twice.
    """
    cfg = read_protocol(protocol)
    for given in (seeds, full_seeds or ()):
        if len(set(given)) < len(given):
            raise ValueError(f'a seed that is given twice trains one student, not two: '
                             f'{" ".join(map(str, given))}; give different seeds')
    runs = []
    for method, folder in method_folders(sets):
        content = set_content(cfg, folder)
        digest, rate = content_hash(folder, content), (rates or {}).get(method)
        for seed in seeds if folder != FULL or full_seeds is None else full_seeds:
            student = student_config(cfg, folder, seed, content, rate)
            key = run_key(student, digest, seed)
            runs.append(StudentRun(
                key, method, folder, seed, content.images, student.to_dict(),
                dict(cfg.protocol.to_dict(), num_classes=len(protocol_classes(cfg) or ())),
                osp.join(work_dir, 'runs', key), rate))
    if not runs:
        raise ValueError('nothing to evaluate: no sets or no seeds')
    return runs


def method_folders(sets: Sets) -> List[tuple]:
    """(method, folder) of every set; ValueError if a method has none, or the same one twice."""
    pairs = []
    for method, given in sets.items():
        folders = [given] if isinstance(given, str) else list(given)
        if not folders or len(set(map(osp.normpath, folders))) < len(folders):
            wrong = 'a folder is twice' if folders else 'no folder'
            raise ValueError(f'method {method}: {wrong} in its sets ({", ".join(folders)})')
        pairs += [(method, folder) for folder in folders]
    return pairs


def pick_rates(sets: Sets, protocol: ConfigType, work_dir: str, seeds: Sequence[int],
               jobs: Optional[int], lr_grid: Sequence[float]) -> Dict[str, Optional[float]]:
    """The learning rate of each method: the best of a grid, on no test image.

    One student with the first seed is trained for each rate on the first set of each method;
    they are kept and skipped like all runs. The arguments are those of :func:`evaluate_sets`.
    None, the protocol's, stands where all trainings failed.
    """
    cfg, how = search_protocol(read_protocol(protocol))
    first = {method: folder if isinstance(folder, str) else folder[0]
             for method, folder in sets.items()}
    runs = [run for rate in lr_grid
            for run in plan_runs(first, cfg, work_dir, seeds[:1],
                                 rates={method: rate for method in first})]
    print(f'{how}, {len(lr_grid)} rates for each of {len(first)} methods', flush=True)
    rates = best_rates(train_runs(runs, jobs))
    for method, rate in rates.items():
        print(f'{method}: ' + ("all rates failed, the protocol's is kept" if rate is None
                            else f'lr {rate:g}'), flush=True)
    return rates


def missing_random(sets: Sets, protocol: ConfigType) -> Dict[str, int]:
    """Methods without a baseline of as many random real images, with their number.

    A method is random if the manifests of its sets name ``RandomCoreset``. Errors are those of
    :func:`set_content`.
    """
    cfg, random = read_protocol(protocol), set()
    images: Dict[str, Any] = {}
    for method, folder in method_folders(sets):
        if folder != FULL:
            images.setdefault(method, set_content(cfg, folder).images)
            if is_random_method(read_manifest(folder).get('method')):
                random.add(images[method])
    return {method: number for method, number in images.items() if number not in random}


def train_runs(runs: Sequence[StudentRun], jobs: Optional[int]) -> List[Run]:
    """Train what is not finished of :func:`plan_runs`, after a look at the first network.

    Returns the results of all, see :func:`evaluate_sets`; errors are those of
    :func:`check_student`.
    """
    pending = list({run.key: run for run in runs if read_result(run) is None}.values())
    if len(pending) < len(runs):
        print(f'{len(runs) - len(pending)} of {len(runs)} runs are finished already', flush=True)
    if pending:
        check_network(pending[0])
    labels: Dict[str, Job] = {}
    for run in pending:
        if run.folder not in labels and (job := label_job(run)):
            labels[run.folder] = job
    students = [replace(student_job(run), needs=[labels[run.folder].name]
                        if run.folder in labels else ()) for run in pending]
    errors = run_jobs([*labels.values(), *students], jobs)
    return [run_result(run, errors.get(run.key)) for run in runs]


def check_network(run: StudentRun) -> None:
    """Check the network of a run, for all of its protocol: see :func:`check_student`."""
    check_student(Config(run.config), run.protocol['num_classes'])


def student_job(run: StudentRun) -> Job:
    """The job that trains a student; the full real set takes longest and goes first."""
    rate = '' if run.lr is None else f' lr {run.lr:g}'
    return Job(run.key, f'{run.method} seed {run.seed}{rate}', train_logged, (run, ),
               target=run.result_file, log=run.log_file, order=(run.folder != FULL, ),
               result=lambda: _brief(run_result(run, None)))


def label_job(run: StudentRun) -> Optional[Job]:
    """The job that writes the stored soft labels of a run's set, before several students would."""
    if run.config.get('soft_labels') is None:
        return None
    return Job(f'labels {run.key}', f'{run.method}: soft labels', _write_labels, (run, ),
               lock='labels', threads=None, alone=True)


def _write_labels(run: StudentRun) -> None:
    prepare_student(run.config, run.evaluation_dir)


def read_result(run: StudentRun) -> Optional[Run]:
    """The result of a finished run; a metric that is null in its file was not finite.

    None of others, and where the file is damaged and set aside.
    """
    def result(content: Dict[str, Any]) -> Run:
        identity = _identity(run, content['images'])
        return from_json(Run, {**asdict(Run(**identity)), **content, **identity}, run.result_file)

    content = read_state(run.result_file,
                         lambda content: RESULT <= set(content) and bool(result(content)),
                         'the student is trained again')
    return None if content is None else result(content)


def _identity(run: StudentRun, images: Optional[int] = None) -> Dict[str, Any]:
    """What a result is of: nothing of it is measured."""
    regime, mib = run.label_facts(images)
    return dict(method=run.method, set=run.folder, seed=run.seed, key=run.key, lr=run.lr,
                regime=regime, label_mib=mib)


def run_result(run: StudentRun, error: Optional[str]) -> Run:
    """The result of a run that is finished, or that failed."""
    if error:
        return Run(**_identity(run), error=error, log=run.log_file)
    result = read_result(run)
    assert result is not None, f'{run.result_file} is there'
    return result


def _brief(result: Run) -> str:
    values = ' '.join(f'{name} {value:.1f}' for name, value in result.last.items())
    return f'{values} ({result.updates} updates, {result.seconds:.0f} s)'


def describe_runs(runs: Sequence[StudentRun]) -> List[str]:
    """What will be trained, before it starts: the shared settings, then one line per method."""
    settings = protocol_settings(runs, runs[0].protocol['task'])
    folders = {method: list(dict.fromkeys(run.folder for run in runs if run.method == method))
               for method in settings.methods}
    return settings.shared_lines + [
        f'{own.line(method, len(folders[method]))}, {", ".join(folders[method])}'
        for method, own in settings.methods.items()]
