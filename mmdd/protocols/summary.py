"""Mean and standard deviation over seeds and sets, as a table and as files."""
import math
import os.path as osp
import statistics
from typing import Any, Dict, List, Mapping, Optional, Sequence

from mmdd.utils.io import atomic_write_json, atomic_write_text
from mmdd.utils.table import markdown_table, markdown_text, print_table
from .protocol import FULL
from .settings import method_line, settings_lines

WHICH = ('last', 'best')
# An accuracy up to this multiple of 1 / K is called chance.
CHANCE = 1.5
NOTES = dict(
    val='`best`: the checkpoint that is best on the validation split, measured on the test split.',
    test='`best`: selected on the test split, as the paper does: optimistic. `last` is not.')


def mean_std(values: Sequence[float]) -> Dict[str, float]:
    """Mean and sample standard deviation (n - 1); the latter is 0 for one value."""
    return dict(mean=statistics.fmean(values),
                std=statistics.stdev(values) if len(values) > 1 else 0.)


def summarize(results: Sequence[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """One row per method from the rows of :func:`evaluate_sets`.

    Args:
        results: One row per set and seed; failed ones are counted, not averaged.

    Returns:
        list[dict]: method, set, runs, failed, images, updates, seconds (mean per run)
        and, in ``last`` and (where one is selected) ``best``, ``dict(mean=, std=)``
        per metric over all runs. Methods of several sets also have ``sets``, see
        :func:`over_sets`; where they apply, ``select`` and ``lr``.
    """
    rows = []
    for method in dict.fromkeys(result['method'] for result in results):
        every = [result for result in results if result['method'] == method]
        good = [result for result in every if 'error' not in result]
        row = dict(method=method, set=every[0]['set'], runs=len(good),
                   failed=len(every) - len(good))
        if good:
            row.update(images=good[0]['images'], updates=good[0]['updates'],
                       seconds=statistics.fmean(result['seconds'] for result in good))
            for key in ('select', 'lr'):
                if good[0].get(key) is not None:
                    row[key] = good[0][key]
            for which in WHICH:
                if good[0][which] is None:
                    continue
                row[which] = {name: mean_std([result[which][name] for result in good])
                              for name in good[0][which]}
        if len({result['set'] for result in every}) > 1:
            row['sets'] = over_sets(good)
        rows.append(row)
    return rows


def over_sets(results: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    """Spread between the generated sets of a method, and within them.

    Args:
        results: Finished rows of one method.

    Returns:
        dict: ``per_set``: by folder the number of runs, and mean and std over its
        seeds; ``between``: std of the means of the sets; ``within``: the root of the pooled
        variance over the seeds of each set. Both by 'last' or 'best' and metric.
    """
    folders = list(dict.fromkeys(result['set'] for result in results))
    found: Dict[str, Any] = dict(per_set={}, between={}, within={})
    for folder in folders:
        mine = [result for result in results if result['set'] == folder]
        found['per_set'][folder] = dict(runs=len(mine), **{
            which: {name: mean_std([result[which][name] for result in mine])
                    for name in mine[0][which]}
            for which in WHICH if mine[0].get(which) is not None})
    per_set = list(found['per_set'].values())
    for which in WHICH:
        if not per_set or which not in per_set[0]:
            continue
        names = list(per_set[0][which])
        found['between'][which] = {
            name: mean_std([one[which][name]['mean'] for one in per_set])['std']
            for name in names}
        found['within'][which] = {name: _pooled(
            [(one['runs'], one[which][name]['std']) for one in per_set]) for name in names}
    return found


def _pooled(parts: Sequence[tuple]) -> float:
    """Root of the variance within groups of (number, standard deviation); 0 of single runs."""
    free = sum(number - 1 for number, _ in parts)
    return math.sqrt(sum((number - 1) * std**2 for number, std in parts) / free) if free else 0.


def warnings_of(results: Sequence[Dict[str, Any]], task: str) -> List[str]:
    """Lines a reader must not miss: results at chance level, failed runs.

    Args:
        results: Rows of :func:`evaluate_sets`.
        task: Task of the protocol; chance is 1 / K for classification alone.
    """
    lines = []
    for row in summarize(results):
        if row['failed']:
            lines.append(f'{row["method"]}: {row["failed"]} of {row["failed"] + row["runs"]} runs '
                         f'failed and are left out')
        classes = next((result.get('num_classes') for result in results
                        if result['method'] == row['method'] and 'error' not in result), None)
        if task != 'classification' or not row['runs'] or not classes or classes < 2:
            continue
        name, value = next(iter(row['last'].items()))
        chance = 100. / classes
        if value['mean'] <= CHANCE * chance:
            lines.append(f'{row["method"]}: {name} {value["mean"]:.1f} is near chance '
                         f'({chance:.1f} for {classes} classes): check the labels and the order '
                         f'of the classes, the learning rate and the number of updates')
    return lines


def write_report(results: Sequence[Dict[str, Any]], work_dir: str, title: str,
                 settings: Optional[Mapping[str, Any]] = None,
                 notes: Sequence[str] = ()) -> List[Dict]:
    """Print the table and write ``results.json`` and ``results.md``.

    Args:
        results: Rows of :func:`evaluate_sets`.
        work_dir: Where the files go.
        title: Line above the table.
        settings: See :func:`protocol_settings`; the section ``protocol`` of the files.
        notes: More lines below the table.

    Returns:
        list[dict]: Rows of :func:`summarize`.
    """
    rows = summarize(results)
    metrics = next((list(row['last']) for row in rows if row['runs']), [])
    which_ones = [which for which in WHICH if any(which in row for row in rows)]
    columns = ['method', 'images', 'updates', 's per run', 'runs']
    has_rates = any('lr' in row for row in rows)
    columns += ['lr (picked)'] * has_rates
    columns += [f'{name} ({which})' for which in which_ones for name in metrics]
    cells = [_cells(row, metrics, which_ones, has_rates) for row in rows]
    print_table(title, columns, cells)
    warned = warnings_of(results, (settings or {}).get('task', ''))
    below = _notes(rows, results) + [markdown_text(line) for line in notes]
    for line in [f'Warning: {line}' for line in warned] + list(notes):
        print(line, flush=True)
    parts = [f'# {markdown_text(title)}', markdown_table(columns, cells).rstrip()]
    parts += [f'**Warning**: {markdown_text(line)}' for line in warned] + below
    if settings:
        lines = settings_lines(settings) + [
            method_line(method, own) for method, own in settings['methods'].items()]
        parts += ['## Protocol', '\n'.join(f'- {markdown_text(line)}' for line in lines)]
    atomic_write_text(osp.join(work_dir, 'results.md'), '\n\n'.join(parts) + '\n')
    atomic_write_json(osp.join(work_dir, 'results.json'), dict(
        title=title, methods=rows, runs=list(results), protocol=dict(settings or {}),
        warnings=warned, notes=below))
    return rows


def _notes(rows: Sequence[Dict[str, Any]], results: Sequence[Dict[str, Any]]) -> List[str]:
    """How the numbers of the table are to be read, in Markdown."""
    notes = ['Mean ± sample standard deviation over all runs, on the real test split. `last`: '
             'after the last update.']
    selected = {row.get('select') or 'val' for row in rows if 'best' in row}
    notes += [NOTES[select] for select in ('val', 'test') if select in selected]
    if not selected:
        notes.append('There is no split to select a checkpoint on: no `best`.')
    for row in rows:
        spread = row.get('sets')
        if spread and spread['between']:
            name = next(iter(spread['between']['last']))
            between, within = (spread[key]['last'][name] for key in ('between', 'within'))
            method = markdown_text(row['method'])
            notes.append(f'{method}: {len(spread["per_set"])} sets; {name} (last) has a std '
                         f'of {between:.1f} between the means of the sets and of {within:.1f} '
                         f'within a set.')
    picked = {row['method']: row['lr'] for row in rows if 'lr' in row}
    if picked:
        notes.append('Learning rates picked per method, not on the test split: ' + ', '.join(
            f'{markdown_text(method)} {rate:g}' for method, rate in picked.items()) + '.')
    if any(row['set'] == FULL for row in rows):
        notes.append('\\* trained on the full real set with the number of updates given for it, '
                     'not that of the small sets.')
    return notes


def _cells(row: Dict[str, Any], metrics: Sequence[str], which_ones: Sequence[str],
           has_rates: bool) -> List[str]:
    name = row['method'] + (' *' if row['set'] == FULL else '')
    sets = len(row['sets']['per_set']) if 'sets' in row else 1
    runs = f'{row["runs"]}' + (f' on {sets} sets' if sets > 1 else '') + (
        f' ({row["failed"]} failed)' if row['failed'] else '')
    if not row['runs']:
        return [name, '-', '-', '-', runs] + ['-'] * (
            has_rates + len(which_ones) * len(metrics))
    values = [row.get(which, {}).get(metric) for which in which_ones for metric in metrics]
    rates = [f'{row["lr"]:g}' if 'lr' in row else '-'] * has_rates
    head = [name, str(row['images']), str(row['updates']), f'{row["seconds"]:.0f}', runs]
    return head + rates + [
        mean_std_text(value, row['runs']) if value else '-' for value in values]


def mean_std_text(value: Dict[str, float], runs: int) -> str:
    """'mean ± std' with one decimal; of a single run the value alone."""
    return f'{value["mean"]:.1f}' + (f' ± {value["std"]:.1f}' if runs > 1 else '')
