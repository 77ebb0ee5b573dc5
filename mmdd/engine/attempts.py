"""What the attempts at the slots of a plan amount to, by their records in the journal."""
import logging
from typing import Any, Dict, List, Mapping, Sequence

from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.progress import announce
from .failures import all_failed, failure_line, summarize_failures

# Records of one slot by round, and those of all slots by id.
Tried = Mapping[int, Mapping[str, Any]]
Attempts = Mapping[int, Tried]


def is_open(tried: Tried, round: int, max_rounds: int) -> bool:
    """Whether a slot is to be tried in a round.

    It is until an attempt was accepted; beyond ``max_rounds`` only if all of them failed.
    Attempts of the round itself do not count.
    """
    earlier = {r: record for r, record in tried.items() if r < round}
    return not any(record['accepted'] for record in earlier.values()) and (
        round < max_rounds or all_failed(earlier))


def is_finished(tried: Tried, max_rounds: int, rounds: int) -> bool:
    """Whether a slot is not to be tried any more in ``rounds`` rounds, see :func:`is_open`."""
    return all(round in tried or not is_open(tried, round, max_rounds)
               for round in range(rounds))


def best_round(tried: Tried) -> int:
    """The round to keep: the first accepted one, else the best score, else the first.

    Failed attempts do not count; at least one must not have failed.
    """
    made = [round for round in sorted(tried) if not tried[round].get('failure')]
    for round in made:
        if tried[round]['accepted']:
            return round

    def rank(round: int) -> float:
        record = tried[round]
        return record['score'] or 0. if record.get('rank') is None else record['rank']
    return max(made, key=rank)


def report_open_slots(slots: Sequence[DistillSlot], attempts: Attempts, max_rounds: int,
                      distiller: Any) -> None:
    """Warn of slots without an accepted image, when the rounds are used up.

    Raises:
        ValueError: If no slot has an image.
    """
    failures = summarize_failures(attempts)
    missing = len(failures['missing'])
    rejected = sum(not any(record['accepted'] for record in tried.values())
                   for tried in attempts.values()) - missing
    if missing == len(slots):
        raise ValueError(failure_line(failures['attempts'], failures['attempts'],
                                      failures['reasons'], distiller)
                         + '; no slot has an image: start anew in another --work-dir')
    if missing:
        announce(f'{missing} of {len(slots)} slots are missing from the set: every attempt at '
                 f'them failed; the manifest names them', logging.WARNING)
    if rejected:
        announce(f'the {max_rounds} rounds are used up: {rejected} of {len(slots)} slots stay '
                 f'below the threshold; each keeps its best reject, marked in the manifest',
                 logging.WARNING)


def count_made(attempts: Attempts) -> Dict[str, Any]:
    """How many images were made, and which share of them was rejected.

    Returns:
        dict: ``images_made``, ``discard_rate`` and ``failures``, see
        :func:`summarize_failures`.
    """
    records: List[Mapping[str, Any]] = [
        record for tried in attempts.values() for record in tried.values()]
    failures = summarize_failures(attempts)
    made = len(records) - failures['attempts']
    accepted = sum(record['accepted'] for record in records)
    return dict(images_made=made, discard_rate=round((made - accepted) / made, 4),
                failures=failures)


def scalars(samples: Sequence[DistilledSample]) -> Dict[str, float]:
    """Means over a batch for the log, and how many of its attempts failed, if any did."""
    outputs = dict(accepted=sum(s.accepted for s in samples) / len(samples),
                   seconds_per_image=sum(s.seconds for s in samples) / len(samples))
    failed = sum(bool(s.failure) for s in samples)
    if failed:
        outputs['failed'] = float(failed)
    for name, values in (('score', [s.score for s in samples if s.score is not None]),
                         ('judge_score', [s.judge_score for s in samples
                                          if s.judge_score is not None]),
                         ('energy', [s.stats['energy'] for s in samples if 'energy' in s.stats])):
        if values:
            outputs[name] = sum(values) / len(values)
    return outputs
