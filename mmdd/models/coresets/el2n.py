"""Selection by the error of early predictions."""
from typing import Sequence

import torch

from mmdd.registry import MODELS
from mmdd.structures import RealAnnotation
from ..proxies import ClassifierProxy
from .prediction_error import prediction_errors
from .score import ScoreCoreset


@MODELS.register_module()
class EL2NCoreset(ScoreCoreset):
    r"""Error L2-norm of `Deep Learning on a Data Diet
    <https://arxiv.org/abs/2107.07075>`_ (Paul et al., NeurIPS 2021), definition 3.

    The score of an image is :math:`E\, \| p(x) - y \|_2` of the class probabilities and the
    one-hot label, over networks early in training: give several short trainings of other seeds
    as ``snapshots`` (the paper averages 10, after 20 of 200 epochs). Classification only.

    Args:
        snapshots, keep: See :class:`ScoreCoreset`; the paper keeps the hard ones.
    """

    proxy_kinds = (ClassifierProxy, )

    def describe(self, network, images: torch.Tensor,
                 annotations: Sequence[RealAnnotation]) -> torch.Tensor:
        """The norm of each image's error, (B, 1), in [0, sqrt(2)]."""
        return prediction_errors(network, images, annotations).norm(dim=1, keepdim=True)
