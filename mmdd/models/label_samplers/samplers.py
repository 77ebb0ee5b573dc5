"""Which real labels the synthetic images are made for."""
from collections import deque
from typing import Any, Deque, Dict, List, Optional, Sequence

import numpy as np

from mmdd.registry import TASK_UTILS
from mmdd.structures import Canvas, Layout, RealAnnotation
from mmdd.utils.seed import derive_seed


class BaseLabelSampler:
    """Decides which objects the slots ask for: layouts, chosen or composed."""

    # Whether layouts hold objects of several real images, so that no one image shows them.
    composes = False

    def check(self, annotation: RealAnnotation) -> None:
        """Check that the sampler suits a real set, before anything else of the job is done.

        Args:
            annotation: Labels of its first image.

        Raises:
            ValueError: If not.
        """

    def bind(self, distiller: Any) -> None:
        """Called once a distiller is built, with its networks but without data.

        Args:
            distiller: The ``DatasetDistiller`` that is to use the sampler.

        Raises:
            ValueError: If it lacks what the sampler needs.
        """

    def finish_collect(self, distiller: Any, folder: Optional[str] = None) -> None:
        """Called once on every rank when the real set was read, before :meth:`sample`.

        What takes a pass over the real images is done here; the ranks may share the work.

        Args:
            distiller: That of :meth:`bind`, with ``classes`` and ``annotations``.
            folder: Where a resumed job finds again what this one computes; None keeps nothing.
        """

    def sample(self, annotations: Sequence[RealAnnotation], num: int, num_classes: int,
               seed: int, canvas: Canvas) -> List[Layout]:
        """Return ``num`` layouts.

        Called on the first rank alone, for an IPC budget once per class.

        A layout that is chosen is one of ``annotations`` itself, as it is; none is chosen
        twice.

        Args:
            annotations: Labels of the usable real images, each in pixels of its image.
            num: How many layouts, at most ``len(annotations)``.
            num_classes: Number of classes of the real set.
            seed: Seed of the choice.
            canvas: Size of the synthetic images, and what may be asked for there.
        """
        raise NotImplementedError


@TASK_UTILS.register_module()
class RandomLabelSampler(BaseLabelSampler):
    """Labels of real images drawn uniformly, as in the real set."""

    def sample(self, annotations: Sequence[RealAnnotation], num: int, num_classes: int,
               seed: int, canvas: Canvas) -> List[Layout]:
        """Return ``num`` distinct annotations in random order."""
        rng = np.random.default_rng(derive_seed('labels', seed))
        return [annotations[i] for i in rng.permutation(len(annotations))[:num]]


@TASK_UTILS.register_module()
class BalancedLabelSampler(BaseLabelSampler):
    """Class-balanced labels: the greedy rule of :func:`balanced_choice`."""

    def sample(self, annotations: Sequence[RealAnnotation], num: int, num_classes: int,
               seed: int, canvas: Canvas) -> List[Layout]:
        """Return ``num`` distinct annotations that balance the objects per class."""
        return [annotations[i] for i in
                balanced_choice([a.labels for a in annotations], num, num_classes, seed)]


@TASK_UTILS.register_module()
class DensestLabelSampler(BaseLabelSampler):
    """Labels of the real images with most objects, class-balanced.

    The rule of :func:`balanced_choice` with ``densest``, as in :class:`DensestCoreset`: with
    the same seed both take the same images, unless some hold objects below ``model.min_box``.
    """

    def sample(self, annotations: Sequence[RealAnnotation], num: int, num_classes: int,
               seed: int, canvas: Canvas) -> List[Layout]:
        """Return ``num`` distinct annotations, the densest one of the rarest class first."""
        return [annotations[i] for i in balanced_choice(
            [a.labels for a in annotations], num, num_classes, seed, densest=True)]


def balanced_choice(labels: Sequence[np.ndarray], num: int, num_classes: int,
                    seed: int, densest: bool = False) -> List[int]:
    """Choose images one by one, each for the class that has fewest objects so far.

    Among the images that hold the rarest class, a random one is taken; ties
    between classes go to the class with the lowest index. Images without any
    object come last.

    Args:
        labels: Class indices of the objects of each image.
        num: How many images to choose, at most ``len(labels)``.
        num_classes: Number of classes.
        seed: Seed of the random choices.
        densest: Take the one with most objects; a random one only of those that tie.
    """
    rng = np.random.default_rng(derive_seed('balanced', seed))
    order = rng.permutation(len(labels)).tolist()
    if densest:
        order.sort(key=lambda index: -len(labels[index]))
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
