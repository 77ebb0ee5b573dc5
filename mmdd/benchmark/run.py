"""Several methods side by side: distill each, train students on all, one report."""
import os.path as osp
from datetime import UTC, datetime
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from mmengine.config import Config

from mmdd.datasets.manifest import versions
from mmdd.engine.prepare import prepare
from mmdd.protocols.protocol import FULL, read_protocol, set_content, set_files
from mmdd.protocols.sets import check_job_fits
from mmdd.protocols.settings import protocol_settings
from mmdd.protocols.student import describe_runs, evaluate_sets, plan_runs
from mmdd.protocols.summary import summarize, warnings_of
from mmdd.protocols.teacher import ensure_teacher
from mmdd.protocols.workers import kept_workers
from mmdd.utils.cli import BAD_INPUT, one_line
from mmdd.utils.config import ConfigType, plain
from mmdd.utils.machine import commit, machine_facts
from .report.paper_values import paper_entry, paper_values, read_metrics
from .report.set_facts import proxy_facts, set_facts
from .report.tables import robust_scores
from .report.write import write_benchmark
from .set_jobs import Plan, SetJob, distill_sets, is_deterministic, plan_sets
from .suite import Arm, Group, add_random_arms, load_groups

FULL_ARM = 'Full'


def benchmark(arms: Union[Mapping[str, Any], Sequence[Group]],
              work_dir: str,
              seeds: Sequence[int] = (0, 1, 2),
              full: bool = False,
              jobs: Optional[int] = None,
              cfg_options: Optional[dict] = None,
              full_seeds: Optional[Sequence[int]] = None,
              sets: int = 1,
              students: Union[str, Sequence[str]] = 'default',
              embedding: Optional[str] = 'tsne',
              title: str = 'Benchmark',
              command: str = '') -> Dict[str, Any]:
    """Distill every arm, train students on each set, and write tables, plots and a report.

    Everything that is finished is kept and skipped in the next run. A random arm
    is added for every budget that has none.

    Args:
        arms: Config file by name of the arm (entries of :func:`read_arm`), or
            groups of :func:`read_suite`.
        work_dir: Where everything goes: sets in ``<arm>/seed<k>``, students in
            ``students``, ``results.json``, ``results.md``, ``plots`` and
            ``report.html``.
        seeds: One student is trained for each set and seed.
        full: Whether to train students on the full real set as well.
        jobs: Students that are trained at once; as many as there are cores
            if None. 0 does everything in this process.
        cfg_options: Dotted options merged into every distillation config.
        full_seeds: Seeds of the full real set, the slowest arm; ``seeds`` if None.
        sets: Generated sets per arm. The papers' tables use 3, with 5 students on each.
        students: See :meth:`Group.students`.
        embedding: 'tsne', 'umap' or None: the map of real and distilled features.
        title: Heading of the report.
        command: The command line, for the report.

    Returns:
        dict: The content of ``results.json``.

    Raises:
        ValueError: If arms do not fit together, or something failed; what is
            finished is in the report then.
    """
    plan = make_plan(arms, work_dir, sets, cfg_options)
    for group, _ in plan:
        group.students(students)
        group.full = bool(full or group.full)
    results = dict(
        _head(title, command), groups=[], settings=dict(
            sets=sets, seeds=list(seeds), students=students, full_seeds=full_seeds,
            cfg_options=plain(cfg_options or {})))
    distill_sets(plan, spawn=jobs != 0)
    with kept_workers():
        for group, members in plan:
            print(f'== {group.name}', flush=True)
            results['groups'].append(measure_group(
                group, members, osp.join(work_dir, 'students'), seeds, jobs, full_seeds,
                students))
            write_benchmark(results, work_dir, embedding=None, report=False)
    results['created'] = _now()
    write_benchmark(results, work_dir, embedding=embedding)
    check_failures(results, work_dir)
    return results


