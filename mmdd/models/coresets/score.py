"""Selection of the images with the largest or the smallest score."""
import copy
import re
from glob import glob
from typing import Any, Iterator, List, Mapping, Sequence, Tuple, Union

import numpy as np
import torch

from .base import CoresetBaseline


class ScoreCoreset(CoresetBaseline):
    """Ranks images by one number each that networks give them.

    An author writes :meth:`describe`, which gives (B, 1) for one network. What several
    networks say of an image is averaged, unless :meth:`score` says otherwise. The lowest index
    wins a tie.

    Args:
        snapshots: Checkpoints of the proxy's network that describe the images in its place: a
            list of files, such as those of several short trainings, or a pattern with ``*``,
            such as the epochs of one training, ordered by the numbers in their names. None
            takes the proxy itself.
        keep: 'hard' takes the largest scores, 'easy' the smallest. Of few images the easy
            ones teach more (`Beyond neural scaling laws <https://arxiv.org/abs/2206.14486>`_).

    Raises:
        ValueError: If ``keep`` is another word.
    """

    uses_features = True
    limits = dict(keep=('hard', 'easy'))

    def __init__(self,
                 snapshots: Union[str, Sequence[str], None] = None,
                 keep: str = 'hard',
                 **kwargs) -> None:
        if keep not in ('hard', 'easy'):
            raise ValueError(f"{type(self).__name__}: keep must be 'hard' or 'easy', got {keep!r}")
        super().__init__(**kwargs)
        self.snapshots = snapshots
        self.keep = keep

    @classmethod
    def reads_seed(cls, config: Mapping[str, Any]) -> bool:
        """Never: scores have no random part."""
        return False

    def score(self, features: torch.Tensor) -> torch.Tensor:
        """One number per image, (N,), from those of all networks, (N, networks)."""
        return features.double().mean(1)

    def select(self, features: torch.Tensor, labels: List[np.ndarray],
               budget: int) -> Sequence[int]:
        """Return the ``budget`` images of the largest or smallest scores, in their order."""
        order = self.score(features).sort(descending=self.keep == 'hard', stable=True).indices
        return order[:budget].tolist()

    def networks(self) -> Iterator[Tuple[str, Any]]:
        """The proxy, or a copy of it with the weights of each snapshot in turn."""
        if self.snapshots is None:
            yield from super().networks()
            return
        network: Any = copy.deepcopy(self.proxy)
        for number, path in enumerate(self.snapshot_files):
            network.load(path)
            yield f'features_{number:03d}', network

    @property
    def snapshot_files(self) -> List[str]:
        """The checkpoints in their order; none without ``snapshots``.

        Raises:
            ValueError: If a pattern matches nothing.
        """
        if not isinstance(self.snapshots, str):
            return list(self.snapshots or ())
        found = glob(self.snapshots)
        if not found:
            raise ValueError(
                f'{type(self).__name__}: model.snapshots: nothing matches {self.snapshots}; list '
                f'the training that writes these checkpoints in prepare, with '
                f'default_hooks.checkpoint.max_keep_ckpts=-1')
        return sorted(found, key=_numbers)


def _numbers(path: str) -> Tuple[Tuple[int, ...], str]:
    return tuple(map(int, re.findall(r'\d+', path))), path
