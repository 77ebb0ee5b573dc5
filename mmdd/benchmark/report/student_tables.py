"""Tables of what students learned: method by method, by budget, by student, and the spread."""
from typing import Callable, Dict, List, Optional

from mmdd.protocols.results import BEST, MethodRuns
from mmdd.utils.table import Cell, Column, Table, number, signed
from ..results import ALL, GroupResult, MethodResult, StudentResult

BUDGET_NOTE = ('mean ± std over all students of all sets, in brackets the std between the means '
               'of the sets, where there are several')
OVERVIEW_NOTE = ('mean ± std of the last value; the paper’s values in brackets; cost of one image '
                 'of the set')
SPREAD_NOTE = ('spread between the means of sets, and within the students of a set; difference to '
               'the best baseline of the budget over students of equal seeds, with its 95 % '
               'interval, within the spread where that holds 0')


def group_table(group: GroupResult, student: StudentResult) -> Table:
    """The table of one group and student.

    Returns:
        Table: Per method the budget, images, updates, labels, sets and students, seconds a
        student, and per metric the last and the best value, the paper's, and
        the difference of the last to the random baseline of the budget.
    """
    def measured(title: str, value: Callable[[MethodRuns], float]) -> Column:
        return title, lambda method: number(
            value(student.runs_of(method)), 0) if student.runs_of(method).finished else None

    columns: List[Column] = [
        ('method', lambda method: method.name + ' *' * method.full + ' †' * method.added),
        ('budget', lambda method: method.budget),
        measured('images', lambda row: row.first.images)]
    for metric in group.metrics:
        columns += _metric_columns(group, student, metric)
    columns += [
        measured('updates', lambda row: row.first.updates),
        *((title, lambda method, value=value: value(student.runs_of(method)))
          for title, value in label_columns(list(student.measured.values()))),
        ('sets × students', lambda method: _students_cell(student.runs_of(method))),
        measured('s per student', lambda row: row.seconds)]
    return Table.build(group.methods, columns)


def label_columns(measured: List[MethodRuns]) -> List[Column]:
    """Columns of :class:`MethodRuns`: the labels that a method's students learn from, and MiB.

    None of other tasks than classification, which have no regimes of labels.
    """
    if not any(row.first.regime for row in measured):
        return []
    return [('labels', lambda row: row.first.regime if row.finished else None),
            ('label MiB', lambda row: number(row.first.label_mib, 2) if row.finished else None)]


def _metric_columns(group: GroupResult, student: StudentResult, metric: str) -> List[Column]:
    randoms = group.randoms(student)

    def difference(method: MethodResult) -> Optional[Cell]:
        row, random = student.runs_of(method), randoms.get(method.budget)
        if random is None or random.method == method.name or not row.finished:
            return None
        return signed((row.measured(metric) - random.measured(metric)).mean)

    columns: List[Column] = [
        (f'{metric} (last)', lambda method: student.runs_of(method).mean(metric))]
    if any(run.best for run in student.finished):
        columns.append((f'{metric} (best)',
                        lambda method: student.runs_of(method).mean(metric, BEST)))
    if any(method.paper.get(student.name) for method in group.methods):
        columns.append((f'{metric} (paper)',
                        lambda method: method.paper_of(student.name, metric)))
    return columns + [(f'{metric} − Random', difference)] * bool(randoms)


def _students_cell(row: MethodRuns) -> Cell:
    """'3 × 5', sets times students; of uneven ones the number of runs."""
    if not row.finished:
        return Cell(f'0 ({row.failed} failed)' if row.runs else 'failed')
    each, rest = divmod(len(row.runs), row.num_sets)
    text = f'{len(row.runs)} runs' if rest else f'{row.num_sets} × {each}'
    return Cell(text + (f' ({row.failed} failed)' if row.failed else ''), len(row.finished))


def compact(table: Table) -> Table:
    """The columns that fit a terminal."""
    return table.without(lambda title: title in ('budget', 's per student') or title.endswith(
        '− Random'))


def budget_tables(group: GroupResult, student: StudentResult) -> Dict[str, Table]:
    """:func:`budget_table` by metric, those that there are."""
    found = {metric: budget_table(group, student, metric) for metric in group.metrics}
    return {metric: table for metric, table in found.items() if table is not None}


