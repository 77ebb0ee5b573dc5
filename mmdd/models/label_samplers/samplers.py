"""Which real labels the synthetic images are made for."""
from collections import deque
from typing import Any, Deque, Dict, List, Optional, Sequence, Set

import numpy as np

from mmdd.registry import TASK_UTILS
from mmdd.structures import Canvas, Layout, RealAnnotation
from mmdd.utils.seed import derive_seed


class BaseLabelSampler:
    """Decides which objects the slots ask for: layouts, chosen or composed."""

    # Whether layouts hold objects of several real images, so that no one image shows them.
    composes = False
    # Whether it chooses by what the proxy of the distiller reads of the real images.
    reads_images = False

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
    """Class-balanced labels: the greedy rule of :func:`balanced_choice`.

    Args:
        stratified: Spread the numbers of objects as in the real set. A few random images may
            hold many more objects than others, or fewer: ten of scenes with one to four objects
            each 18 or 34 of them.
    """

    def __init__(self, stratified: bool = False) -> None:
        self.stratified = stratified

    def sample(self, annotations: Sequence[RealAnnotation], num: int, num_classes: int,
               seed: int, canvas: Canvas) -> List[Layout]:
        """Return ``num`` distinct annotations that balance the objects per class."""
        return [annotations[i] for i in balanced_choice(
            [a.labels for a in annotations], num, num_classes, seed, stratified=self.stratified)]


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


def balanced_choice(labels: Sequence[np.ndarray], num: int, num_classes: int, seed: int,
                    densest: bool = False, stratified: bool = False) -> List[int]:
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
        stratified: Take one image of each stratum, see :func:`strata_of`: so the numbers of
            objects are spread as in the real set, whatever the seed. A class none of whose images
            is in a stratum that is left is passed over.

    Raises:
        ValueError: If both ``densest`` and ``stratified`` are asked for.
    """
    if densest and stratified:
        raise ValueError('balanced_choice: the densest images are no spread of all; give one of '
                         'densest and stratified')
    rng = np.random.default_rng(derive_seed('balanced', seed))
    order = rng.permutation(len(labels)).tolist()
    if densest:
        order.sort(key=lambda index: -len(labels[index]))
    bare = deque(index for index in order if not len(labels[index]))
    strata = strata_of(order, labels, num) if stratified else {index: index for index in order}
    # Images of each class in that order.
    queues: List[Deque[int]] = [deque() for _ in range(num_classes)]
    for index in order:
        for label in set(labels[index].tolist()):
            queues[label].append(index)
    total = np.zeros(num_classes)
    chosen: List[int] = []
    closed: Set[int] = set()
    while len(chosen) < num:
        rarest = int(total.argmin())
        if not np.isfinite(total[rarest]):
            chosen.append(bare.popleft())
            continue
        queue = queues[rarest]
        while queue and strata[queue[0]] in closed:
            queue.popleft()
        if not queue:
            total[rarest] = np.inf
            continue
        chosen.append(queue[0])
        closed.add(strata[queue[0]])
        np.add.at(total, labels[queue[0]], 1)
    return chosen


def strata_of(order: Sequence[int], labels: Sequence[np.ndarray], num: int) -> Dict[int, int]:
    """The stratum of each image that holds objects, by its number of objects.

    The images are put in order of their number of objects, and cut into ``num`` strata of
    equal size (up to one image), or as many as there are images.

    Args:
        order: Indices of images; this order decides among equal numbers.
        labels: Class indices of the objects of each image.
        num: How many strata.
    """
    ranked = sorted((index for index in order if len(labels[index])),
                    key=lambda index: len(labels[index]))
    num = min(num, len(ranked))
    return {index: rank * num // len(ranked) for rank, index in enumerate(ranked)}
