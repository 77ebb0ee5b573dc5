"""Tables of a benchmark: what was measured, beside the paper's values and the random baseline."""
import math
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from mmdd.protocols.protocol import FULL
from mmdd.protocols.student import RANDOM_METHOD
from mmdd.protocols.summary import NOTES
from ..dd_ranking import rank_set
from .set_facts import mean_facts


@dataclass
class Cell:
    """One cell: its text and, for sorting, its number."""
    text: str
    value: Optional[float] = None


@dataclass
class Table:
    """Columns and rows as text; the first column names the row."""
    columns: List[str]
    rows: List[List[Cell]]

    @property
    def texts(self) -> List[List[str]]:
        """The cells' texts."""
        return [[cell.text for cell in row] for row in self.rows]


def compact(table: Table) -> Table:
    """The columns that fit a terminal."""
    keep = [i for i, name in enumerate(table.columns)
            if name not in ('budget', 's per student') and not name.endswith('− Random')]
    return Table([table.columns[i] for i in keep], [[row[i] for i in keep] for row in table.rows])


def number_cell(value: Optional[float], digits: int = 1) -> Cell:
    """A number with so many decimals; '-' for None."""
    return Cell('-') if value is None else Cell(f'{value:.{digits}f}', float(value))


def mean_cell(value: Optional[Mapping[str, Any]], runs: int = 2) -> Cell:
    """'mean ± std' with one decimal; the mean alone of a single run or without a std."""
    if not value:
        return Cell('-')
    text = f'{value["mean"]:.1f}'
    if value.get('std') is not None and runs > 1:
        text += f' ± {value["std"]:.1f}'
    return Cell(text, float(value['mean']))


def is_random_facts(facts: Optional[Mapping[str, Any]]) -> bool:
    """Whether a set holds random real images."""
    return bool(facts) and str(facts['method']).rsplit('.', 1)[-1] == RANDOM_METHOD


def random_rows(group: Mapping[str, Any], student: Mapping[str, Any]) -> Dict[str, Mapping]:
    """The measured random baseline by budget."""
    rows = {row['method']: row for row in student['rows']}
    found: Dict[str, Mapping] = {}
    for method in sorted(group['methods'], key=lambda method: not method.get('added')):
        facts = next((entry['facts'] for entry in method['sets'] if entry['facts']), None)
        if is_random_facts(facts) and rows.get(method['method'], {}).get('runs'):
            found[method['budget']] = rows[method['method']]
    return found


def against(row: Mapping[str, Any], other: Mapping[str, Any], metric: str) -> Dict[str, float]:
    """Difference of two methods' last values, and its spread (root of the summed variances)."""
    a, b = row['last'][metric], other['last'][metric]
    return dict(mean=a['mean'] - b['mean'], std=math.hypot(a['std'], b['std']))


def student_title(student: Mapping[str, Any]) -> str:
    """A student's name, or its network, and the kind of labels it learns from.

    Args:
        student: One of the ``students`` of a group of ``results.json``.
    """
    shared = student['settings']['shared']
    name, loss = student['student'], shared.get('loss')
    if 'label' in name or not loss:
        return name or str(shared.get('model', 'students'))
    return f'{name or shared["model"]}, {loss} labels'


def group_table(group: Mapping[str, Any], student: Mapping[str, Any]) -> Table:
    """The table of one group and student.

    Args:
        group: A group of ``results.json``.
        student: One of its ``students``.

    Returns:
        Table: Per method the budget, images, updates, sets and students, seconds a
        student, and per metric the last and the best value, the paper's, and
        the difference of the last to the random baseline of the budget.
    """
    rows = {row['method']: row for row in student['rows']}
    has_best = any('best' in row for row in rows.values())
    papers = {method['method']: paper_of(method, student['student'])
              for method in group['methods']}
    has_paper = any(papers.values())
    randoms = random_rows(group, student)
    columns = ['method', 'budget', 'images']
    for metric in group['metrics']:
        columns += [f'{metric} (last)'] + [f'{metric} (best)'] * has_best + [
            f'{metric} (paper)'] * has_paper + [f'{metric} − Random'] * bool(randoms)
    table = Table(columns + ['updates', 'sets × students', 's per student'], [])
    for method in group['methods']:
        row = rows.get(method['method'])
        cells, tail = _plain_cells(method, row, student)
        for metric in group['metrics']:
            runs = row['runs'] if row else 0
            measured = [row.get(which, {}).get(metric) if row else None
                        for which in ('last', 'best')[:1 + has_best]]
            cells += [mean_cell(value, runs) for value in measured]
            if has_paper:
                cells.append(mean_cell(papers[method['method']].get(metric)))
            if randoms:
                cells.append(_difference(row, randoms.get(method['budget']), metric))
        table.rows.append(cells + tail)
    return table


