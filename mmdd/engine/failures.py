"""Attempts that fail: no image, or one that may not be published."""
import logging
import math
from collections import Counter
from typing import Any, Dict, Iterable, List, Mapping, Sequence

from mmengine.logging import print_log
from torch import nn

from mmdd.structures import DistilledSample
from mmdd.utils.finite import NO_SCORE, UNGUIDED, bad_weight, image_fault
from .made_samples import check_scores

# How often a slot is tried at least as long as every attempt at it fails.
ATTEMPTS = 3
# A job stops where all of so many attempts failed, or more than half of twice as many.
FEW = 4


def fail_bad_images(samples: Sequence[DistilledSample]) -> List[DistilledSample]:
    """Turn what is no picture into failed attempts, in place.

    Images of real pixels are taken as they are.

    Returns:
        The other samples.
    """
    for sample in samples:
        fault = sample.failure
        if not fault and sample.image is not None and sample.label_source != 'real':
            fault = image_fault(sample.image)
        if fault:
            sample.fail(fault)
    return [sample for sample in samples if not sample.failure]


def fail_bad_scores(samples: Sequence[DistilledSample]) -> List[DistilledSample]:
    """Turn samples whose scores are not finite into failed attempts, in place.

    Returns:
        The other samples.

    Raises:
        ValueError: If refiners left what is no score, see :func:`check_scores`.
    """
    check_scores(samples)
    for sample in samples:
        numbers = (sample.score, sample.judge_score, sample.rank)
        if sample.failure or not all(n is None or math.isfinite(n) for n in numbers):
            sample.fail(sample.failure or NO_SCORE)
    return [sample for sample in samples if not sample.failure]


def all_failed(tried: Mapping[int, Mapping[str, Any]]) -> bool:
    """Whether every attempt at a slot failed; so it is before the first one.

    Args:
        tried: Records of the journal by round.
    """
    return all(record.get('failure') for record in tried.values())


def summarize_failures(attempts: Mapping[int, Mapping[int, Mapping[str, Any]]]) -> Dict[str, Any]:
    """The entry ``failures`` of the manifest.

    Args:
        attempts: Records of the journal by slot and round.

    Returns:
        dict: ``attempts``, how many failed; ``reasons``, how many for each of them; and
        ``missing``, the ids of the slots that have no image.
    """
    reasons = Counter(record['failure'] for own in attempts.values() for record in own.values()
                      if record.get('failure'))
    return dict(attempts=sum(reasons.values()), reasons=dict(reasons),
                missing=sorted(slot for slot, own in attempts.items() if all_failed(own)))


class FailureWatch:
    """Counts the failed attempts of this process, and stops a job that only fails."""

    def __init__(self) -> None:
        self.tried = 0
        self.reasons: Counter = Counter()

    def add(self, samples: Sequence[DistilledSample], distiller: Any) -> None:
        """Count the attempts of a batch.

        Args:
            samples: All of them.
            distiller: The distiller, to find the cause.

        Raises:
            ValueError: If the first ``FEW`` or more failed, or more than half of twice as many.
        """
        failed = [sample for sample in samples if sample.failure]
        self.tried += len(samples)
        self.reasons.update(sample.failure for sample in failed)
        if not failed:
            return
        print_log('failed attempts, which count as no image: ' + ', '.join(
            f'slot {sample.slot.id} ({sample.failure})' for sample in failed),
            'current', logging.WARNING)
        number = sum(self.reasons.values())
        if number == self.tried >= FEW or (self.tried >= 2 * FEW and 2 * number > self.tried):
            raise ValueError(failure_line(number, self.tried, self.reasons, distiller)
                             + '; what is made stays, --resume continues with it')


def failure_line(failed: int, tried: int, reasons: Mapping[str, int], distiller: Any) -> str:
    """How many attempts failed, why, and what helps."""
    return (f'{failed} of {tried} attempts failed ({list_reasons(reasons)}): '
            f'{likely_cause(reasons, distiller)}')


def list_reasons(reasons: Mapping[str, int]) -> str:
    """'3 not finite, 1 black'."""
    return ', '.join(f'{number} {reason}' for reason, number in reasons.items())


def likely_cause(reasons: Iterable[str], distiller: Any) -> str:
    """Why attempts fail, and what helps."""
    for part in ('diffusion', 'proxy', 'judge'):
        network = getattr(distiller, part, None)
        name = bad_weight(network) if isinstance(network, nn.Module) else None
        if name is not None:
            return (f'the weights of model.{part} are not finite, the first of them is {name!r}; '
                    f'give other weights')
    if set(reasons) <= {UNGUIDED, NO_SCORE}:
        return ('energies or scores of model.proxy or model.judge overflow; give other weights, '
                'or lower the scale of the guidance')
    scale = getattr(getattr(distiller, 'diffusion', None), 'cfg_scale', None)
    return ("latents or images overflow; set model.diffusion.dtype to 'bf16' or 'fp32', or lower "
            'the scale of the guidance'
            + (f' or model.diffusion.cfg_scale ({scale:g})' if scale is not None else ''))
