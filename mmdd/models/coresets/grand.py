"""Selection by the norm of early gradients."""
from typing import Sequence

import torch
from torch import nn

from mmdd.registry import MODELS
from mmdd.structures import RealAnnotation
from ..proxies import ClassifierProxy
from ..proxies.backbone_features import last_layer
from .prediction_error import prediction_errors
from .score import ScoreCoreset


@MODELS.register_module()
class GraNdCoreset(ScoreCoreset):
    r"""Gradient norm of `Deep Learning on a Data Diet
    <https://arxiv.org/abs/2107.07075>`_ (Paul et al., NeurIPS 2021), definition 1.

    The score of an image is the expected norm of its loss's gradient, here by the weights and
    the bias of the last layer, as is usual: of the features h that this layer sees it is
    :math:`\| p(x) - y \|_2 \sqrt{\| h \|_2^2 + 1}`. The expectation is over networks early in
    training, see :class:`EL2NCoreset`. Classification only.

    Args:
        snapshots, keep: See :class:`ScoreCoreset`; the paper keeps the hard ones.
    """

    proxy_kinds = (ClassifierProxy, )

    def describe(self, network, images: torch.Tensor,
                 annotations: Sequence[RealAnnotation]) -> torch.Tensor:
        """The norm of each image's gradient, (B, 1).

        Raises:
            ValueError: If the classifier does not end in a linear layer over its features.
        """
        features = network.features(images).cpu()
        name = last_layer(network.model, 'head.')
        layer = network.model.get_submodule(name)
        if not isinstance(layer, nn.Linear) or layer.in_features != features.shape[1]:
            raise ValueError(
                f'GraNdCoreset: {type(network.model).__name__} does not end in a linear layer '
                f'over its {features.shape[1]} features; take EL2NCoreset')
        squares = features.square().sum(1, keepdim=True) + (layer.bias is not None)
        return prediction_errors(network, images, annotations).norm(
            dim=1, keepdim=True) * squares.sqrt()