def budget_table(group: GroupResult, student: StudentResult, metric: str) -> Optional[Table]:
    """Last values of a metric, a row per curve and a column per budget.

    Returns:
        Table: Budgets from the smallest to the largest set; where the full real set is
        measured it has a row and a column of its own. Methods of a sweep are left out, and a
        second method of one curve and budget has a row of its own. None where fewer than two
        budgets are measured.
    """
    curves: Dict[str, Dict[str, MethodRuns]] = {}
    images: Dict[str, int] = {}
    for method in group.methods:
        row = student.runs_of(method)
        if not row.finished or method.sweep:
            continue
        budget, name = (ALL, f'{method.curve} *') if method.full else (method.budget, method.curve)
        if budget in curves.get(name, {}):
            name = method.name
        curves.setdefault(name, {})[budget] = row
        images[budget] = max(images.get(budget, 0), row.first.images)
    budgets = sorted(images, key=lambda budget: (budget == ALL, images[budget]))
    if sum(budget != ALL for budget in budgets) < 2:
        return None

    def column(budget: str) -> Column:
        return budget, lambda name: _spread_cell(curves[name].get(budget), metric)

    return Table.build(curves, [('method', lambda name: name), *map(column, budgets)])


def _spread_cell(row: Optional[MethodRuns], metric: str) -> Optional[Cell]:
    """'mean ± std (std between sets)' of the last value."""
    if row is None:
        return None
    mean, between = row.measured(metric), row.between_sets(metric)
    return Cell(mean.text + ('' if between is None else f' ({between:.1f})'), mean.mean)


def overview_table(group: GroupResult) -> Optional[Table]:
    """Methods by students, last values, the paper's in brackets; and the cost of a method.

    Returns:
        Table: Per method its budget, per metric and student 'mean ± std' of the last
        value, and seconds, peak memory (of the GPU where there is one) and NFE of a kept
        image; None where there are fewer than two students.
    """
    if len(group.students) < 2:
        return None

    def column(metric: str, student: StudentResult) -> Column:
        return f'{metric}: {student.title}', lambda method: _beside_paper(method, student, metric)

    return Table.build(group.methods, [
        ('method', lambda method: method.name + ' †' * method.added),
        ('budget', lambda method: method.budget),
        *(column(metric, student) for metric in group.metrics for student in group.students),
        ('s per image', lambda method: number(method.cost.get('seconds_per_kept'), 2)),
        ('peak MiB', lambda method: number(
            method.cost.get('gpu', method.cost.get('host')), 0)),
        ('NFE per image', lambda method: number(method.cost.get('passes_per_kept'), 0))])


def _beside_paper(method: MethodResult, student: StudentResult, metric: str) -> Optional[Cell]:
    mean, paper = student.runs_of(method).mean(metric), method.paper_of(student.name, metric)
    text = mean.text if mean else '-'
    return Cell(f'{text} [{paper.text}]' if paper else text,
                mean.mean if mean else None)


def spread_table(group: GroupResult, student: StudentResult) -> Table:
    """How far the first metric can be trusted.

    Returns:
        Table: By method the mean, the standard deviation between sets and within them ('-' of
        one set, or of one student on each), the best baseline of its budget, the paired
        difference to it, and whether its interval holds 0. Empty without a baseline.
    """
    metric = group.metrics[0]
    measured = [method for method in group.methods
                if not method.full and student.runs_of(method).finished]
    best = best_baselines(measured, student, metric)
    rows = []
    for method in measured if best else ():
        row, baseline = student.runs_of(method), best.get(method.budget)
        paired = None
        if baseline and baseline is not method:
            paired = row.paired_difference(student.runs_of(baseline), metric)
        rows.append((method, row, baseline, paired))
    return Table.build(rows, [
        ('method', lambda row: row[0].name), ('budget', lambda row: row[0].budget),
        (metric, lambda row: number(row[1].mean(metric).mean)),
        ('between sets', lambda row: number(row[1].between_sets(metric))),
        ('within a set', lambda row: number(row[1].within_sets(metric))),
        ('best baseline', lambda row: row[2] and row[2].name),
        ('difference, 95 % interval', lambda row: row[3] and signed(*row[3])),
        ('within the spread',
         lambda row: row[3] and ('yes' if abs(row[3][0]) <= row[3][1] else 'no'))])


def best_baselines(methods: List[MethodResult], student: StudentResult,
                   metric: str) -> Dict[str, MethodResult]:
    """The measured baseline of real images with the highest mean, by budget."""
    baselines = [method for method in methods if method.is_baseline]
    baselines.sort(key=lambda method: student.runs_of(method).measured(metric).mean)
    return {method.budget: method for method in baselines}  # the last one of a budget stays
