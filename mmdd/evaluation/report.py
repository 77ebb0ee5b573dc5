"""Mean and standard deviation over seeds, as a table and as files."""
import os.path as osp
import statistics
from typing import Any, Dict, List, Sequence

from mmdd.utils.io import atomic_write_json, atomic_write_text
from mmdd.utils.table import markdown_table, print_table
from .protocol import FULL

WHICH = ('last', 'best')


def mean_std(values: Sequence[float]) -> Dict[str, float]:
    """Mean and sample standard deviation (n - 1); the latter is 0 for one value."""
    return dict(mean=statistics.fmean(values),
                std=statistics.stdev(values) if len(values) > 1 else 0.)


def summarize(results: Sequence[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """One row per arm from the rows of :func:`evaluate_sets`.

    Args:
        results: One row per set and seed; failed ones are counted, not averaged.

    Returns:
        list[dict]: arm, set, runs, failed, images, updates, seconds (mean per run)
        and, in ``last`` and (where one is selected) ``best``, ``dict(mean=, std=)``
        per metric.
    """
    rows = []
    for arm in dict.fromkeys(result['arm'] for result in results):
        every = [result for result in results if result['arm'] == arm]
        good = [result for result in every if 'error' not in result]
        row = dict(arm=arm, set=every[0]['set'], runs=len(good), failed=len(every) - len(good))
        if good:
            row.update(images=good[0]['images'], updates=good[0]['updates'],
                       seconds=statistics.fmean(result['seconds'] for result in good))
            for which in WHICH:
                if good[0][which] is None:
                    continue
                row[which] = {name: mean_std([result[which][name] for result in good])
                              for name in good[0][which]}
        rows.append(row)
    return rows


def write_report(results: Sequence[Dict[str, Any]], work_dir: str, title: str) -> List[Dict]:
    """Print the table and write ``results.json`` and ``results.md``.

    Args:
        results: Rows of :func:`evaluate_sets`.
        work_dir: Where the files go.
        title: Line above the table.

    Returns:
        list[dict]: Rows of :func:`summarize`.
    """
    rows = summarize(results)
    metrics = next((list(row['last']) for row in rows if row['runs']), [])
    which_ones = [which for which in WHICH if any(which in row for row in rows)]
    columns = ['arm', 'images', 'updates', 's per run', 'runs']
    columns += [f'{name} ({which})' for which in which_ones for name in metrics]
    cells = [_cells(row, metrics, which_ones) for row in rows]
    print_table(title, columns, cells)
    notes = ['Mean ± sample standard deviation over seeds, on the real test split. `last`: after '
             'the last update. `best`: the checkpoint that is best on the validation split.']
    if any(row['set'] == FULL for row in rows):
        notes.append('\\* trained on the full real set with the number of updates given for it, '
                     'not that of the small sets.')
    atomic_write_text(osp.join(work_dir, 'results.md'), '\n\n'.join(
        [f'# {title}', markdown_table(columns, cells).rstrip()] + notes) + '\n')
    atomic_write_json(osp.join(work_dir, 'results.json'), dict(
        title=title, arms=rows, runs=list(results)))
    return rows


def _cells(row: Dict[str, Any], metrics: Sequence[str],
           which_ones: Sequence[str]) -> List[str]:
    name = row['arm'] + (' *' if row['set'] == FULL else '')
    runs = f'{row["runs"]}' + (f' ({row["failed"]} failed)' if row['failed'] else '')
    if not row['runs']:
        return [name, '-', '-', '-', runs] + ['-'] * (len(which_ones) * len(metrics))
    values = [row.get(which, {}).get(metric) for which in which_ones for metric in metrics]
    return [name, str(row['images']), str(row['updates']), f'{row["seconds"]:.0f}', runs] + [
        mean_std_text(value, row['runs']) if value else '-' for value in values]


def mean_std_text(value: Dict[str, float], runs: int) -> str:
    """'mean ± std' with one decimal; of a single run the value alone."""
    return f'{value["mean"]:.1f}' + (f' ± {value["std"]:.1f}' if runs > 1 else '')
