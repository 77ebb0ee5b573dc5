"""How far figures can be trusted: two kinds of spread, and a paired test against a baseline."""
import math
import statistics
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from scipy import stats

from mmdd.registry import MODELS
from .tables import Cell, Table, number_cell

SPREAD_NOTE = ('spread between the means of sets, and within the students of a set; difference to '
               'the best baseline of the budget over students of equal seeds, with its 95 % '
               'interval, within the spread where that holds 0')
Run = Mapping[str, Any]


def spread_table(group: Mapping[str, Any], student: Mapping[str, Any]) -> Table:
    """Spread and paired differences of the first metric for one kind of student.

    Args:
        group: A group of ``results.json``.
        student: One of its ``students``.

    Returns:
        Table: By method the mean, the standard deviation between sets and within them ('-' of
        one set, or of one student on each), the best baseline of its budget, and the
        :func:`paired_difference` to it, and whether its interval holds 0. Empty
        without a baseline.
    """
    metric, methods = group['metrics'][0], [m for m in group['methods'] if m['sets']]
    runs = {m['method']: [run for run in student['runs']
                       if run['method'] == m['method'] and 'error' not in run] for m in methods}
    table = Table(['method', 'budget', metric, 'between sets', 'within a set', 'best baseline',
                   'difference, 95 % interval', 'within the spread'], [])
    best = best_baselines(methods, runs, metric)
    if not best:
        return table
    for method in methods:
        name = method['method']
        if not runs[name]:
            continue
        between, within = spreads(runs[name], metric)
        baseline = best.get(method['budget'], '')
        table.rows.append([
            Cell(name), Cell(method['budget']),
            number_cell(statistics.fmean(run['last'][metric] for run in runs[name])),
            number_cell(between), number_cell(within),
            *_paired_cells(runs, name, baseline, metric)])
    return table


def best_baselines(methods: Sequence[Mapping[str, Any]], runs: Mapping[str, Sequence[Run]],
                   metric: str) -> Dict[str, str]:
    """Name of the coreset with the highest mean, by budget."""
    found: Dict[str, Tuple[float, str]] = {}
    for method in methods:
        mine = runs[method['method']]
        if mine and is_baseline(method):
            mean = statistics.fmean(run['last'][metric] for run in mine)
            found[method['budget']] = max(
                found.get(method['budget'], (-math.inf, '')), (mean, method['method']))
    return {budget: name for budget, (_, name) in found.items()}


def is_baseline(method: Mapping[str, Any]) -> bool:
    """Whether the sets of a method are real images, by what made them."""
    facts = next((entry['facts'] for entry in method['sets'] if entry['facts']), None)
    kind = MODELS.get(str(facts['method']).rpartition('.')[2]) if facts else None
    return bool(getattr(kind, 'takes_over', False))


def spreads(runs: Sequence[Run], metric: str) -> Tuple[Optional[float], Optional[float]]:
    """Standard deviation of the means of sets, and that of students pooled over sets.

    None where there is one set, or one student on each.
    """
    sets: Dict[str, List[float]] = {}
    for run in runs:
        sets.setdefault(run['set'], []).append(run['last'][metric])
    means = [statistics.fmean(values) for values in sets.values()]
    free = sum(len(values) - 1 for values in sets.values())
    squares = sum((value - mean)**2 for values, mean in zip(sets.values(), means)
                  for value in values)
    return (statistics.stdev(means) if len(means) > 1 else None,
            math.sqrt(squares / free) if free else None)


def paired_difference(runs: Sequence[Run], others: Sequence[Run],
                      metric: str) -> Optional[Tuple[float, float]]:
    """Mean difference of students of equal seeds, and half of its 95 % interval.

    Of a seed the mean over all sets counts. Student's t distribution; None with fewer than
    two common seeds.
    """
    mine, theirs = (_by_seed(each, metric) for each in (runs, others))
    gaps = [mine[seed] - theirs[seed] for seed in mine if seed in theirs]
    if len(gaps) < 2:
        return None
    error = statistics.stdev(gaps) / math.sqrt(len(gaps))
    return statistics.fmean(gaps), float(stats.t.ppf(0.975, len(gaps) - 1)) * error


def _by_seed(runs: Sequence[Run], metric: str) -> Dict[int, float]:
    seeds: Dict[int, List[float]] = {}
    for run in runs:
        seeds.setdefault(run['seed'], []).append(run['last'][metric])
    return {seed: statistics.fmean(values) for seed, values in seeds.items()}


def _paired_cells(runs: Mapping[str, Sequence[Run]], name: str, baseline: str,
                  metric: str) -> List[Cell]:
    found = None
    if baseline and name != baseline:
        found = paired_difference(runs[name], runs[baseline], metric)
    if found is None:
        return [Cell(baseline or '-'), Cell('-'), Cell('-')]
    gap, half = found
    return [Cell(baseline), Cell(f'{gap:+.1f} ± {half:.1f}'.replace('-', '−'), gap),
            Cell('yes' if abs(gap) <= half else 'no')]