def make_plan(arms: Union[Mapping[str, Any], Sequence[Group]], work_dir: str, sets: int,
              cfg_options: Optional[dict] = None) -> Plan:
    """Groups with their random arms, and the sets of all arms.

    Raises:
        ValueError: If arms do not fit together, or not the protocol of their group.
    """
    groups = load_groups(arms, cfg_options)
    for group in groups:
        protocol = group.protocol
        for arm in group.arms:
            try:
                check_job_fits(arm.cfg, protocol)
            except ValueError as error:
                raise ValueError(f'{group.name}, {arm.name}: {error}') from None
        for arm in add_random_arms(group):
            print(f'{group.name}: no random baseline at {arm.budget}; {arm.name!r} is added',
                  flush=True)
    return plan_sets(groups, work_dir, sets)


def measure_group(group: Group, members: List[SetJob], work_dir: str, seeds: Sequence[int],
                  jobs: Optional[int], full_seeds: Optional[Sequence[int]],
                  students: Union[str, Sequence[str]]) -> Dict[str, Any]:
    """Train the students of a group.

    Returns:
        dict: The group's part of ``results.json``.
    """
    protocol = group.protocol
    facts = {id(job): _facts(job) for job in members}
    content = dict(
        name=group.name, task=protocol.protocol.task,
        metrics=list(protocol.protocol.metrics), full=group.full,
        ablation=list(group.ablation), students=[], repeats=[], failures=[
            f'{job.arm.name} seed {job.seed}: {job.error}' for job in members if job.error])
    for name, source in group.students(students).items():
        try:
            student = _measure(group, members, source, work_dir, seeds, jobs, full_seeds, content)
        except BAD_INPUT as error:  # a group must not end the others
            content['failures'].append(f'students{f" {name}" if name else ""}: {one_line(error)}')
            continue
        content['students'].append(dict(student, student=name))
    content['arms'] = [_arm_content(arm, [(job, facts[id(job)]) for job in members
                                          if job.arm is arm], content['metrics'], group, students)
                       for arm in group.arms]
    if group.full:
        content['arms'].append(dict(
            arm=FULL_ARM, method=FULL_ARM, budget='all', config='', added=False, sets=[],
            sweep=None, paper=_paper(FULL_ARM, '', content['metrics'], group,
                                     group.students(students))))
    content['scores'] = robust_scores(content)
    return content


def _measure(group: Group, members: List[SetJob], source: ConfigType, work_dir: str,
             seeds: Sequence[int], jobs: Optional[int], full_seeds: Optional[Sequence[int]],
             content: Dict[str, Any]) -> Dict[str, Any]:
    cfg = read_protocol(source)
    prepare(cfg)
    cfg = ensure_teacher(cfg, work_dir)
    sets = arm_sets(group, [job for job in members if not job.error], bool(group.full))
    for arm, folders in list(sets.items()):
        try:
            sets[arm] = distinct_sets(cfg, folders)
        except BAD_INPUT as error:
            content['failures'].append(f'{arm}: {one_line(error)}')
            del sets[arm]
            continue
        line = (f'{arm}: {len(folders)} sets hold {len(sets[arm])} different ones; each is '
                f'trained on once')
        if len(sets[arm]) < len(folders) and line not in content['repeats']:
            content['repeats'].append(line)
    if not sets:
        raise ValueError('no set is there to train on')
    planned = plan_runs(sets, cfg, work_dir, seeds, full_seeds)
    settings = protocol_settings(planned, cfg.protocol.task)
    print('\n'.join(describe_runs(planned)), flush=True)
    runs = evaluate_sets(sets, cfg, work_dir, seeds, jobs, full_seeds)
    content['failures'] += [f'{run["arm"]} student {run["seed"]}: {run["error"]}; see '
                            f'{run["log"]}' for run in runs if 'error' in run]
    return dict(rows=summarize(runs), runs=runs, settings=settings, config=cfg.pretty_text,
                warnings=warnings_of(runs, cfg.protocol.task))


