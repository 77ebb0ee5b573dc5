"""Selection of images whose gradients stand for those of all."""
from typing import Sequence

import torch

from mmdd.registry import MODELS
from mmdd.structures import RealAnnotation
from ..proxies import ClassifierProxy
from .facility_location import FacilityLocationCoreset
from .prediction_error import prediction_errors


@MODELS.register_module()
class CRAIGCoreset(FacilityLocationCoreset):
    """`Coresets for Data-efficient Training of Machine Learning Models
    <https://arxiv.org/abs/1906.01827>`_ (Mirzasoleiman et al., ICML 2020).

    Facility location on the gradients of the loss by the logits, softmax minus one-hot label,
    which bound how much the gradients of a deep network differ (section 3.4). The paper
    chooses within each class, as an ``IPC`` budget does, and trains on weighted images; a set
    of files has no weights, so every image counts once. Classification only.
    """

    proxy_kinds = (ClassifierProxy, )

    def describe(self, network, images: torch.Tensor,
                 annotations: Sequence[RealAnnotation]) -> torch.Tensor:
        """The gradient of each image's loss by the logits, (B, K)."""
        return prediction_errors(network, images, annotations)
