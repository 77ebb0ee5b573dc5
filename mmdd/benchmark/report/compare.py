"""What changed between two benchmarks: figures, settings, sets, versions."""
import json
import math
from typing import Any, Dict, Iterator, List, Mapping, Tuple

from .tables import Cell, Table, mean_cell, student_title

# Columns of :func:`compare_rows`.
COLUMNS = ('group', 'students', 'method', 'metric', 'A', 'B', 'B − A', 'beyond the spread')
Key = Tuple[str, str, str, str]


def read_results(path: str) -> Dict[str, Any]:
    """The ``results.json`` of a benchmark.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no such file.
    """
    try:
        with open(path, encoding='utf-8') as f:
            content = json.load(f)
        content['groups'], content['versions']
        return content
    except FileNotFoundError:
        raise FileNotFoundError(
            f'{path} not found; give the results.json of a benchmark') from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is no results.json of a benchmark ({type(error).__name__}: '
                         f'{error})') from None


def compare_rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> Table:
    """Every figure of two benchmarks beside each other.

    Args:
        before: Content of ``results.json``, A.
        after: That of another run, B.

    Returns:
        Table: One row for each group, kind of student, method and metric that either has: both
        means ± standard deviations, their difference, and whether it is larger than the
        root of the summed variances ('yes', 'no', '-' where one is missing).
    """
    a, b = dict(_figures(before)), dict(_figures(after))
    table = Table(list(COLUMNS), [])
    for key in dict.fromkeys([*a, *b]):
        one, two = a.get(key), b.get(key)
        cells = [Cell(part) for part in key] + [
            mean_cell(value and value[0], value[1] if value else 0) for value in (one, two)]
        table.rows.append(cells + (_difference(one[0], two[0]) if one and two else
                                   [Cell('-'), Cell('-')]))
    return table


def _figures(results: Mapping[str, Any]) -> Iterator[Tuple[Key, Tuple[Mapping[str, float], int]]]:
    for group in results['groups']:
        for student in group['students']:
            for row in student['rows']:
                for metric, value in (row.get('last') or {}).items():
                    yield (group['name'], student_title(student), row['method'], metric), (
                        value, row['runs'])


def _difference(one: Mapping[str, float], two: Mapping[str, float]) -> List[Cell]:
    change = two['mean'] - one['mean']
    spread = math.hypot(one['std'], two['std'])
    return [Cell(f'{change:+.1f}'.replace('-', '−'), change),
            Cell('yes' if abs(change) > spread else 'no')]


def compare_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> List[str]:
    """Lines for what else differs: commit, machine, versions, protocols and sets."""
    lines = [f'{name}: {before.get(name)} -> {after.get(name)}' for name in ('commit', 'title')
             if before.get(name) != after.get(name)]
    for part in ('machine', 'versions', 'settings'):
        lines += _changes(part, before.get(part) or {}, after.get(part) or {})
    a, b = (dict(_protocols(results)) for results in (before, after))
    for name in a:
        lines += _changes(f'students of {name}', a[name], b.get(name, a[name]))
    a, b = (dict(_sets(results)) for results in (before, after))
    changed = sorted({name for name in set(a) & set(b) if a[name] != b[name]})
    if changed:
        lines.append(f'sets of another job: {", ".join(changed)}')
    return lines


def _changes(name: str, one: Mapping[str, Any], two: Mapping[str, Any]) -> List[str]:
    return [f'{name}, {key}: {one.get(key)} -> {two.get(key)}'
            for key in dict.fromkeys([*one, *two]) if one.get(key) != two.get(key)]


def _protocols(results: Mapping[str, Any]) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    for group in results['groups']:
        for student in group['students']:
            yield f'{group["name"]}, {student_title(student)}', student['settings']['shared']


def _sets(results: Mapping[str, Any]) -> Iterator[Tuple[str, List[Any]]]:
    """What was distilled for a method: fingerprints of its jobs."""
    for group in results['groups']:
        for method in group['methods']:
            jobs = [entry['facts']['job'] for entry in method['sets'] if entry['facts']]
            if jobs:
                yield f'{group["name"]}, {method["method"]}', jobs
