"""The distance of two images in the features of a classifier, for the loss of an autoencoder."""
from typing import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdd.engine.train_job import ensure_checkpoint
from mmdd.models import ClassifierProxy


def load_features(config: str, checkpoint: str, device: str) -> nn.Module:
    """The frozen blocks of a trained :class:`ConvNet`, which is trained first where it is missing.

    It maps images (B, 3, H, W) in [-1, 1], RGB, to the maps of all blocks.
    """
    ensure_checkpoint(config, checkpoint)
    model = ClassifierProxy(config, checkpoint).model
    return Features(model).to(device).eval().requires_grad_(False)


class Features(nn.Module):
    """The maps of all blocks of a classifier, from RGB images in [-1, 1]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.blocks = model.backbone.blocks
        self.register_buffer('mean', model.data_preprocessor.mean)
        self.register_buffer('std', model.data_preprocessor.std)

    def forward(self, images: Tensor) -> list:
        x, maps = ((images + 1) * 127.5 - self.mean) / self.std, []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps


def perceptual_distance(features: Callable[[Tensor], list], a: Tensor, b: Tensor) -> Tensor:
    """Squared distance of two batches in the maps of a network, a scalar.

    The mean over maps and positions of the squared distance of their vectors of length 1, as in
    LPIPS (https://arxiv.org/abs/1801.03924, equation 1) with equal weights.

    Args:
        features: Maps images to maps (B, C, h, w) of several sizes.
        a: Images (B, 3, H, W) in [-1, 1]; the gradient goes through them.
        b: Images that they are compared with, without a gradient.
    """
    with torch.no_grad():
        wanted = [F.normalize(x, dim=1, eps=1e-6) for x in features(b)]
    parts = [(F.normalize(x, dim=1, eps=1e-6) - y).square().sum(1).mean()
             for x, y in zip(features(a), wanted)]
    return torch.stack(parts).mean()
