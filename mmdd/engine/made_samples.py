"""Checks of what a method, its refiners among them, makes of a batch of slots."""
import math
from numbers import Real
from typing import Any, List, Sequence

import numpy as np

from mmdd.structures import DistilledSample, DistillSlot

# Who writes a number of a sample.
WRITERS = dict(score='model.refiners', judge_score='model.judge', rank='model.refiners')
# How far beyond [0, 1] fp16 rounds a score.
ROUND_OFF = 1e-3


def check_samples(distiller: Any, slots: List[DistillSlot], samples: Any) -> List[DistilledSample]:
    """Check what the ``distill_step`` of a distiller returns for a batch of slots.

    Args:
        distiller: The distiller.
        slots: The batch.
        samples: What it returns.

    Raises:
        ValueError: If it is not one sample for each slot in their order, or a sample has no
            image of uint8 RGB, or a label that exceeds it.
    """
    method = f'{type(distiller).__name__}.distill_step'
    fits = isinstance(samples, (list, tuple)) and all(
        isinstance(sample, DistilledSample) for sample in samples)
    if not fits or [s.slot.id for s in samples] != [slot.id for slot in slots]:
        got = _kinds(samples) if not fits else f'samples of {[s.slot.id for s in samples]}'[:120]
        raise ValueError(f'{method} must return a list with one DistilledSample for each slot, in '
                         f'their order, here of {[slot.id for slot in slots]}, got {got}')
    for sample in samples:
        if not sample.failure and not sample.path:
            check_image(method, sample.image)
            sample.target.check(sample.image.shape[:2], distiller.classes,
                                f'{method}: slot {sample.slot.id}')
    return list(samples)


def _kinds(samples: Any) -> str:
    """What stands in the place of a list of samples."""
    if not isinstance(samples, (list, tuple)):
        return f'an object of type {type(samples).__name__}'
    return f'a list of {", ".join(sorted({type(sample).__name__ for sample in samples}))}'


def check_image(where: str, image: Any) -> None:
    """Check the form of an image that was made.

    Raises:
        ValueError: If it is no (H, W, 3) array of uint8.
    """
    if not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
            and image.shape[2] == 3):
        dtype, shape = getattr(image, 'dtype', None), getattr(image, 'shape', None)
        got = f'{dtype} {tuple(shape)}' if shape is not None else type(image).__name__
        raise ValueError(f'{where}: the image of a sample must be an array (H, W, 3) of uint8 '
                         f'RGB in [0, 255], got {got}')


def check_scores(samples: Sequence[DistilledSample]) -> None:
    """Check what refiners and the judge wrote into samples.

    Numbers of other packages become plain ones; scores that round-off took out of [0, 1] are
    cut. Those that are not finite pass: such an attempt fails.

    Raises:
        ValueError: If a score is no number or not in [0, 1], ``accepted`` no truth value, or an
            image was changed to another form.
    """
    for sample in samples:
        if sample.failure:
            continue
        for name in WRITERS:
            value = getattr(sample, name)
            if value is not None:
                value = _number(name, value)
                setattr(sample, name, value if name == 'rank' else _score(name, value))
        if not isinstance(sample.accepted, (bool, np.bool_)):
            raise ValueError(f'model.refiners: sample.accepted must be True or False, got '
                             f'{sample.accepted!r}')
        sample.accepted = bool(sample.accepted)
        if not sample.path:
            check_image('model.refiners', sample.image)


def _number(name: str, value: Any) -> float:
    value = value.item() if getattr(value, 'ndim', None) == 0 else value
    if not isinstance(value, Real) or isinstance(value, bool):
        raise ValueError(f'{WRITERS[name]}: sample.{name} must be a number or None, got {value!r}')
    return float(value)


def _score(name: str, value: float) -> float:
    """A score in [0, 1]; one that is not finite as it is."""
    if not math.isfinite(value):
        return value
    if not -ROUND_OFF <= value <= 1 + ROUND_OFF:
        raise ValueError(f'{WRITERS[name]}: sample.{name} must be in [0, 1], got {value:g}; scale '
                         f'it to that range (only sample.rank takes any number)')
    return min(max(value, 0.), 1.)
