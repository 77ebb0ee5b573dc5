"""Which classes occur together in a real set."""
import numpy as np


def class_lift(counts: np.ndarray, smoothing: float) -> np.ndarray:
    """How much more often two classes share an image than independent ones would.

    With n_ab images that hold objects of both classes and e_ab = n_a n_b / N expected, it is
    (n_ab + s) / (e_ab + s), the posterior mean of the ratio under a gamma prior of mean 1: 1
    where the data say nothing. For a class with itself, n_aa counts images with two objects or
    more, and e_aa is what a Poisson number of objects gives that leaves as many images empty.

    Args:
        counts: (N, K) objects of each image and class.
        smoothing: s, in images.

    Returns:
        ndarray: (K, K) symmetric, positive.
    """
    total = len(counts)
    present = (counts > 0).astype(np.float64)
    images = present.sum(0)
    both, expected = present.T @ present, np.outer(images, images) / total
    rate = -np.log(np.clip(1 - images / total, 1 / (2 * total), 1))
    np.fill_diagonal(both, (counts > 1).sum(0))
    np.fill_diagonal(expected, total * (1 - np.exp(-rate) * (1 + rate)))
    return (both + smoothing) / (expected + smoothing)


class ClassChooser:
    r"""Chooses the class of the next object, balanced over the plan.

    .. math:: p(c \mid a_1 \dots a_k) \propto 2^{-d_c / s} \prod_i L(a_i, c)^s

    d_c is by how many objects class c is ahead of the rarest one, L the :func:`class_lift`
    with each class that the layout holds already, and s the strength: a naive Bayes estimate
    with the balance in place of the prior. At s = 0 it is the rarest class, a random one of
    those that tie; so it is for the first object of a layout at any strength.

    Args:
        counts: (I, K) objects of each real image and class.
        strength: s, 0 or more.
        smoothing: See :func:`class_lift`.

    Attributes:
        total: (K,) objects of each class so far; infinite where the real set has none.
    """

    def __init__(self, counts: np.ndarray, strength: float, smoothing: float) -> None:
        self.strength = strength
        self.lift = class_lift(counts, smoothing)
        self.total = np.where(counts.sum(0) > 0, 0., np.inf)

    def choose(self, labels, rng: np.random.Generator) -> int:
        """The next class of a layout.

        Args:
            labels: Classes of the objects that it has, which count as well.
            rng: Source of the choice.
        """
        total = self.total.copy()
        np.add.at(total, np.array(labels, np.int64), 1)
        ahead = total - total.min()
        if not len(labels) or self.strength == 0:
            return int(rng.choice(np.flatnonzero(ahead == 0)))
        lift = np.log(self.lift[sorted(set(labels))]).sum(0)
        score = np.where(np.isfinite(ahead), self.strength * lift
                         - ahead * np.log(2) / self.strength, -np.inf)
        weight = np.exp(score - score.max())
        return int(rng.choice(len(weight), p=weight / weight.sum()))

    def add(self, labels) -> None:
        """Count the objects of a finished layout."""
        np.add.at(self.total, np.array(labels, np.int64), 1)
