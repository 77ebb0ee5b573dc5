"""What a reader must know of tables, in sentences."""
import itertools
from typing import Iterable, List

from mmdd.models.students.label_regimes import REGIMES
from mmdd.protocols.results import MethodRuns
from ..results import GroupResult

SELECTED = dict(
    val='best: the checkpoint that is best on the validation split, measured on the test split.',
    test='best: selected on the test split, as the paper does: optimistic. last is not.')
FULL_NOTE = ('* trained on the full real set, with the number of updates that the protocol gives '
             'it.')


def reading_notes(rows: Iterable[MethodRuns]) -> List[str]:
    """How the figures of students are to be read."""
    finished = [row for row in rows if row.finished]
    selected = {row.first.select or 'val' for row in finished if row.first.best}
    regimes = {row.first.regime for row in finished}
    return ['Mean ± sample standard deviation over all students of all sets, on the real '
            'images that the protocol tests on.', 'last: after the last update.',
            *(text for select, text in SELECTED.items() if select in selected),
            *([] if selected else ['There is no split to select a checkpoint on: no best.']),
            *(f'labels: {regime} is {text}.' for regime, text in REGIMES.items()
              if regime in regimes)]


def spread_notes(rows: Iterable[MethodRuns]) -> List[str]:
    """How far the sets of a method lie apart, and the students of one set."""
    lines = []
    for row in rows:
        metric = next(iter(row.first.last)) if row.finished else ''
        between = row.between_sets(metric)
        if between is not None:
            lines.append(f'{row.method}: {metric} (last) has a standard deviation of '
                         f'{between:.1f} between the means of its {len(row.by_set)} sets and of '
                         f'{row.within_sets(metric) or 0.:.1f} within a set.')
    return lines


def notes(group: GroupResult) -> List[str]:
    """What a reader must know to read a group's tables."""
    students, methods = group.students, group.methods
    rows = [row for student in students for row in student.methods.values()]
    lines = reading_notes(rows)
    added = [method.name for method in methods if method.added]
    if added:
        lines.append(f'† {", ".join(added)}: real images drawn at random at the same budget, '
                     f'added by the benchmark as the measure of the other methods.')
    if group.full:
        lines.append(FULL_NOTE)
    published = [method for method in methods if any(method.paper.values())]
    papers = {method.reference['title'] for method in published if method.reference.get('title')}
    if papers:
        lines.append(f'paper: as published ({"; ".join(sorted(papers))}), not measured here.')
    elif not published:
        lines.append('No values are published for these configs.')
    fixed = [method.name for method in methods if method.deterministic]
    if fixed:
        lines.append(f'{", ".join(fixed)}: no seed changes the selection: one set stands for all.')
    lines += [f'{line}.' for line in group.repeats] + spread_notes(rows)
    lines += [f'Warning: {group.prefix(student)}{line}'
              for student in students for line in student.warnings]
    return lines + [f'Failed: {line}' for line in group.failures]


def verdicts(group: GroupResult) -> List[str]:
    """One sentence per student and method: how it stands against the random of its budget.

    Where there are several students, the sentence begins with the title of its own.
    """
    lines, metric = [], group.metrics[0]
    for student, method in itertools.product(group.students, group.methods):
        gap = None if method.full else group.gap(student, method, metric)
        if gap is None:
            continue
        text = (f'{group.prefix(student)}{method.name} ({method.budget}): {metric} '
                f'{student.runs_of(method).measured(metric).mean:.1f}')
        random = group.randoms(student)[method.budget].measured(metric)
        if gap.std is not None and abs(gap.mean) <= gap.std:
            lines.append(f'{text}, within the spread of Random ({random.mean:.1f})')
        else:
            side = 'above' if gap.mean > 0 else 'below'
            lines.append(f'{text}, {abs(gap.mean):.1f} {side} Random ({random.mean:.1f})'
                         + (', by a single student' if gap.std is None else ''))
    return lines
