"""Tables of what students learned: method by method, by budget, by student, and the spread."""
from typing import Dict, List, NamedTuple, Optional

from mmdd.protocols.results import BEST, MethodRuns
from mmdd.utils.table import Cell, Shown, Table, number, signed
from ..results import ALL, GroupResult, MethodResult, StudentResult

BUDGET_NOTE = ('mean ± std over all students of all sets, in brackets the std between the means '
               'of the sets, where there are several')
OVERVIEW_NOTE = ('mean ± std of the last value; the paper’s values in brackets; cost of one image '
                 'of the set')
SPREAD_NOTE = ('spread between the means of sets, and within the students of a set; difference to '
               'the best baseline of the budget over students of equal seeds, with its 95 % '
               'interval, within the spread where that holds 0')
# Columns of classification alone: other tasks have no regimes of labels.
LABELS = ('labels', 'label MiB')


class Titled(NamedTuple):
    """A table with its title and what is to be known to read it."""
    table: Table
    title: str  # '' of the table of all methods
    note: str


def student_tables(group: GroupResult, student: StudentResult) -> List[Titled]:
    """All tables of one group and student, in order."""
    metric, spread = group.metrics[0], spread_table(group, student)
    return [*(Titled(table, f'{name} by budget', BUDGET_NOTE)
              for name, table in budget_tables(group, student).items()),
            Titled(group_table(group, student), '', ', '.join(group.metrics)),
            *[Titled(spread, f'Spread of {metric}', SPREAD_NOTE)] * bool(spread.rows)]


def group_table(group: GroupResult, student: StudentResult) -> Table:
    """A row per method; per metric its last and best value, the paper's, and the gap to Random."""
    best = any(run.best for run in student.finished)
    paper = any(method.paper.get(student.name) for method in group.methods)
    random = bool(group.randoms(student))
    rows: List[Dict[str, Shown]] = []
    for method in group.methods:
        runs = student.runs_of(method)
        training = training_cells(runs)
        row: Dict[str, Shown] = {
            'method': method.name + ' *' * method.full + ' †' * method.added,
            'budget': method.budget, 'images': training.pop('images')}
        for metric in group.metrics:
            row[f'{metric} (last)'] = runs.mean(metric)
            if best:
                row[f'{metric} (best)'] = runs.mean(metric, BEST)
            if paper:
                row[f'{metric} (paper)'] = method.paper_of(student.name, metric)
            if random:
                gap = group.gap(student, method, metric)
                row[f'{metric} − Random'] = gap and signed(gap.mean)
        rows.append({**row, **training, 'sets × students': _students_cell(runs),
                     's per student': number(runs.seconds if runs.finished else None, 0)})
    return Table.of(rows, LABELS)


def training_cells(runs: MethodRuns) -> Dict[str, Shown]:
    """What the students of a method learn from: images, updates, and labels with their MiB."""
    if not runs.finished:
        return dict.fromkeys(('images', 'updates', *LABELS))
    first = runs.first
    return {'images': number(first.images, 0), 'updates': number(first.updates, 0),
            'labels': first.regime, 'label MiB': number(first.label_mib, 2)}


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
    """By metric its last values, a row per curve and a column per budget, from small to large.

    Where the full real set is measured it has a row and a column of its own, as a second method
    of one curve and budget has a row. Methods of a sweep are left out. Empty where fewer than two
    budgets are measured.
    """
    curves: Dict[str, Dict[str, MethodRuns]] = {}
    images: Dict[str, int] = {}
    for method, row in group.measured(student):
        if method.sweep:
            continue
        budget, name = (ALL, f'{method.curve} *') if method.full else (method.budget, method.curve)
        if budget in curves.get(name, {}):
            name = method.name
        curves.setdefault(name, {})[budget] = row
        images[budget] = max(images.get(budget, 0), row.first.images)
    budgets = sorted(images, key=lambda budget: (budget == ALL, images[budget]))
    if sum(budget != ALL for budget in budgets) < 2:
        return {}
    return {metric: Table.of(
        {'method': name, **{budget: _spread_cell(own.get(budget), metric) for budget in budgets}}
        for name, own in curves.items()) for metric in group.metrics}


def _spread_cell(row: Optional[MethodRuns], metric: str) -> Optional[Cell]:
    """'mean ± std (std between sets)' of the last value."""
    if row is None:
        return None
    mean, between = row.measured(metric), row.between_sets(metric)
    return Cell(mean.text + ('' if between is None else f' ({between:.1f})'), mean.mean)


def overview_table(group: GroupResult) -> Optional[Table]:
    """Methods by students, last values, the paper's in brackets; and the cost of a kept image.

    The peak memory is that of the GPU where there is one. None where there are fewer than two
    students.
    """
    if len(group.students) < 2:
        return None
    costs = [(method, method.cost) for method in group.methods]
    return Table.of({
        'method': method.name + ' †' * method.added, 'budget': method.budget,
        **{f'{metric}: {student.title}': _beside_paper(method, student, metric)
           for metric in group.metrics for student in group.students},
        's per image': number(cost.get('seconds_per_kept'), 2),
        'peak MiB': number(cost.get('gpu', cost.get('host')), 0),
        'NFE per image': number(cost.get('passes_per_kept'), 0)} for method, cost in costs)


def _beside_paper(method: MethodResult, student: StudentResult, metric: str) -> Cell:
    mean, paper = student.runs_of(method).mean(metric), method.paper_of(student.name, metric)
    text = mean.text if mean else '-'
    return Cell(f'{text} [{paper.text}]' if paper else text, mean.mean if mean else None)


def spread_table(group: GroupResult, student: StudentResult) -> Table:
    """How far the first metric can be trusted, see ``SPREAD_NOTE``; empty without a baseline."""
    metric = group.metrics[0]
    rows: List[Dict[str, Shown]] = []
    baselines = [item for item in group.measured(student) if item[0].is_baseline]
    # By budget the highest one, as the last of a budget stays.
    best = {method.budget: method for method, _ in sorted(
        baselines, key=lambda item: item[1].measured(metric).mean)}
    for method, row in group.measured(student) if best else ():
        if method.full:
            continue
        baseline, paired = best.get(method.budget), None
        if baseline and baseline is not method:
            paired = row.paired_difference(student.runs_of(baseline), metric)
        rows.append({
            'method': method.name, 'budget': method.budget,
            metric: number(row.measured(metric).mean),
            'between sets': number(row.between_sets(metric)),
            'within a set': number(row.within_sets(metric)),
            'best baseline': baseline.name if baseline else None,
            'difference, 95 % interval': paired and signed(*paired),
            'within the spread': paired and ('yes' if abs(paired[0]) <= paired[1] else 'no')})
    return Table.of(rows)
