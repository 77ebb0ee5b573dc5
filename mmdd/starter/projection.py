"""How long a job will sample, before it starts."""
import math
import os.path as osp
from dataclasses import dataclass
from typing import List

from mmdd.datasets.manifest import MANIFEST, read_manifest
from mmdd.utils.numbers import check_number

HOUR = 3600


@dataclass
class Pace:
    """How fast images are made.

    Attributes:
        seconds: Seconds that one GPU takes for an image, all of its batch counted.
        gpus: GPUs that share the images; a rank or a shard has one each.
        attempts: Attempts at a slot on average.
        source: Set that this was measured on; '' where it is assumed.
    """
    seconds: float
    gpus: int = 1
    attempts: float = 1.
    source: str = ''


def read_pace(text: str, gpus: int = 1) -> Pace:
    """The pace of a number of seconds, or that of an earlier set.

    Args:
        text: Seconds per image, or a folder with a ``manifest.json``.
        gpus: GPUs that share the images.

    Raises:
        ValueError: If it is neither, or the manifest tells no time.
    """
    try:
        seconds = float(text)
    except ValueError:
        return _measured(text, gpus)
    return Pace(check_number('--seconds-per-image', seconds, above=0), gpus)


def _measured(folder: str, gpus: int) -> Pace:
    manifest = read_manifest(folder)
    if not manifest:
        raise ValueError(f'--seconds-per-image: {folder} is neither a number nor a distilled set '
                         f'(there is no {osp.join(folder, MANIFEST)})')
    seconds = (manifest.get('cost') or {}).get('seconds_per_image')
    rounds = {image['slot']: image['rounds'] for image in manifest.get('images') or []}
    if not seconds or not rounds:
        raise ValueError(f'--seconds-per-image: {folder} tells no seconds per image; give a '
                         f'number')
    return Pace(seconds, gpus, sum(rounds.values()) / len(rounds), folder)


def project(slots: int, rounds: int, pace: Pace) -> List[str]:
    """GPU hours and wall hours of sampling, a line each.

    The GPU with most slots is the last to finish; what is trained first is not counted.

    Args:
        slots: Slots of the plan.
        rounds: How often a slot is tried at most.
        pace: How fast images are made.
    """
    tried = min(pace.attempts, rounds)
    how = f'{pace.seconds:.4g} s each'
    if pace.source:
        how += f' and {tried:.3g} attempts at an image, as in {pace.source}'
    most = math.ceil(slots / pace.gpus)
    gpus = f'{pace.gpus} GPU{"s" if pace.gpus > 1 else ""}'
    return [f'GPU hours of sampling: {_hours(slots, tried, rounds, pace)} '
            f'({slots:,} images, {how})',
            f'wall hours of sampling on {gpus}: {_hours(most, tried, rounds, pace)}']


def _hours(slots: int, tried: float, rounds: int, pace: Pace) -> str:
    """'1.39', or '1.39, at most 4.17 in 3 rounds'."""
    hours = slots * pace.seconds / HOUR
    text = f'{tried * hours:.3g}'
    return text if tried >= rounds else f'{text}, at most {rounds * hours:.3g} in {rounds} rounds'
