"""The interface of task-specific proxies."""
import os.path as osp
from typing import List, Optional, Sequence, Tuple, Union

import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import load_checkpoint
from torch import Tensor

from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.config import load_config, resolve_path


class TaskProxy(BaseModule):
    """A frozen mm* model trained on the real set (UniDD, equation 6).

    It judges images: an energy to guide by, a score to filter by, labels to
    relabel with, features to select by. No figure of one image depends on the
    others in its batch.

    Args:
        cfg: The stock mm* training config that describes the proxy: a path,
            ``mmdet::...`` or a dict.
        checkpoint: Its weights. Where they are missing, ``tools/distill.py``
            trains them by ``cfg`` first; None keeps them under the work dir.
    """

    # Registry scope of the mm* package whose models a subclass wraps.
    scope = 'mmengine'

    def __init__(self,
                 cfg: Union[str, dict],
                 checkpoint: Optional[str] = None) -> None:
        super().__init__()
        self.cfg = load_config(cfg)
        self.checkpoint = checkpoint
        self.model = self._build(self.cfg.model)
        if checkpoint is not None:
            self.load(checkpoint)
        self.requires_grad_(False).eval()

    def _build(self, model: ConfigDict):
        model = strip_init_cfg(ConfigDict(model.copy()))
        model.setdefault('_scope_', self.scope)
        with DefaultScope.overwrite_default_scope(self.scope):
            return ROOT_MODELS.build(model)

    def load(self, checkpoint: str) -> None:
        """Load trained weights.

        Raises:
            ValueError: If the file is missing, unreadable or of another model.
        """
        try:
            path = resolve_path(checkpoint)
            load_checkpoint(self.model, path, map_location='cpu', strict=True, logger='silent')
        except FileNotFoundError:
            raise ValueError(
                f'no proxy checkpoint at {checkpoint!r}; train it with tools/train.py or leave '
                f'model.proxy.checkpoint out') from None
        except Exception as e:  # a damaged pickle raises anything
            reason = (str(e).strip().splitlines() or [type(e).__name__])[0][:160]
            raise ValueError(
                f'{osp.abspath(path)}: cannot be loaded as the proxy ({reason}); delete it to '
                f'train it anew, or give another checkpoint') from None

    def train(self, mode: bool = True):
        """Stay in evaluation mode: the proxy is frozen, its batch norms too."""
        return super().train(False)

    def init_weights(self) -> None:
        """Keep the weights that were loaded."""

    def normalize(self, images: Tensor, divisor: int = 1) -> Tensor:
        """RGB images (B, 3, H, W) in [0, 1] to the model's own input.

        Padding is at the right and the bottom, with the mean colour, up to a
        multiple of ``divisor``.
        """
        preprocessor = self.model.data_preprocessor
        x = images.float() * 255
        if not takes_rgb(preprocessor):
            x = x.flip(1)
        if getattr(preprocessor, '_enable_normalize', True):
            x = (x - preprocessor.mean.to(x)) / preprocessor.std.to(x)
        height, width = x.shape[-2:]
        return F.pad(x, (0, -width % divisor, 0, -height % divisor))

    def energy(self, images: Tensor, slots: Sequence[DistillSlot]) -> Tensor:
        """Task loss of each image against its slot's label, (B,), differentiable."""
        raise NotImplementedError

    def predict(self, images: Tensor) -> list:
        """Predictions for images (B, 3, H, W), one a sample."""
        raise NotImplementedError

    def score(self, images: Tensor, samples: Sequence[DistilledSample],
              predictions: Optional[list] = None) -> Tensor:
        """How good each sample is, (B,) in [0, 1]."""
        raise NotImplementedError

    def relabel(self, images: Tensor, predictions: Optional[list] = None) -> List[dict]:
        """Labels as the proxy sees them, fields as in :class:`DistilledSample`."""
        raise NotImplementedError

    def features(self, images: Tensor) -> Tensor:
        """One feature vector an image, (B, D)."""
        raise NotImplementedError

def takes_rgb(preprocessor) -> bool:
    """Whether a model takes RGB: mm* pipelines read BGR, the preprocessor may turn it."""
    # Names of that switch in mmdet, mmseg and mmpretrain.
    names = ('_channel_conversion', 'channel_conversion', 'to_rgb')
    return any(getattr(preprocessor, name, False) for name in names)


def strip_init_cfg(node):
    """Remove ``init_cfg`` everywhere: trained weights follow, nothing downloads."""
    if isinstance(node, dict):
        node.pop('init_cfg', None)
        node.pop('pretrained', None)
        for value in node.values():
            strip_init_cfg(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            strip_init_cfg(value)
    return node

def read_test_scale(cfg) -> Tuple[Optional[Tuple[int, int]], bool]:
    """(scale, keep_ratio) of the Resize in a config's test pipeline, if any."""
    dataset = cfg.get('test_dataloader', cfg.get('val_dataloader', {})).get('dataset', {})
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    for step in dataset.get('pipeline', []):
        if step.get('type', '').endswith('Resize') and step.get('scale') is not None:
            return tuple(step['scale']), bool(step.get('keep_ratio', False))
    return None, False

def resize_images(images: Tensor, scale: Optional[Tuple[int, int]], keep_ratio: bool) -> Tensor:
    """Resize (B, 3, H, W) as mmcv's Resize does: ``scale`` is (width, height)."""
    if scale is None:
        return images
    height, width = images.shape[-2:]
    if keep_ratio:
        factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
        size = (int(height * factor + 0.5), int(width * factor + 0.5))
    else:
        size = (scale[1], scale[0])
    if size == (height, width):
        return images
    # No antialiasing: OpenCV, by which the detector learned to see, has none.
    return F.interpolate(images, size=size, mode='bilinear', align_corners=False)
