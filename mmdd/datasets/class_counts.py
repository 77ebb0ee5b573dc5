"""How many images and objects of a distilled set belong to each class."""
import logging
from collections import Counter
from typing import Dict, List, Mapping, Sequence

from mmengine.logging import print_log

from mmdd.structures import BACKGROUND, DistilledSample

# Up to so many classes a log line names each of them.
NAMED = 20


def count_classes(samples: Sequence[DistilledSample],
                  classes: Sequence[str]) -> Dict[str, Dict[str, int]]:
    """Images and objects of each class by the final labels.

    Args:
        samples: The samples of a set.
        classes: Class names by index; 'background' is no class to count.

    Returns:
        dict: By class name ``images``, how many hold the class, and where each label
        is an object ``objects``.
    """
    counted = any(sample.target.counts_objects for sample in samples)
    images: Counter = Counter()
    objects: Counter = Counter()
    for sample in samples:
        own = Counter(sample.labels.tolist())
        images.update(own.keys())
        objects.update(own)
    return {name: dict(images=images[index], **(dict(objects=objects[index]) if counted else {}))
            for index, name in enumerate(classes) if name != BACKGROUND}


def report_counts(counts: Mapping[str, Mapping[str, int]]) -> None:
    """Log how many images or objects each class has, and warn of classes without any.

    Args:
        counts: See :func:`count_classes`.
    """
    unit = 'objects' if any('objects' in one for one in counts.values()) else 'images'
    numbers = {name: one[unit] for name, one in counts.items()}
    if not numbers:
        return
    if len(numbers) <= NAMED:
        words = ', '.join(f'{short(name)}: {number}' for name, number in numbers.items())
    else:
        words = f'{min(numbers.values())} to {max(numbers.values())}'
    print_log(f'{unit} per class: {words}', 'current')
    empty: List[str] = [short(name) for name, number in numbers.items() if not number]
    if empty:
        more = f' and {len(empty) - NAMED} more' if len(empty) > NAMED else ''
        print_log(f'{len(empty)} of {len(numbers)} classes are empty: no image of the set shows '
                  f'{", ".join(empty[:NAMED])}{more}', 'current', logging.WARNING)


def short(name: str) -> str:
    """The first of the names of a class, as of ImageNet's 'tench, Tinca tinca'."""
    return name.split(',')[0]