def paper_of(method: Mapping[str, Any], student: str) -> Mapping[str, Any]:
    """The paper's values of a method by metric."""
    return (method.get('paper') or {}).get(student) or {}


def _plain_cells(method: Mapping[str, Any], row: Optional[Mapping[str, Any]],
                 student: Mapping[str, Any]) -> Tuple[List[Cell], List[Cell]]:
    """The cells before and after those of the metrics."""
    name = method['method'] + (' *' if not method['sets'] else '') + (
        ' †' if method.get('added') else '')
    head = [Cell(name), Cell(method['budget'])]
    if not row or not row['runs']:
        failed = f'0 ({row["failed"]} failed)' if row else 'failed'
        return head + [Cell('-')], [Cell('-'), Cell(failed), Cell('-')]
    return head + [number_cell(row['images'], 0)], [
        number_cell(row['updates'], 0), Cell(runs_text(row, student['runs']), row['runs']),
        number_cell(row['seconds'], 0)]


def runs_text(row: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> str:
    """'3 × 5', sets times students; of uneven ones the number of runs."""
    mine = [run for run in runs if run['method'] == row['method']]
    sets = len({run['set'] for run in mine}) or 1
    text = f'{sets} × {len(mine) // sets}' if len(mine) % sets == 0 else f'{len(mine)} runs'
    return text + (f' ({row["failed"]} failed)' if row['failed'] else '')


def _difference(row: Optional[Mapping[str, Any]], other: Optional[Mapping[str, Any]],
                metric: str) -> Cell:
    if not row or not row['runs'] or other is None or row['method'] == other['method']:
        return Cell('-')
    value = against(row, other, metric)['mean']
    return Cell(f'{value:+.1f}'.replace('-', '−'), value)


def cost_table(group: Mapping[str, Any]) -> Table:
    """Cost of every method: seconds and denoiser passes an image, memory, its proxy's training."""
    table = Table(['method', 's per image', 's per kept image', 'denoiser passes per kept image',
                   'host MiB', 'GPU MiB', 'discarded', 'proxy training (s)'], [])
    for method in group['methods']:
        facts = [entry['facts'] for entry in method['sets'] if entry['facts']]
        if not facts:
            continue
        cost = mean_facts(facts)
        discarded = [entry['discard_rate'] or 0. for entry in facts]
        table.rows.append([
            Cell(method['method']), number_cell(cost['seconds_per_image'], 2),
            number_cell(cost['seconds_per_kept'], 2),
            number_cell(cost.get('passes_per_kept'), 0), number_cell(cost.get('host'), 0),
            number_cell(cost.get('gpu'), 0),
            Cell(f'{100 * sum(discarded) / len(discarded):.1f} %', sum(discarded)),
            number_cell((method.get('proxy') or {}).get('seconds'), 0)])
    return table


def verdicts(group: Mapping[str, Any], student: Mapping[str, Any]) -> List[str]:
    """One sentence per method: how it stands against the random baseline of its budget.

    Where there are several students, the sentence begins with this one's title.
    """
    who = f'{student_title(student)}: ' if len(group['students']) > 1 else ''
    randoms, lines = random_rows(group, student), []
    metric = group['metrics'][0]
    budgets = {method['method']: method['budget'] for method in group['methods'] if method['sets']}
    for row in student['rows']:
        other = randoms.get(budgets.get(row['method'], ''))
        if not row['runs'] or other is None or other['method'] == row['method']:
            continue
        gap = against(row, other, metric)
        text = (f'{who}{row["method"]} ({budgets[row["method"]]}): {metric} '
                f'{row["last"][metric]["mean"]:.1f}')
        beside = f'{other["last"][metric]["mean"]:.1f}'
        single = min(row['runs'], other['runs']) == 1
        if not single and abs(gap['mean']) <= gap['std']:
            lines.append(f'{text}, within the spread of Random ({beside})')
        else:
            side = 'above' if gap['mean'] > 0 else 'below'
            lines.append(f'{text}, {abs(gap["mean"]):.1f} {side} Random ({beside})'
                         + (', by a single student' if single else ''))
    return lines


def notes(group: Mapping[str, Any]) -> List[str]:
    """What a reader must know to read a group's table."""
    lines = ['Mean ± sample standard deviation over all students of all sets, on the real test '
             'split.', 'last: after the last update.']
    students = group['students']
    rows = [row for student in students for row in student['rows']]
    selected = {row.get('select') or 'val' for row in rows if 'best' in row}
    lines += [text.replace('`', '') for select, text in NOTES.items() if select in selected]
    if not selected:
        lines.append('There is no split to select a checkpoint on: no best.')
    added = [method['method'] for method in group['methods'] if method.get('added')]
    if added:
        lines.append(f'† {", ".join(added)}: real images drawn at random at the same budget, '
                     f'added by the benchmark as the measure of the other methods.')
    if group['full']:
        lines.append('* trained on the full real set, with the number of updates that the '
                     'protocol gives it.')
    papers = {method['reference']['title'] for method in group['methods']
              if method.get('reference', {}).get('title')
              and any((method.get('paper') or {}).values())}
    if papers:
        lines.append(f'paper: as published ({"; ".join(sorted(papers))}), not measured here.')
    elif not any(value for method in group['methods']
                 for value in (method.get('paper') or {}).values()):
        lines.append('No values are published for these configs.')
    fixed = [method['method'] for method in group['methods'] if method.get('deterministic')]
    if fixed:
        lines.append(f'{", ".join(fixed)}: no seed changes the selection: one set stands for all.')
    lines += [f'{line}.' for line in group.get('repeats') or ()]
    lines += [line for student in students for line in set_spreads(student)]
    for student in students:
        who = f'{student_title(student)}: ' if len(students) > 1 else ''
        lines += [f'Warning: {who}{line}' for line in student['warnings']]
    return lines + [f'Failed: {line}' for line in group['failures']]


def set_spreads(student: Mapping[str, Any]) -> List[str]:
    """How far the sets of a method lie apart, and the students of one set."""
    lines = []
    for row in student['rows']:
        between = (row.get('sets') or {}).get('between')
        if between:
            metric = next(iter(between['last']))
            within = row['sets']['within']['last'][metric]
            lines.append(f'{row["method"]}: {metric} (last) has a standard deviation of '
                         f'{between["last"][metric]:.1f} between the means of its '
                         f'{len(row["sets"]["per_set"])} sets and of {within:.1f} within a set.')
    return lines


def robust_scores(group: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    """LRS and its parts of every method, where hard and soft labels and the full set are measured.

    Args:
        group: A group of ``results.json``; its first student with hard labels and its
            first one with soft labels count.

    Returns:
        dict: HLR, IOR and LRS by method, see :func:`rank_set`; empty where they are not
        defined.
    """
    runs = {}
    for student in group['students']:
        kind = student['settings']['shared'].get('loss')
        runs.setdefault(kind, [run for run in student['runs'] if 'error' not in run])
    hard, soft = runs.get('hard', []), runs.get('soft', [])
    full = [run for run in hard if run['set'] == FULL]
    randoms = {method['budget']: method['method'] for method in group['methods']
               if any(is_random_facts(entry['facts']) for entry in method['sets'])}
    found = {}
    for method in group['methods']:
        parts = [[run for run in rows if run['method'] == name] for rows, name in (
            (hard, method['method']), (soft, method['method']),
            (soft, randoms.get(method['budget'])))]
        if method['sets'] and full and all(parts):
            found[method['method']] = rank_set(parts[0], full, parts[1], parts[2])
    return found


def score_table(group: Mapping[str, Any]) -> Optional[Table]:
    """:func:`robust_scores` as a table."""
    if not group.get('scores'):
        return None
    names = ['HLR', 'IOR', 'LRS']
    return Table(['method'] + names, [
        [Cell(method)] + [Cell(f'{scores[name]["mean"]:.3f} ± {scores[name]["std"]:.3f}',
                            scores[name]['mean']) for name in names]
        for method, scores in group['scores'].items()])
