"""DD-Ranking's robust scores of each set, from the runs of its students."""
import statistics
from typing import Any, Dict, List, Optional, Sequence

from mmdd.evaluation import robust_scores
from mmdd.protocols import MethodRuns, Run
from mmdd.utils.mean_std import MeanStd
from .results import GroupResult, RobustScores, StudentResult

SCORES = ('HLR', 'IOR', 'LRS', 'ARS')


def rank_set(set_hard: Sequence[Run],
             full_hard: Sequence[Run] = (),
             set_any: Sequence[Run] = (),
             random_any: Sequence[Run] = (),
             set_noaug: Sequence[Run] = (),
             random_noaug: Sequence[Run] = (),
             random_aug: Sequence[Run] = (),
             set_aug: Sequence[Run] = (),
             metric: Optional[str] = None,
             which: str = 'last',
             w: float = 0.5,
             gamma: float = 0.5) -> RobustScores:
    """Those of ``SCORES`` that the runs of a distilled set allow; metrics are in percent.

    A run of the set is compared with the runs of the others that have its seed, or with the
    mean of all of theirs where none has.

    Args:
        set_hard: The set with hard labels and augmentation; one score for each row.
        full_hard: The full real set with hard labels; for LRS.
        set_any: The set with any labels, such as soft ones; for LRS.
        random_any: Random real images with the labels of ``set_any``; for LRS.
        set_noaug: The set without augmentation, hard or soft labels; for ARS.
        random_noaug: Random real images likewise; for ARS.
        random_aug: Random real images with augmentation, labels likewise; for ARS.
        set_aug: The set likewise; ``set_hard`` if empty.
        metric: Column; the first one if None.
        which: 'last' or 'best'.
        w: See :func:`label_robust_score`.
        gamma: See :func:`augmentation_robust_score`.

    Raises:
        ValueError: If the runs allow no score, all of an input failed or one has no value of
            ``which``, or a value or weight is out of range.
    """
    wanted = dict(LRS=bool(full_hard and set_any and random_any),
                  ARS=bool(set_noaug and random_noaug and random_aug))
    if not set_hard or not any(wanted.values()):
        raise ValueError('rank_set: LRS needs set_hard, full_hard, set_any and random_any; ARS '
                         'needs set_hard, random_aug, set_noaug and random_noaug')

    def value(rows: Sequence[Run], run: Run) -> float:
        return statistics.fmean(_value(row, which, metric) for row in _matching(rows, run))

    runs: List[Dict[str, Any]] = []
    for run in _finished(set_hard, 'set_hard'):
        hard, found = _value(run, which, metric), dict(seed=run.seed, set=run.set)
        if wanted['LRS']:
            real, soft, random = (value(rows, run) for rows in (full_hard, set_any, random_any))
            found.update(HLR=robust_scores.hlr(real, hard), IOR=robust_scores.ior(soft, random),
                         LRS=robust_scores.label_robust_score(real, hard, soft, random, w))
        if wanted['ARS']:
            own, plain, other, bare = (value(rows, run) for rows in (
                set_aug or set_hard, random_aug, set_noaug, random_noaug))
            found['ARS'] = robust_scores.augmentation_robust_score(own, plain, other, bare, gamma)
        runs.append(found)
    return RobustScores({name: MeanStd.of([run[name] for run in runs])
                         for name in SCORES if name in runs[0]}, runs)


def group_scores(group: GroupResult) -> Dict[str, RobustScores]:
    """LRS and its parts by method, where hard and soft labels and the full set are measured.

    The first student with hard labels and the first one with soft labels count.
    """
    by_loss: Dict[Optional[str], StudentResult] = {}
    for student in group.students:
        by_loss.setdefault(student.settings.shared.get('loss'), student)
    hard, soft = by_loss.get('hard'), by_loss.get('soft')
    if hard is None or soft is None:
        return {}
    full = [run for run in hard.finished if run.full]
    randoms = group.randoms(soft)
    found = {}
    for method in group.methods:
        parts = (hard.runs_of(method).finished, full, soft.runs_of(method).finished,
                 randoms[method.budget].finished if method.budget in randoms else [])
        if method.sets and all(parts):
            found[method.name] = rank_set(*parts)
    return found


def _finished(runs: Sequence[Run], name: str = 'an input') -> List[Run]:
    good = MethodRuns(name, list(runs)).finished
    if not good:
        raise ValueError(f'rank_set: all runs of {name} failed')
    return good


def _value(run: Run, which: str, metric: Optional[str]) -> float:
    values = run.metrics(which)
    if not values:
        raise ValueError(f'rank_set: the run of {run.method} with seed {run.seed} has no '
                         f'{which!r} value; the protocol selects no checkpoint')
    return values[metric or next(iter(values))] / 100


def _matching(runs: Sequence[Run], run: Run) -> List[Run]:
    """Finished runs of the same set and seed, else of the same seed, else all."""
    good = _finished(runs)
    same_seed = [other for other in good if other.seed == run.seed]
    return [other for other in same_seed if other.set == run.set] or same_seed or good
