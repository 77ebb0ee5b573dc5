"""What changed between two benchmarks: figures, settings, sets, versions."""
from typing import Any, Dict, Iterator, List, Mapping, Tuple

from mmdd.utils.mean_std import MeanStd
from mmdd.utils.table import Shown, Table, signed
from ..results import Results


def compare_figures(before: Results, after: Results) -> Table:
    """Every figure of two benchmarks, A and B, beside each other.

    One row for each group, kind of student, method and metric that either has: both means ±
    standard deviations, their difference, and whether it is larger than the root of the summed
    variances ('yes', 'no', '-' where one is missing).
    """
    a, b = dict(_figures(before)), dict(_figures(after))
    rows: List[Dict[str, Shown]] = []
    for key in dict.fromkeys([*a, *b]):
        gap = b[key] - a[key] if key in a and key in b else None
        rows.append({
            **dict(zip(('group', 'students', 'method', 'metric'), key)),
            'A': a.get(key), 'B': b.get(key), 'B − A': gap and signed(gap.mean),
            'beyond the spread': gap and ('yes' if abs(gap.mean) > (gap.std or 0.) else 'no')})
    return Table.of(rows)


def _figures(results: Results) -> Iterator[Tuple[Tuple[str, ...], MeanStd]]:
    for group in results.groups:
        for student in group.students:
            for name, row in student.measured.items():
                for metric, value in row.means().items():
                    yield (group.name, student.title, name, metric), value


def compare_settings(before: Results, after: Results) -> List[str]:
    """Lines for what else differs: commit, machine, versions, protocols and sets."""
    lines = [f'{name}: {getattr(before, name)} -> {getattr(after, name)}'
             for name in ('commit', 'title') if getattr(before, name) != getattr(after, name)]
    a, b = _settings(before), _settings(after)
    lines += [f'{part}, {key}: {a[part].get(key)} -> {b[part].get(key)}'
              for part in a if part in b for key in dict.fromkeys([*a[part], *b[part]])
              if a[part].get(key) != b[part].get(key)]
    old, new = _sets(before), _sets(after)
    changed = sorted(name for name in set(old) & set(new) if old[name] != new[name])
    if changed:
        lines.append(f'sets of another job: {", ".join(changed)}')
    return lines


def _settings(results: Results) -> Dict[str, Mapping[str, Any]]:
    """Settings by what they are of."""
    return {**{name: getattr(results, name) for name in ('machine', 'versions', 'settings')},
            **{f'students of {group.name}, {student.title}': student.settings.shared
               for group in results.groups for student in group.students}}


def _sets(results: Results) -> Dict[str, List[Any]]:
    """What was distilled for a method: fingerprints of its jobs."""
    return {f'{group.name}, {method.name}': [facts['job'] for facts in method.facts]
            for group in results.groups for method in group.methods if method.facts}
