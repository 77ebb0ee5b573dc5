"""Selection by how often training forgets an image."""
from typing import Any, Iterator, Mapping, Sequence, Tuple, Union

import numpy as np
import torch

from mmdd.registry import MODELS
from mmdd.structures import RealAnnotation
from mmdd.utils.seed import derive_seed
from ..proxies import ClassifierProxy
from .prediction_error import single_labels
from .score import ScoreCoreset


@MODELS.register_module()
class ForgettingCoreset(ScoreCoreset):
    """Forgetting events of `An Empirical Study of Example Forgetting during Deep Neural Network
    Learning <https://arxiv.org/abs/1812.05159>`_ (Toneva et al., ICLR 2019).

    An image is forgotten where one snapshot of a training classifies it right and the next one
    wrong; one that none classifies right counts more than all. The paper looks at an image when
    it is in a batch of the training; here at every snapshot, of which there should be one an
    epoch. A random one, by ``seed``, wins a tie. Classification only.

    Args:
        snapshots: Checkpoints of one training, at least two, see :class:`ScoreCoreset`.
        keep: See :class:`ScoreCoreset`; the paper keeps the hard ones.

    Raises:
        ValueError: If there are fewer than two snapshots.
    """

    proxy_kinds = (ClassifierProxy, )

    def __init__(self, snapshots: Union[str, Sequence[str]], **kwargs) -> None:
        super().__init__(snapshots=snapshots, **kwargs)

    @classmethod
    def reads_seed(cls, config: Mapping[str, Any]) -> bool:
        """Always: there are few counts and many ties."""
        return True

    def networks(self) -> Iterator[Tuple[str, Any]]:
        """The snapshots in the order of the training."""
        if len(self.snapshot_files) < 2:
            raise ValueError(f'ForgettingCoreset: model.snapshots names '
                             f'{len(self.snapshot_files)} checkpoint; it needs two or more of '
                             f'one training')
        return super().networks()

    def describe(self, network, images: torch.Tensor,
                 annotations: Sequence[RealAnnotation]) -> torch.Tensor:
        """Whether each image is classified right, (B, 1): 1 or 0."""
        found = torch.stack(network.predict(images)).cpu()
        right = found.argmax(1) == single_labels(annotations, found.shape[1])
        return right[:, None].float()

    def score(self, features: torch.Tensor) -> torch.Tensor:
        """Forgetting events, and less than one more that breaks ties."""
        rng = np.random.default_rng(derive_seed('forgetting', self.draw_seed))
        return forgetting_events(features) + torch.from_numpy(rng.random(len(features)))


def forgetting_events(right: torch.Tensor) -> torch.Tensor:
    """How often each image was forgotten, (N,) int64.

    Args:
        right: (N, T) whether it was classified right at T times, 1 or 0.

    Returns:
        Tensor: Counts; T for an image that was never classified right.
    """
    known = right > 0
    events = (known[:, :-1] & ~known[:, 1:]).sum(1)
    return events.where(known.any(1), torch.full_like(events, right.shape[1]))
