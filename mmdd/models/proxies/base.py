"""The interface of task-specific proxies."""
import os.path as osp
from typing import List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import load_checkpoint
from torch import Tensor

from mmdd.datasets.views import loader_dataset, read_classes
from mmdd.structures import DistilledSample, DistillSlot, RealObject, Target
from mmdd.utils.compat import fix_checkpoint_loading
from mmdd.utils.config import load_config, resolve_path
from mmdd.utils.finite import check_weights
from mmdd.utils.plain_types import UnsafeFileError
from .view import test_pipeline

# The packages whose models are proxies, one for each task.
PROXY_SCOPES = {'mmpretrain', 'mmdet', 'mmseg'}


class TaskProxy(BaseModule):
    """A frozen mm* model trained on the real set (UniDD, equation 6).

    It looks at images: an energy to guide by, a score to filter by, labels to
    relabel with, features to select by. No figure of one image depends on the
    others in its batch.

    Args:
        cfg: The stock mm* training config that describes the proxy: a path,
            ``mmdet::...``, a dict, or a list of these that is merged.
        checkpoint: Its weights. Where they are missing, ``tools/distill.py``
            trains them by ``cfg`` first; None keeps them under the work dir.
    """

    # Registry scope of the mm* package whose models a subclass wraps.
    scope = 'mmengine'
    # Whether it scores and labels images; without, it gives features only.
    gives_scores = True
    # Whether a job trains it by its cfg where its weights are missing; without, they are fetched
    # by ``local_checkpoint``.
    trained_by_job = True

    def __init__(self,
                 cfg: Union[str, dict, Sequence],
                 checkpoint: Optional[str] = None) -> None:
        super().__init__()
        self.cfg = load_config(cfg)
        if (self.cfg.get('model') or {}).get('type') is None:
            raise ValueError(f'{type(self).__name__}: its cfg has no model; give a training '
                             f'config of {self.scope}')
        self.checkpoint = checkpoint
        self.model = self._build(self.cfg.model)
        if checkpoint is not None:
            self.load(checkpoint)
        self.requires_grad_(False).eval()

    def _build(self, model: ConfigDict):
        model = strip_init_cfg(ConfigDict(model.copy()))
        model.setdefault('_scope_', self.scope)
        with DefaultScope.overwrite_default_scope(self.scope):
            built = ROOT_MODELS.build(model)
        packages = {base.__module__.split('.')[0] for base in type(built).__mro__}
        if packages & PROXY_SCOPES and self.scope not in packages:
            raise ValueError(f'{type(self).__name__} takes a model of {self.scope}, its cfg has a '
                             f'{type(built).__name__} of {", ".join(packages & PROXY_SCOPES)}')
        return built

    def load(self, checkpoint: str) -> None:
        """Load trained weights.

        Raises:
            ValueError: If the file is missing, unreadable, of another model or not finite.
        """
        fix_checkpoint_loading()
        try:
            path = resolve_path(checkpoint)
            load_checkpoint(self.model, path, map_location='cpu', strict=True, logger='silent')
        except FileNotFoundError:
            raise ValueError(
                f'no proxy checkpoint at {checkpoint!r}; train it with tools/train.py or leave '
                f'model.proxy.checkpoint out') from None
        except UnsafeFileError:
            raise
        except Exception as e:  # weights of another model raise anything
            reason = (str(e).strip().splitlines() or [type(e).__name__])[0][:160]
            raise ValueError(
                f'{osp.abspath(path)}: cannot be loaded as the proxy ({reason}); delete it to '
                f'train it anew, or give another checkpoint') from None
        check_weights(self.model, osp.abspath(path))

    def train(self, mode: bool = True):
        """Stay in evaluation mode: the proxy is frozen, its batch norms too."""
        return super().train(False)

    def init_weights(self) -> None:
        """Keep the weights that were loaded."""

    @property
    def classes(self) -> Optional[Tuple[str, ...]]:
        """Class names that the proxy was trained on.

        Those of the training set in the config, or else those that its dataset
        class has by itself; None where neither says.
        """
        return read_classes(self.cfg, self.scope)

    def normalize(self, images: Tensor, divisor: int = 1) -> Tensor:
        """RGB images (B, 3, H, W) in [0, 1] to the model's own input.

        The same as the stock preprocessor makes of what the stock pipeline
        reads: channel order, mean, std, and padding at the right and the bottom
        up to a multiple of ``divisor``.
        """
        preprocessor = self.model.data_preprocessor
        x = in_full(images) * 255
        if takes_rgb(preprocessor) == reads_rgb(self.cfg):
            x = x.flip(1)
        if normalizes(preprocessor):
            x = (x - preprocessor.mean.to(x)) / preprocessor.std.to(x)
        height, width = x.shape[-2:]
        value = getattr(preprocessor, 'pad_value', getattr(preprocessor, 'pad_val', 0))
        return F.pad(x, (0, -width % divisor, 0, -height % divisor), value=value)

    @property
    def mean_colour(self) -> Tensor:
        """RGB colour in [0, 1] that is 0 in the model's own input, (3,)."""
        preprocessor = self.model.data_preprocessor
        if not normalizes(preprocessor):
            return torch.zeros(3, device=next(self.parameters()).device)
        colour = preprocessor.mean.float().flatten().expand(3) / 255
        return colour.flip(0) if takes_rgb(preprocessor) == reads_rgb(self.cfg) else colour

    @property
    def label_parts(self) -> Optional[Tuple[str, ...]]:
        """What its labels hold beside classes, see :class:`Target`; None where it gives none."""
        return None

    def energy(self, images: Tensor, slots: Sequence[DistillSlot]) -> Tensor:
        """Task loss of each image against its slot's label, (B,), differentiable."""
        raise NotImplementedError

    def predict(self, images: Tensor) -> list:
        """Predictions for images (B, 3, H, W), one per sample."""
        raise NotImplementedError

    def score(self, images: Tensor, samples: Sequence[DistilledSample],
              predictions: Optional[list] = None) -> Tensor:
        """How good each sample is, (B,) in [0, 1]; a job stops at one outside of that range."""
        raise NotImplementedError

    def relabel(self, images: Tensor, predictions: Optional[list] = None) -> List[Target]:
        """Labels as the proxy sees them."""
        raise NotImplementedError

    def is_sure(self, images: Tensor, predictions: Optional[list] = None) -> List[bool]:
        """Whether the proxy is sure of anything in an image; else it labels nothing."""
        raise NotImplementedError

    def merge(self, images: Tensor, samples: Sequence[DistilledSample],
              predictions: Optional[list] = None) -> List[Target]:
        """Labels of the slots and of the proxy together."""
        raise NotImplementedError

    def object_scores(self, images: Tensor,
                      objects: Sequence[Sequence[RealObject]]) -> List[np.ndarray]:
        """How sure the proxy is of objects that are there.

        Args:
            images: (B, 3, H, W) RGB in [0, 1].
            objects: The objects of each image, with what its task knows of them.

        Returns:
            list: B arrays of a score in [0, 1] for each object.
        """
        raise NotImplementedError

    def features(self, images: Tensor) -> Tensor:
        """One feature vector an image, (B, D)."""
        raise NotImplementedError


def in_full(x: Tensor) -> Tensor:
    """The tensor in fp32, or in fp64 where it is that already."""
    return x if x.dtype == torch.float64 else x.float()


def normalizes(preprocessor) -> bool:
    """Whether the preprocessor subtracts a mean and divides by a deviation."""
    return getattr(preprocessor, 'mean', None) is not None


def takes_rgb(preprocessor) -> bool:
    """Whether the preprocessor converts BGR to RGB: mm* pipelines read BGR."""
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


def reads_rgb(cfg) -> bool:
    """Whether the images of a config are RGB already.

    Pipelines read files as BGR. mmpretrain's CIFAR sets hold RGB arrays.
    """
    kind = loader_dataset(cfg, 'train_dataloader', 'test_dataloader').get('type', '')
    return getattr(kind, '__name__', kind).rpartition('.')[2] in ('CIFAR10', 'CIFAR100')


def read_test_scale(cfg) -> Tuple[Optional[Tuple[int, int]], bool]:
    """(scale, keep_ratio) of the Resize in a config's test pipeline, if any."""
    for step in test_pipeline(cfg):
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
