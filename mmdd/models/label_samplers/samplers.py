"""Which real labels the synthetic images are made for."""
from typing import List, Sequence

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
    order = rng.permutation(len(labels))
    counts = np.stack([np.bincount(labels[i], minlength=num_classes) for i in order])
    free = np.ones(len(order), bool)
    chosen: List[int] = []
    total = np.zeros(num_classes, np.int64)
    while len(chosen) < num:
        available = (counts[free] > 0).any(0)
        if available.any():
            rarest = np.where(available, total, np.iinfo(np.int64).max).argmin()
            position = int(np.flatnonzero(free & (counts[:, rarest] > 0))[0])
        else:
            position = int(np.flatnonzero(free)[0])
        free[position] = False
        total += counts[position]
        chosen.append(int(order[position]))
    return chosen
