"""The report of an evaluation: what students learned from sets, as a table and as files."""
import os.path as osp
from dataclasses import asdict
from typing import List, Mapping, Optional, Sequence

from mmdd.protocols.results import BEST, LAST, MethodRuns
from mmdd.utils.io import atomic_write_json, atomic_write_text
from mmdd.utils.table import Table, markdown_list, markdown_text, number
from ..results import StudentResult
from .notes import FULL_NOTE, reading_notes, spread_notes
from .student_tables import LABELS, training_cells


def write_evaluation(student: StudentResult, work_dir: str, title: str,
                     notes: Sequence[str] = ()) -> None:
    """Print the table, and more notes below it, and write ``results.json`` and ``results.md``."""
    table, warned = evaluation_table(student.methods), student.warnings
    below = evaluation_notes(student.methods) + list(notes)
    table.print(title)
    for line in [f'Warning: {line}' for line in warned] + list(notes):
        print(line, flush=True)
    parts = [f'# {markdown_text(title)}', table.markdown,
             *(f'**Warning**: {markdown_text(line)}' for line in warned), markdown_list(below),
             '## Protocol', markdown_list(student.settings.lines)]
    atomic_write_text(osp.join(work_dir, 'results.md'), '\n\n'.join(parts) + '\n')
    atomic_write_json(osp.join(work_dir, 'results.json'), dict(
        title=title, methods=[row.to_json() for row in student.methods.values()],
        runs=[asdict(run) for run in student.runs], protocol=asdict(student.settings),
        warnings=warned, notes=below))


def evaluation_table(methods: Mapping[str, MethodRuns]) -> Table:
    """Per method images, updates, seconds, runs, and the last and best value of each metric."""
    finished = [runs for runs in methods.values() if runs.finished]
    figures = [(metric, which) for which in (LAST, BEST)
               if any(runs.first.metrics(which) for runs in finished)
               for metric in finished[0].first.last]
    return Table.of(({
        'method': runs.method + (' *' if runs.full else ''), **training_cells(runs),
        's per run': number(runs.seconds if runs.finished else None, 0), 'runs': _runs(runs),
        'lr (picked)': _rate(runs),
        **{f'{metric} ({which})': runs.mean(metric, which) for metric, which in figures}}
        for runs in methods.values()), optional=(*LABELS, 'lr (picked)'))


def _runs(row: MethodRuns) -> str:
    return (f'{len(row.finished)}' + (f' on {len(row.by_set)} sets' if len(row.by_set) > 1 else '')
            + (f' ({row.failed} failed)' if row.failed else ''))


def _rate(row: MethodRuns) -> Optional[str]:
    return f'{row.first.lr:g}' if row.finished and row.first.lr is not None else None


def evaluation_notes(methods: Mapping[str, MethodRuns]) -> List[str]:
    """How the figures of the table are to be read."""
    rows = methods.values()
    lines = reading_notes(rows) + spread_notes(rows)
    picked = [f'{row.method} {_rate(row)}' for row in rows if _rate(row)]
    if picked:
        lines.append(f'Learning rates picked per method, not on the test split: '
                     f'{", ".join(picked)}.')
    return lines + [FULL_NOTE] * any(row.full for row in rows)
