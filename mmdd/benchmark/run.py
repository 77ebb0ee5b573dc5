"""Several methods side by side: distill each, train students on all, one report."""
import os.path as osp
from datetime import UTC, datetime
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Union

from mmdd.datasets.manifest import versions
from mmdd.datasets.set_facts import set_facts
from mmdd.engine.distill_job import read_job
from mmdd.protocols.sets import check_job_fits
from mmdd.protocols.student import describe_runs, run_result
from mmdd.utils.cli import BAD_INPUT, one_line
from mmdd.utils.config import plain
from mmdd.utils.machine import commit, machine_facts
from mmdd.utils.mean_std import MeanStd
from mmdd.utils.training_record import training_facts
from .dd_ranking import group_scores
from .evaluate import student_result
from .jobs import FULL_METHOD, JobGraph, Trained
from .methods import Method, budget_text
from .report.paper_values import paper_entry, paper_values, read_metrics
from .report.write import write_benchmark
from .results import ALL, GroupResult, MethodResult, Results, SetResult, StudentResult
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
              command: str = '') -> Results:
    """Distill every method, train students on each set, and write tables, plots and a report.

    Everything that is finished is kept and skipped in the next run. A random baseline is added
    for every budget that has none. What is returned is the content of ``results.json``.

    Args:
        methods: Config file by name of the method (entries of :func:`read_method`), or
            groups of :func:`read_suite`.
        work_dir: Where everything goes: sets in ``<method>/seed<k>``, ``students``,
            ``results.json``, ``results.md``, ``plots`` and ``report.html``.
        seeds: One student is trained for each set and seed.
        full: Whether to train students on the full real set as well.
        jobs: Students that are trained at once; as many as there are cores if None. 0 does
            everything in this process.
        full_seeds: Seeds of the full real set, the slowest method; ``seeds`` if None.
        cfg_options: Dotted options merged into every distillation config.
        sets: Generated sets per method. The papers' tables use 3, with 5 students on each.
        students: See :meth:`Group.students`.
        embedding: 'tsne', 'umap' or None: the map of real and distilled features.
        title: Heading of the report.
        command: The command line, for the report.

    Raises:
        FileNotFoundError: If a config is missing.
        ValueError: If methods do not fit together, or something failed; what is
            finished is in the report then.
    """
    plan = make_plan(methods, work_dir, sets, cfg_options)
    for group, _ in plan:
        group.students(students)
        group.full = bool(full or group.full)
    results = Results(
        title, command, '', commit(), machine_facts(), versions(), settings=dict(
            sets=sets, seeds=list(seeds), students=students, full_seeds=full_seeds,
            cfg_options=plain(cfg_options or {})))
    graph = JobGraph(plan, osp.join(work_dir, 'students'), seeds, full_seeds, students, jobs)
    graph.run()
    for group, members in plan:
        print(f'== {group.name}', flush=True)
        results.groups.append(measure_group(graph, group, members, students))
    results.created = datetime.now(UTC).strftime('%Y-%m-%d %H:%M UTC')
    write_benchmark(results, work_dir, embedding=embedding)
    if results.failures:
        raise ValueError(f'{len(results.failures)} parts failed, the rest is in '
                         f'{osp.join(work_dir, "report.html")}; the first: {results.failures[0]}')
    return results


def make_plan(methods: Union[Mapping[str, Any], Sequence[Group]], work_dir: str, sets: int,
              cfg_options: Optional[dict] = None) -> Plan:
    """Groups with their random baselines, and the sets of all methods: see :func:`benchmark`.

    Raises:
        ValueError: If a group's protocol cannot read what one of its methods writes.
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


def measure_group(graph: JobGraph, group: Group, members: List[SetJob],
                  students: Union[str, Sequence[str]]) -> GroupResult:
    """What a benchmark made of a group."""
    protocol, protocols = group.protocol.protocol, group.students(students)
    sets = [_set_result(job) for job in members]
    result = GroupResult(
        group.name, protocol.task, list(protocol.metrics), bool(group.full), list(group.ablation),
        failures=[f'{job.method.name} seed {job.seed}: {job.error}'
                  for job in members if job.error])
    for name, source in protocols.items():
        try:
            result.students.append(_measure(
                name, graph.trained(group, members, source), result))
        except BAD_INPUT as error:  # a group must not end the others
            result.failures.append(f'students{f" {name}" if name else ""}: {one_line(error)}')
    for method in group.methods:
        own = [i for i, job in enumerate(members) if job.method is method]
        result.methods.append(_method_result(
            method, members[own[0]].checkpoint(), [sets[i] for i in own]))
    if group.full:
        result.methods.append(MethodResult(FULL_METHOD, FULL_METHOD, ALL))
    for each in result.methods:
        each.paper = _paper(each, group, result.metrics, protocols)
    result.scores = group_scores(result)
    return result


def _measure(name: str, trained: Trained, result: GroupResult) -> StudentResult:
    """One kind of student; repeated sets and failures are added to ``result``."""
    result.failures += trained.failures
    result.repeats += [line for line in trained.repeats if line not in result.repeats]
    if not trained.runs:
        raise ValueError('there are none of any set')
    print('\n'.join(describe_runs(trained.runs)), flush=True)
    runs = [run_result(run, trained.errors.get(run.key)) for run in trained.runs]
    result.failures += [f'{run.method} student {run.seed}: {run.error}; see {run.log}'
                        for run in runs if run.error]
    return student_result(name, trained.config, trained.runs, runs)


def _set_result(job: SetJob) -> SetResult:
    """What a job made; that its facts cannot be read is its error."""
    facts = None
    if not job.error:
        try:
            facts = set_facts(job.folder)
        except BAD_INPUT as error:
            job.error = one_line(error)
    return SetResult(job.seed, osp.relpath(job.folder), job.error, facts)


def _method_result(method: Method, checkpoint: Optional[str],
                   sets: List[SetResult]) -> MethodResult:
    model = method.cfg.model
    return MethodResult(
        method.name, method.curve, method.budget, method.config_name, method.added,
        is_deterministic(method.cfg), plain(method.options), plain(method.sweep),
        reference={key: value for key, value in paper_entry(method.config_name).items()
                   if key != 'results'},
        proxy=training_facts(checkpoint), sets=sets,
        dataset=plain(method.cfg.train_dataloader.dataset),
        image_size=plain(model.get('image_size', 224)), proxy_config=plain(model.get('proxy')),
        checkpoint=checkpoint)


def _paper(method: MethodResult, group: Group, metrics: Sequence[str],
           students: Iterable[str]) -> Dict[str, Dict[str, MeanStd]]:
    """The paper's values by student: of the suite, else of the metafile."""
    given, config = group.paper.get(method.name), _published(method)
    others = given.get('students') if isinstance(given, Mapping) else None
    found = {student: {**paper_values(config, metrics, student),
                       **read_metrics((others or {}).get(student), metrics)}
             for student in students}
    first = next(iter(found))  # the configs' own student: entries without a name are its
    found[first] = {**paper_values(config, metrics), **found[first],
                    **read_metrics(given, metrics)}
    return found


def _published(method: MethodResult) -> str:
    """Its config, whose values of a paper are its own; '' at another budget than the config's."""
    changed = method.config and any(key.startswith('train_cfg.budget') for key in method.options)
    if changed and budget_text(read_job(method.config).train_cfg.budget) != method.budget:
        return ''
    return method.config
