"""The students that DD-Ranking's robust scores need, and the scores of each set."""
import statistics
from typing import Any, Dict, List, Mapping, Optional, Sequence

from mmdd.evaluation import robust_scores
from mmdd.protocols import MethodRuns, Run, by_method, evaluate_sets
from mmdd.protocols.lr_search import LR_GRID
from mmdd.protocols.protocol import FULL, read_protocol
from mmdd.protocols.recipes import SoftRule
from mmdd.registry import TASK_UTILS
from mmdd.utils.components import class_of
from mmdd.utils.config import ConfigType
from mmdd.utils.mean_std import MeanStd
from .results import GroupResult, RobustScores, StudentResult

SCORES = ('HLR', 'IOR', 'LRS', 'ARS')
RANDOM, FULL_SET = 'random real images', 'full real set'


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

    ValueError where they allow none, or all runs of an input failed.

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


def rank_protocols(sets: Mapping[str, Any],
                   random: Any,
                   hard: ConfigType,
                   soft: ConfigType,
                   work_dir: str,
                   noaug: Optional[ConfigType] = None,
                   seeds: Sequence[int] = (0, 1, 2, 3, 4),
                   jobs: Optional[int] = None,
                   lr_grid: Optional[Sequence[float]] = LR_GRID,
                   full: Optional[float] = None,
                   **kwargs: Any) -> Dict[str, RobustScores]:
    """Train everything that LRS and ARS need: :func:`rank_set` of each set by name.

    ValueError for a name of the random or the full set, a ``full`` that is no percentage, and a
    set without a finished run.

    Args:
        sets: Folder, or list of folders, of each set by name; all of one size.
        random: Folder, or folders, of random real images of that size.
        hard: Protocol with hard labels.
        soft: Protocol with soft labels, or any other kind.
        work_dir: Where the runs go; finished ones are skipped.
        noaug: A protocol without augmentation; there is no ARS if None. ARS compares the
            labels that it has: where it is ``soft`` without augmentation, ARS is that of
            soft labels.
        seeds: Seeds of the trainings; DD-Ranking takes 5.
        jobs: See :func:`evaluate_sets`.
        lr_grid: See :func:`evaluate_sets`; DD-Ranking picks the rate of each set.
        full: Accuracy of the full real set with hard labels in percent, if it is known.
            None trains it once, with the first seed and the rate of the protocol: it costs
            more than all the others, and only its value counts.
        kwargs: See :func:`rank_set`.
    """
    if {RANDOM, FULL_SET} & set(sets):
        raise ValueError(f'rank_protocols: the names {RANDOM!r} and {FULL_SET!r} are taken')

    def train(protocol: Optional[ConfigType]) -> Dict[str, List[Run]]:
        if protocol is None:
            return {}
        found = by_method(evaluate_sets(dict(sets, **{RANDOM: random}), protocol, work_dir, seeds,
                                        jobs, lr_grid=lr_grid))
        return {name: own.runs for name, own in found.items()}

    if full is not None and not 0 <= full <= 100:
        raise ValueError(f'the accuracy of the full real set is in percent, 0 to 100, got {full}')
    by_hard, by_soft, bare = train(hard), train(soft), train(noaug)
    augmented = by_soft if bare and labels_are_soft(noaug) else by_hard
    if full is None:
        whole = evaluate_sets({FULL_SET: FULL}, hard, work_dir, seeds[:1], jobs)
    else:
        values = {kwargs.get('metric') or 'known': full}
        whole = [Run(FULL_SET, FULL, seeds[0], last=values, best=values)]
    return {name: rank_set(
        by_hard[name], whole, by_soft[name], by_soft[RANDOM], bare.get(name, ()),
        bare.get(RANDOM, ()), augmented[RANDOM], augmented[name], **kwargs) for name in sets}


def labels_are_soft(protocol: ConfigType) -> bool:
    """Whether a protocol trains on a teacher's labels."""
    cfg = read_protocol(protocol)
    rule = class_of(TASK_UTILS, cfg.protocol.get('schedule'))
    return rule is not None and issubclass(rule, SoftRule)


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
