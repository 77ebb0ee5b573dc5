"""How many synthetic images to make."""
from typing import List, Sequence, Tuple

import numpy as np

from mmdd.registry import TASK_UTILS
from mmdd.utils.numbers import check_number


class BaseBudget:
    """Resolves to a number of images."""

    def resolve(self, num_images: int, num_classes: int) -> int:
        """Return the number of synthetic images.

        Args:
            num_images: Size of the real set.
            num_classes: Number of classes of the real set.

        Raises:
            ValueError: If the budget is 0 or above the size of the real set.
        """
        total = self._total(num_images, num_classes)
        if total < 1:
            raise ValueError(
                f'{self}: the budget is {total} images of {num_images}; raise it above 0')
        if total > num_images:
            raise ValueError(
                f'{self}: the budget is {total} images, more than the real set has '
                f'({num_images}); lower it')
        return total

    def groups(self, labels: Sequence[np.ndarray], num_classes: int,
               num: int) -> List[Tuple[np.ndarray, int]]:
        """Split the choice among images that compete with each other.

        Args:
            labels: Class indices of each image that may be chosen.
            num_classes: Number of classes.
            num: What :meth:`resolve` gave.

        Returns:
            list[tuple]: Pairs of indices into ``labels`` and how many of these
            images to choose; here one pair, all images.
        """
        return [(np.arange(len(labels)), num)]

    def _total(self, num_images: int, num_classes: int) -> int:
        raise NotImplementedError


@TASK_UTILS.register_module()
class IPC(BaseBudget):
    """Images per class.

    Where every image has one label, each class gets exactly ``n`` images.
    Where images hold objects of several classes, it is the total ``n`` times
    the number of classes.

    Args:
        n: Number of images for each class.
    """

    limits = dict(n=dict(low=1))

    def __init__(self, n: int) -> None:
        self.n = n

    def groups(self, labels: Sequence[np.ndarray], num_classes: int,
               num: int) -> List[Tuple[np.ndarray, int]]:
        """One pair per class where every image has one label.

        Raises:
            ValueError: If a class has fewer images than ``n``.
        """
        if any(len(own) != 1 for own in labels):
            return super().groups(labels, num_classes, num)
        flat = np.array([own[0] for own in labels])
        order = np.argsort(flat, kind='stable')
        bounds = np.searchsorted(flat[order], np.arange(num_classes + 1))
        groups = [order[start:end] for start, end in zip(bounds[:-1], bounds[1:])]
        for label, group in enumerate(groups):
            if len(group) < self.n:
                raise ValueError(f'{self}: class {label} has only {len(group)} real images; '
                                 f'lower the budget or leave the class out')
        return [(group, int(self.n)) for group in groups]

    def _total(self, num_images: int, num_classes: int) -> int:
        return int(self.n) * num_classes

    def __repr__(self) -> str:
        return f'IPC(n={self.n})'


@TASK_UTILS.register_module()
class Ratio(BaseBudget):
    """A share of the real set, rounded to the nearest image.

    Args:
        percent: Share in percent: 1 is one image in a hundred.
    """

    limits = dict(percent=dict(above=0, high=100))

    def __init__(self, percent: float) -> None:
        self.percent = check_number('Ratio: percent', percent)

    def _total(self, num_images: int, num_classes: int) -> int:
        return int(num_images * self.percent / 100 + 0.5)

    def __repr__(self) -> str:
        return f'Ratio(percent={self.percent})'


@TASK_UTILS.register_module()
class Total(BaseBudget):
    """A number of images over all classes.

    Args:
        n: Number of images.
    """

    limits = dict(n=dict(low=1))

    def __init__(self, n: int) -> None:
        self.n = n

    def _total(self, num_images: int, num_classes: int) -> int:
        return int(self.n)

    def __repr__(self) -> str:
        return f'Total(n={self.n})'
