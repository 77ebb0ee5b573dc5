"""Tables of sets: facts of their manifests, class by class, cost, configs, scores."""
import statistics
from typing import Any, Dict, Mapping, Optional

from mmdd.utils.mean_std import MeanStd
from mmdd.utils.table import Cell, Shown, Table, number, percent
from ..results import GroupResult, Results, SetResult

# Figures of FeatureMetricsHook: key, name of the column, decimals.
METRICS = (('mmd2', 'MMD²', 4), ('mmd_linear', 'MMD, linear', 2), ('coverage', 'coverage', 3),
           ('density', 'density', 3))
SCORES = ('HLR', 'IOR', 'LRS')


def facts_table(group: GroupResult) -> Table:
    """Budget, scores, labels and feature metrics of every set of a group."""
    return Table.of(
        ({'method': method.name, 'seed': number(entry.seed, 0), **_fact_cells(entry.facts or {})}
         for method in group.methods for entry in method.sets),
        optional=('judge score', *(title for _, title, _ in METRICS)))


def _fact_cells(facts: Mapping[str, Any]) -> Dict[str, Shown]:
    metrics = facts.get('metrics') or {}
    return {
        'images': number(facts.get('budget_asked'), 0),
        'accepted': number(facts.get('budget_met'), 0),
        'made': number(facts.get('images_made'), 0),
        'discarded': percent(facts['discard_rate'] or 0.) if facts else None,
        'tries per image': number(facts.get('rounds'), 2),
        'images per class': _range(facts.get('per_class')), 'score': _score(facts.get('score')),
        'lowest score': number((facts.get('score') or {}).get('min'), 2),
        'judge score': _score(facts.get('judge_score')),
        'labels by': ', '.join(f'{key} {value}' for key, value in facts.get(
            'label_sources', {}).items()) or None,
        **{title: number(metrics.get(key), digits) for key, title, digits in METRICS}}


def _range(per_class: Optional[Mapping[str, Mapping[str, int]]]) -> Optional[Cell]:
    """The least and the most images of a class, sorted by the least."""
    if not per_class:
        return None
    numbers = [one['images'] for one in per_class.values()]
    least, most = min(numbers), max(numbers)
    return Cell(str(least) if least == most else f'{least} to {most}', float(least))


def _score(score: Optional[Mapping[str, float]]) -> Optional[Cell]:
    """Mean and standard deviation of scores; None where nothing scored."""
    return Cell(f'{score["mean"]:.2f} ± {score["std"]:.2f}', score['mean']) if score else None


def class_tables(group: GroupResult) -> Dict[str, Table]:
    """By title images, objects and mean score of each class, for sets whose manifest tells."""
    found = {f'{method.name}, seed {entry.seed}': _class_table(entry)
             for method in group.methods for entry in method.sets}
    return {title: table for title, table in found.items() if table.rows}


def _class_table(entry: SetResult) -> Table:
    facts = entry.facts or {}
    scores = ((facts.get('metrics') or {}).get('score') or {}).get('class_means') or {}
    return Table.of(({
        'class': name, 'images': number(one['images'], 0),
        'objects': number(one.get('objects'), 0), 'mean score': number(scores.get(name), 2)}
        for name, one in (facts.get('per_class') or {}).items()), ('objects', 'mean score'))


def cost_table(group: GroupResult) -> Table:
    """Cost of every method: seconds and NFE per image, memory, its proxy's training."""
    return Table.of({
        'method': method.name, 's per image': number(cost.get('seconds_per_image'), 2),
        's per kept image': number(cost.get('seconds_per_kept'), 2),
        'NFE per kept image': number(cost.get('passes_per_kept'), 0),
        'host MiB': number(cost.get('host'), 0), 'GPU MiB': number(cost.get('gpu'), 0),
        'discarded': percent(statistics.fmean(
            facts['discard_rate'] or 0. for facts in method.facts)),
        'proxy training (s)': number((method.proxy or {}).get('seconds'), 0)}
        for method in group.methods if (cost := method.cost))


def config_table(results: Results) -> Table:
    """Which config and which folder belong to a method."""
    return Table.of({
        'method': method.name, 'table': group.name,
        'config': method.config or 'random baseline of its budget',
        'options': ' '.join(f'{key}={value}' for key, value in method.options.items()) or None,
        'set': method.sets[0].folder}
        for group in results.groups for method in group.methods if method.sets)


def score_table(group: GroupResult) -> Table:
    """Robust scores of the methods; without rows where there are none."""
    def cell(value: MeanStd) -> Cell:
        return Cell(f'{value.mean:.3f} ± {value.std or 0.:.3f}', value.mean)

    return Table.of({'method': name, **{score: cell(scores.values[score]) for score in SCORES}}
                    for name, scores in group.scores.items())
