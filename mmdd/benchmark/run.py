"""Several methods side by side: distill each, train students on all, one report."""
import os.path as osp
from datetime import UTC, datetime
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from mmdd.datasets.manifest import versions
from mmdd.protocols.adapters import check_job_fits
from mmdd.protocols.protocol import FULL
from mmdd.protocols.settings import protocol_settings
from mmdd.protocols.student import describe_runs, run_row
from mmdd.protocols.summary import summarize, warnings_of
from mmdd.utils.cli import BAD_INPUT, one_line
from mmdd.utils.config import plain
from mmdd.utils.machine import commit, machine_facts
from .jobs import FULL_METHOD, Suite, Trained
from .methods import Method
from .report.paper_values import paper_entry, paper_values, read_metrics
from .report.set_facts import proxy_facts, set_facts
from .report.tables import robust_scores
from .report.write import write_benchmark
from .set_jobs import Plan, SetJob, is_deterministic, plan_sets
from .suite import Group, add_random_baselines, load_groups


def benchmark(methods: Union[Mapping[str, Any], Sequence[Group]],
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
    """Distill every method, train students on each set, and write tables, plots and a report.

    Everything that is finished is kept and skipped in the next run. A random baseline
    is added for every budget that has none.

    Args:
        methods: Config file by name of the method (entries of :func:`read_method`), or
            groups of :func:`read_suite`.
        work_dir: Where everything goes: sets in ``<method>/seed<k>``, students in
            ``students``, ``results.json``, ``results.md``, ``plots`` and
            ``report.html``.
        seeds: One student is trained for each set and seed.
        full: Whether to train students on the full real set as well.
        jobs: Students that are trained at once; as many as there are cores
            if None. 0 does everything in this process.
        cfg_options: Dotted options merged into every distillation config.
        full_seeds: Seeds of the full real set, the slowest method; ``seeds`` if None.
        sets: Generated sets per method. The papers' tables use 3, with 5 students on each.
        students: See :meth:`Group.students`.
        embedding: 'tsne', 'umap' or None: the map of real and distilled features.
        title: Heading of the report.
        command: The command line, for the report.

    Returns:
        dict: The content of ``results.json``.

    Raises:
        ValueError: If methods do not fit together, or something failed; what is
            finished is in the report then.
    """
    plan = make_plan(methods, work_dir, sets, cfg_options)
    for group, _ in plan:
        group.students(students)
        group.full = bool(full or group.full)
    results = dict(
        _head(title, command), groups=[], settings=dict(
            sets=sets, seeds=list(seeds), students=students, full_seeds=full_seeds,
            cfg_options=plain(cfg_options or {})))
    suite = Suite(plan, osp.join(work_dir, 'students'), seeds, full_seeds, students, jobs)
    suite.run()
    for group, members in plan:
        print(f'== {group.name}', flush=True)
        results['groups'].append(measure_group(suite, group, members, students))
    results['created'] = _now()
    write_benchmark(results, work_dir, embedding=embedding)
    check_failures(results, work_dir)
    return results


def make_plan(methods: Union[Mapping[str, Any], Sequence[Group]], work_dir: str, sets: int,
              cfg_options: Optional[dict] = None) -> Plan:
    """Groups with their random baselines, and the sets of all methods.

    Raises:
        ValueError: If methods do not fit together, or not the protocol of their group.
    """
    groups = load_groups(methods, cfg_options)
    for group in groups:
        protocol = group.protocol
        for method in group.methods:
            try:
                check_job_fits(method.cfg, protocol)
            except ValueError as error:
                raise ValueError(f'{group.name}, {method.name}: {error}') from None
        for method in add_random_baselines(group):
            print(f'{group.name}: no random baseline at {method.budget}; {method.name!r} is added',
                  flush=True)
    return plan_sets(groups, work_dir, sets)


def measure_group(suite: Suite, group: Group, members: List[SetJob],
                  students: Union[str, Sequence[str]]) -> Dict[str, Any]:
    """What a benchmark made of a group.

    Returns:
        dict: The group's part of ``results.json``.
    """
    protocol = group.protocol
    facts = {id(job): _facts(job) for job in members}
    content = dict(
        name=group.name, task=protocol.protocol.task,
        metrics=list(protocol.protocol.metrics), full=group.full,
        ablation=list(group.ablation), students=[], repeats=[], failures=[
            f'{job.method.name} seed {job.seed}: {job.error}' for job in members if job.error])
    for name, source in group.students(students).items():
        try:
            student = _measure(suite.trained(group, members, source), content)
        except BAD_INPUT as error:  # a group must not end the others
            content['failures'].append(f'students{f" {name}" if name else ""}: {one_line(error)}')
            continue
        content['students'].append(dict(student, student=name))
    content['methods'] = [
        _method_content(method, [(job, facts[id(job)]) for job in members if job.method is method],
                        content['metrics'], group, students)
        for method in group.methods]
    if group.full:
        content['methods'].append(dict(
            method=FULL_METHOD, curve=FULL_METHOD, budget='all', config='', added=False, sets=[],
            sweep=None, paper=_paper(FULL_METHOD, '', content['metrics'], group,
                                     group.students(students))))
    content['scores'] = robust_scores(content)
    return content


def _measure(trained: Trained, content: Dict[str, Any]) -> Dict[str, Any]:
    content['failures'] += trained.failures
    content['repeats'] += [line for line in trained.repeats if line not in content['repeats']]
    if not trained.runs:
        raise ValueError('no set is there to train on')
    cfg = trained.config
    print('\n'.join(describe_runs(trained.runs)), flush=True)
    runs = [run_row(run, trained.errors.get(run.key)) for run in trained.runs]
    content['failures'] += [f'{run["method"]} student {run["seed"]}: {run["error"]}; see '
                            f'{run["log"]}' for run in runs if 'error' in run]
    return dict(rows=summarize(runs), runs=runs,
                settings=protocol_settings(trained.runs, cfg.protocol.task),
                config=cfg.pretty_text, warnings=warnings_of(runs, cfg.protocol.task))


def method_sets(group: Group, members: List[SetJob], full: bool) -> Dict[str, List[str]]:
    """Folders of finished sets by method; 'full' for the full real set."""
    sets: Dict[str, List[str]] = {}
    for method in group.methods:
        folders = [job.folder for job in members if job.method is method and job.done]
        if folders:
            sets[method.name] = folders
    if full:
        sets[FULL_METHOD] = [FULL]
    return sets


def _facts(job: SetJob) -> Optional[Dict[str, Any]]:
    """Facts of a job's set; None, and its error, where it has none."""
    try:
        return None if job.error else set_facts(job.folder)
    except BAD_INPUT as error:
        job.error = one_line(error)
        return None


def _method_content(method: Method, jobs: Sequence[Tuple[SetJob, Any]], metrics: Sequence[str],
                 group: Group, students: Union[str, Sequence[str]]) -> Dict[str, Any]:
    first = jobs[0][0]
    return dict(
        method=method.name, curve=method.curve, budget=method.budget, config=method.config_name,
        added=method.added, deterministic=is_deterministic(method.cfg),
        sweep=plain(method.sweep), options=plain(method.options),
        reference={key: value for key, value in paper_entry(method.config_name).items()
                   if key in ('name', 'collection', 'title', 'url', 'source')},
        proxy=proxy_facts(first.checkpoint),
        paper=_paper(method.name, method.config_name, metrics, group, group.students(students)),
        sets=[dict(seed=job.seed, folder=osp.relpath(job.folder), error=job.error,
                   facts=facts) for job, facts in jobs],
        dataset=plain(method.cfg.train_dataloader.dataset),
        image_size=plain(method.cfg.model.get('image_size', 224)),
        proxy_config=plain(method.cfg.model.get('proxy')), checkpoint=first.checkpoint)


def _paper(method: str, config: str, metrics: Sequence[str], group: Group,
           students: Sequence[str]) -> Dict[str, Dict[str, Any]]:
    """The paper's values by student: of the suite, else of the metafile."""
    own = read_metrics(group.paper.get(method), metrics)
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
