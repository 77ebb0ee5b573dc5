"""Which real labels the synthetic images are made for."""
from collections import deque
from typing import Deque, Dict, List, Sequence

import numpy as np

from mmdd.registry import TASK_UTILS
from mmdd.structures import RealAnnotation
from mmdd.utils.seed import derive_seed


class BaseLabelSampler:
    """Chooses real images whose labels become the labels of slots."""

    def sample(self, annotations: Sequence[RealAnnotation], num: int, num_classes: int,
               seed: int) -> List[int]:
        """Return ``num`` indices into ``annotations``, none twice.

        Args:
            annotations: Labels of the usable real images.
            num: How many to choose, at most ``len(annotations)``.
            num_classes: Number of classes of the real set.
            seed: Seed of the choice.
        """
        raise NotImplementedError


@TASK_UTILS.register_module()
class RandomLabelSampler(BaseLabelSampler):
    """Labels of real images drawn uniformly, as in the real set."""

    def sample(self, annotations: Sequence[RealAnnotation], num: int, num_classes: int,
               seed: int) -> List[int]:
        """Return ``num`` distinct indices in random order."""
        rng = np.random.default_rng(derive_seed('labels', seed))
        return rng.permutation(len(annotations))[:num].tolist()


@TASK_UTILS.register_module()
class BalancedLabelSampler(BaseLabelSampler):
    """Class-balanced labels: the greedy rule of :func:`balanced_choice`."""

    def sample(self, annotations: Sequence[RealAnnotation], num: int, num_classes: int,
               seed: int) -> List[int]:
        """Return ``num`` distinct indices that balance the objects per class."""
        return balanced_choice([a.labels for a in annotations], num, num_classes, seed)


def balanced_choice(labels: Sequence[np.ndarray], num: int, num_classes: int,
                    seed: int) -> List[int]:
    """Choose images one by one, each for the class that has fewest objects so far.

    Among the images that hold the rarest class, a random one is taken; ties
    between classes go to the class with the lowest index. Images without any
    object come last.

    Args:
        labels: Class indices of the objects of each image.
        num: How many images to choose, at most ``len(labels)``.
        num_classes: Number of classes.
        seed: Seed of the random choices.
    """
    rng = np.random.default_rng(derive_seed('balanced', seed))
    order = rng.permutation(len(labels)).tolist()
    # Images of each class in that order; the first of a queue is always free.
    queues: List[Deque[int]] = [deque() for _ in range(num_classes)]
    bare: Deque[int] = deque()
    for index in order:
        for label in set(labels[index].tolist()):
            queues[label].append(index)
        if not len(labels[index]):
            bare.append(index)
    total = np.array([0. if queue else np.inf for queue in queues])
    chosen: Dict[int, None] = {}
    while len(chosen) < num:
        rarest = int(total.argmin())
        if not np.isfinite(total[rarest]):
            chosen[bare.popleft()] = None
            continue
        index = queues[rarest][0]
        chosen[index] = None
        np.add.at(total, labels[index], 1)
        for label in set(labels[index].tolist()):
            while queues[label] and queues[label][0] in chosen:
                queues[label].popleft()
            if not queues[label]:
                total[label] = np.inf
    return list(chosen)
