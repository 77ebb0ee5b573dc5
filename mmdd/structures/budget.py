"""How many synthetic images to make."""
from mmdd.registry import TASK_UTILS


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

    def _total(self, num_images: int, num_classes: int) -> int:
        raise NotImplementedError


@TASK_UTILS.register_module()
class IPC(BaseBudget):
    """Images per class.

    Args:
        n: Number of images for each class.
    """

    def __init__(self, n: int) -> None:
        self.n = n

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

    def __init__(self, percent: float) -> None:
        self.percent = percent

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

    def __init__(self, n: int) -> None:
        self.n = n

    def _total(self, num_images: int, num_classes: int) -> int:
        return int(self.n)

    def __repr__(self) -> str:
        return f'Total(n={self.n})'
