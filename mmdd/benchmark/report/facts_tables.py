"""Tables of what the manifests say of sets."""
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .tables import Cell, Table, number_cell

# Figures of FeatureMetricsHook: key, name of the column, decimals.
METRICS = (('mmd2', 'MMD²', 4), ('coverage', 'coverage', 3), ('density', 'density', 3))
Entries = List[Tuple[str, Mapping[str, Any]]]


def facts_table(group: Mapping[str, Any]) -> Table:
    """Budget, scores, labels and feature metrics of every set of a group."""
    entries = _entries(group)
    metrics = [one for one in METRICS if any(
        _metrics(entry).get(one[0]) is not None for _, entry in entries)]
    judged = any(entry['facts'] and entry['facts'].get('judge_score') for _, entry in entries)
    table = Table([
        'method', 'seed', 'images', 'accepted', 'made', 'discarded', 'tries per image',
        'images per class', 'score', 'lowest score', *['judge score'] * judged, 'labels by',
        *(name for _, name, _ in metrics)], [])
    for name, entry in entries:
        head = [Cell(name), number_cell(entry['seed'], 0)]
        if not entry['facts']:
            table.rows.append(head + [Cell('-')] * (len(table.columns) - 2))
            continue
        found = _metrics(entry)
        table.rows.append(head + _cells(entry['facts'], judged) + [
            number_cell(found.get(key), digits) for key, _, digits in metrics])
    return table


def _entries(group: Mapping[str, Any]) -> Entries:
    return [(method['method'], entry) for method in group['methods'] for entry in method['sets']]


def _metrics(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return (entry['facts'] or {}).get('metrics') or {}


def _cells(facts: Mapping[str, Any], judged: bool) -> List[Cell]:
    score, discarded = facts['score'], facts['discard_rate'] or 0.
    sources = ', '.join(f'{key} {value}' for key, value in facts['label_sources'].items())
    return [
        number_cell(facts['budget_asked'], 0), number_cell(facts['budget_met'], 0),
        number_cell(facts['images_made'], 0), Cell(f'{100 * discarded:.1f} %', discarded),
        number_cell(facts['rounds'], 2), _range_cell(facts.get('per_class')), score_cell(score),
        number_cell(score and score['min'], 2),
        *([score_cell(facts.get('judge_score'))] if judged else []), Cell(sources)]


def _range_cell(per_class: Optional[Mapping[str, Mapping[str, int]]]) -> Cell:
    """The least and the most images of a class, sorted by the least."""
    if not per_class:
        return Cell('-')
    numbers = [one['images'] for one in per_class.values()]
    least, most = min(numbers), max(numbers)
    return Cell(str(least) if least == most else f'{least} to {most}', float(least))


def score_cell(score: Optional[Mapping[str, float]]) -> Cell:
    """Mean and standard deviation of scores; '-' where nothing scored."""
    return Cell(f'{score["mean"]:.2f} ± {score["std"]:.2f}', score['mean']) if score else Cell('-')


def class_tables(group: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """For each set whose manifest tells them the figures of its classes.

    Returns:
        list[dict]: ``title`` and ``table``: images, objects and mean score by class.
    """
    found = []
    for name, entry in _entries(group):
        per_class = (entry['facts'] or {}).get('per_class')
        if not per_class:
            continue
        scores = (_metrics(entry).get('score') or {}).get('class_means') or {}
        objects = any('objects' in one for one in per_class.values())
        table = Table(['class', 'images'] + ['objects'] * objects + ['mean score'] * bool(scores),
                      [])
        for label, one in per_class.items():
            table.rows.append(
                [Cell(label), number_cell(one['images'], 0)]
                + [number_cell(one.get('objects'), 0)] * objects
                + [number_cell(scores.get(label), 2)] * bool(scores))
        found.append(dict(title=f'{name}, seed {entry["seed"]}', table=table))
    return found