def arm_sets(group: Group, members: List[SetJob], full: bool) -> Dict[str, List[str]]:
    """Folders of finished sets by arm; 'full' for the full real set."""
    sets: Dict[str, List[str]] = {}
    for arm in group.arms:
        folders = [job.folder for job in members if job.arm is arm and job.done]
        if folders:
            sets[arm.name] = folders
    if full:
        sets[FULL_ARM] = [FULL]
    return sets


def distinct_sets(protocol: Config, folders: Sequence[str]) -> List[str]:
    """Check sets and leave out those whose content an earlier one has.

    Raises:
        FileNotFoundError: See :func:`set_content`.
        ValueError: See :func:`set_content`.
    """
    found: Dict[str, str] = {}
    for folder in folders:
        content = set_content(protocol, folder)
        found.setdefault(set_files(protocol, folder, content)['sha256'], folder)
    return list(found.values())


def _facts(job: SetJob) -> Optional[Dict[str, Any]]:
    """Facts of a job's set; None, and its error, where it has none."""
    try:
        return None if job.error else set_facts(job.folder)
    except BAD_INPUT as error:
        job.error = one_line(error)
        return None


def _arm_content(arm: Arm, jobs: Sequence[Tuple[SetJob, Any]], metrics: Sequence[str],
                 group: Group, students: Union[str, Sequence[str]]) -> Dict[str, Any]:
    first = jobs[0][0]
    return dict(
        arm=arm.name, method=arm.method, budget=arm.budget, config=arm.config_name,
        added=arm.added, deterministic=is_deterministic(arm.cfg),
        sweep=plain(arm.sweep), options=plain(arm.options),
        reference={key: value for key, value in paper_entry(arm.config_name).items()
                   if key in ('name', 'collection', 'title', 'url', 'source')},
        proxy=proxy_facts(first.checkpoint),
        paper=_paper(arm.name, arm.config_name, metrics, group, group.students(students)),
        sets=[dict(seed=job.seed, folder=osp.relpath(job.folder), error=job.error,
                   facts=facts) for job, facts in jobs],
        dataset=plain(arm.cfg.train_dataloader.dataset),
        image_size=plain(arm.cfg.model.get('image_size', 224)),
        proxy_config=plain(arm.cfg.model.get('proxy')), checkpoint=first.checkpoint)


def _paper(arm: str, config: str, metrics: Sequence[str], group: Group,
           students: Sequence[str]) -> Dict[str, Dict[str, Any]]:
    """The paper's values by student: of the suite, else of the metafile."""
    own = read_metrics(group.paper.get(arm), metrics)
    found: Dict[str, Dict[str, Any]] = {}
    for student in students:
        found[student] = paper_values(config, metrics, student) if config else {}
        if len(found) == 1:  # the configs' own student: entries without a name are its
            unnamed = paper_values(config, metrics) if config else {}
            found[student] = {**unnamed, **found[student], **own}
    return found


def failures(results: Mapping[str, Any]) -> List[str]:
    """One line for everything that failed, group by group."""
    return [f'{group["name"]}: {line}' for group in results['groups']
            for line in group['failures']]


def check_failures(results: Mapping[str, Any], work_dir: str) -> None:
    """Say in one line that something failed.

    Raises:
        ValueError: If anything did.
    """
    failed = failures(results)
    if failed:
        raise ValueError(f'{len(failed)} parts failed, the rest is in '
                         f'{osp.join(work_dir, "report.html")}; the first: {failed[0]}')


def _head(title: str, command: str) -> Dict[str, Any]:
    return dict(title=title, command=command, created=_now(), commit=commit(),
                machine=machine_facts(), versions=versions())


def _now() -> str:
    return datetime.now(UTC).strftime('%Y-%m-%d %H:%M UTC')
