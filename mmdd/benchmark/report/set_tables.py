"""Tables of sets: facts of their manifests, class by class, cost, configs, scores."""
import statistics
from typing import Any, Dict, List, Mapping, Optional, Tuple

from mmdd.utils.table import Cell, Column, Table, number, percent
from ..results import GroupResult, MethodResult, Results, SetResult

# Figures of FeatureMetricsHook: key, name of the column, decimals.
METRICS = (('mmd2', 'MMD²', 4), ('mmd_linear', 'MMD, linear', 2), ('coverage', 'coverage', 3),
           ('density', 'density', 3))
SCORES = ('HLR', 'IOR', 'LRS')
Entry = Tuple[MethodResult, SetResult]


def facts_table(group: GroupResult) -> Table:
    """Budget, scores, labels and feature metrics of every set of a group."""
    entries = _entries(group)
    judged = any(entry.facts and entry.facts.get('judge_score') for _, entry in entries)

    def fact(title, show) -> Column:
        return title, lambda item: show(item[1].facts) if item[1].facts else None

    return Table.build(entries, [
        ('method', lambda item: item[0].name), ('seed', lambda item: number(item[1].seed, 0)),
        fact('images', lambda facts: number(facts['budget_asked'], 0)),
        fact('accepted', lambda facts: number(facts['budget_met'], 0)),
        fact('made', lambda facts: number(facts['images_made'], 0)),
        fact('discarded', lambda facts: percent(facts['discard_rate'] or 0.)),
        fact('tries per image', lambda facts: number(facts['rounds'], 2)),
        fact('images per class', lambda facts: _range(facts.get('per_class'))),
        fact('score', lambda facts: _score(facts['score'])),
        fact('lowest score', lambda facts: number((facts['score'] or {}).get('min'), 2)),
        *[fact('judge score', lambda facts: _score(facts.get('judge_score')))] * judged,
        fact('labels by', lambda facts: ', '.join(
            f'{key} {value}' for key, value in facts['label_sources'].items())),
        *(fact(title, lambda facts, key=key, digits=digits: number(
            _metrics(facts).get(key), digits)) for key, title, digits in METRICS
          if any(_metrics(entry.facts).get(key) is not None for _, entry in entries))])


def _entries(group: GroupResult) -> List[Entry]:
    return [(method, entry) for method in group.methods for entry in method.sets]


def _metrics(facts: Optional[Mapping[str, Any]]) -> Mapping[str, Any]:
    return (facts or {}).get('metrics') or {}


def _range(per_class: Optional[Mapping[str, Mapping[str, int]]]) -> Optional[Cell]:
    """The least and the most images of a class, sorted by the least."""
    if not per_class:
        return None
    numbers = [one['images'] for one in per_class.values()]
    least, most = min(numbers), max(numbers)
    return Cell(str(least) if least == most else f'{least} to {most}', float(least))


def _score(score: Optional[Mapping[str, float]]) -> Optional[Cell]:
    """Mean and standard deviation of scores; None where nothing scored."""
    if not score:
        return None
    return Cell(f'{score["mean"]:.2f} ± {score["std"]:.2f}', score['mean'])


def class_tables(group: GroupResult) -> Dict[str, Table]:
    """By title images, objects and mean score of each class, for sets whose manifest tells."""
    found = {}
    for method, entry in _entries(group):
        per_class = (entry.facts or {}).get('per_class')
        if not per_class:
            continue
        scores = (_metrics(entry.facts).get('score') or {}).get('class_means') or {}
        columns: List[Column] = [('class', lambda item: item[0]),
                                 ('images', lambda item: number(item[1]['images'], 0))]
        if any('objects' in one for one in per_class.values()):
            columns.append(('objects', lambda item: number(item[1].get('objects'), 0)))
        if scores:
            columns.append(_score_column(scores))
        found[f'{method.name}, seed {entry.seed}'] = Table.build(per_class.items(), columns)
    return found


def _score_column(scores: Mapping[str, float]) -> Column:
    return 'mean score', lambda item: number(scores.get(item[0]), 2)


def cost_table(group: GroupResult) -> Table:
    """Cost of every method: seconds and NFE per image, memory, its proxy's training."""
    def cost(title: str, key: str, digits: int = 0) -> Column:
        return title, lambda method: number(method.cost.get(key), digits)

    return Table.build([method for method in group.methods if method.facts], [
        ('method', lambda method: method.name), cost('s per image', 'seconds_per_image', 2),
        cost('s per kept image', 'seconds_per_kept', 2),
        cost('NFE per kept image', 'passes_per_kept'), cost('host MiB', 'host'),
        cost('GPU MiB', 'gpu'),
        ('discarded', lambda method: percent(statistics.fmean(
            facts['discard_rate'] or 0. for facts in method.facts))),
        ('proxy training (s)', lambda method: number((method.proxy or {}).get('seconds'), 0))])


def config_table(results: Results) -> Table:
    """Which config and which folder belong to a method."""
    return Table.build([
        (group, method) for group in results.groups for method in group.methods if method.sets], [
        ('method', lambda item: item[1].name), ('table', lambda item: item[0].name),
        ('config', lambda item: item[1].config or 'random baseline of its budget'),
        ('options', lambda item: ' '.join(
            f'{key}={value}' for key, value in item[1].options.items()) or None),
        ('set', lambda item: item[1].sets[0].folder)])


def score_table(group: GroupResult) -> Optional[Table]:
    """Robust scores of the methods; None where there are none."""
    def score(name: str) -> Column:
        return name, lambda item: Cell(
            f'{item[1].values[name].mean:.3f} ± {item[1].values[name].std or 0.:.3f}',
            item[1].values[name].mean)

    if not group.scores:
        return None
    return Table.build(group.scores.items(), [('method', lambda item: item[0]),
                                              *map(score, SCORES)])
