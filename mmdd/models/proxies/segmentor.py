"""Any mmseg segmentor as a proxy."""
from typing import List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmdd.registry import MODELS
from mmdd.structures import (
    BACKGROUND,
    IGNORE,
    DistilledSample,
    DistillSlot,
    MaskTarget,
    RealObject,
    Target,
)
from .base import TaskProxy, in_full
from .merging import merge_masks, sure_objects
from .view import InputView, test_pipeline

SCORE_MODES = ('mean', 'matched', 'both', 'found')


@MODELS.register_module()
class SegmentorProxy(TaskProxy):
    """A frozen mmseg EncoderDecoder whose classes exclude each other.

    Args:
        cfg: mmseg config of the segmentor, see :class:`TaskProxy`.
        checkpoint: Trained weights.
        score_mode: The score of an image. 'mean': mean over all pixels of the
            largest probability (softmax). 'matched': mean over the pixels of
            the slot's mask that are not ignored of the probability of its
            class, 0 where all are ignored. 'both': the lesser of the two. 'found': whether
            the objects that were asked for, and no others, are seen anywhere in the image,
            see :func:`found_score`; the first three are those of the background where objects
            are small. UniDD does not define its ``score``.
        relabel_thr: Mean probability in [0, 1] over a connected piece of one class from
            which it is an object that the proxy is sure of.
        input_scale: 'test' resizes images as the config's test pipeline does;
            None takes them as they are.

    Raises:
        ValueError: If an argument is out of range, or the model is no
            EncoderDecoder with one channel a class.
    """

    scope = 'mmseg'
    limits = dict(score_mode=SCORE_MODES, input_scale=('test', None),
                  relabel_thr=dict(low=0, high=1))

    def __init__(self,
                 cfg: Union[str, dict, Sequence],
                 checkpoint: Optional[str] = None,
                 score_mode: str = 'mean',
                 input_scale: Optional[str] = 'test',
                 relabel_thr: float = 0.5) -> None:
        if score_mode not in SCORE_MODES:
            raise ValueError(
                f"SegmentorProxy: score_mode must be 'mean', 'matched', 'both' or 'found', got "
                f'{score_mode!r}')
        if input_scale not in ('test', None):
            raise ValueError(
                f"SegmentorProxy: input_scale must be 'test' or None, got {input_scale!r}")
        if not 0 <= relabel_thr <= 1:
            raise ValueError(
                f'SegmentorProxy: relabel_thr must be in [0, 1], got {relabel_thr}')
        super().__init__(cfg, checkpoint)
        self.score_mode = score_mode
        self.relabel_thr = relabel_thr
        self.view = InputView(test_pipeline(self.cfg) if input_scale == 'test' else ())
        if self.view.crops:
            raise ValueError('SegmentorProxy: the test pipeline of the proxy crops its images; '
                             'resize them there, or set model.proxy.input_scale=None')
        self._check_model()

    @property
    def label_parts(self) -> Tuple[str, ...]:
        """A mask of the classes."""
        return ('mask', )

    def _check_model(self) -> None:
        """Check that the model gives one channel a class."""
        channels = getattr(self.model, 'out_channels', None)
        if channels is None or not hasattr(self.model, 'inference'):
            raise ValueError(
                f'SegmentorProxy: {type(self.model).__name__} is no EncoderDecoder of mmseg')
        if not 2 <= channels <= IGNORE:
            raise ValueError(
                f'SegmentorProxy: the decode head gives {channels} channels, it must be one per '
                f'class, 2 to {IGNORE}; train two classes with softmax instead of one sigmoid '
                f'channel')

    def _inputs(self, images: Tensor) -> Tuple[Tensor, Tuple[int, int]]:
        """Model input, padded as at test time, and its size without the padding."""
        x = self.view(images)
        height, width = x.shape[-2:]
        preprocessor = self.model.data_preprocessor
        padding = getattr(preprocessor, 'test_cfg', None) or {}
        x = self.normalize(x, padding.get('size_divisor') or 1)
        size = padding.get('size') or (0, 0)
        missing = [max(0, n - m) for n, m in zip(size, x.shape[-2:])]
        x = F.pad(x, (0, missing[1], 0, missing[0]), value=getattr(preprocessor, 'pad_val', 0))
        return x, (height, width)

    def logits(self, images: Tensor) -> Tensor:
        """Class scores before the softmax, (B, K, H, W) fp32, differentiable.

        As in stock inference: whole or in slides, padding cut off, resized to
        the size of ``images``. Auxiliary heads are left out.
        """
        x, (height, width) = self._inputs(images)
        # Stock slide inference changes these, so that each call has its own.
        metas = [dict(ori_shape=x.shape[2:], img_shape=x.shape[2:], pad_shape=x.shape[2:],
                      padding_size=[0] * 4) for _ in x]
        logits = in_full(self.model.inference(x, metas)[..., :height, :width])
        if logits.shape[-2:] == images.shape[-2:]:
            return logits
        return F.interpolate(logits, size=images.shape[-2:], mode='bilinear',
                             align_corners=self.model.align_corners)

    def _target(self, slot: DistillSlot, size: Sequence[int], num_classes: int) -> Tensor:
        """The slot's mask (H, W), checked."""
        if slot.mask is None:
            raise ValueError(f'SegmentorProxy: slot {slot.id} has no mask')
        if slot.mask.shape != tuple(size):
            raise ValueError(f'SegmentorProxy: the mask of slot {slot.id} has the size '
                             f'{slot.mask.shape}, the image {tuple(size)}: they must agree')
        mask = torch.from_numpy(slot.mask.astype(np.int64))
        wrong = mask[(mask != IGNORE) & (mask >= num_classes)]
        if len(wrong):
            raise ValueError(f'SegmentorProxy: the mask of slot {slot.id} has the index '
                             f'{int(wrong[0])}; the proxy knows {num_classes} classes')
        return mask

    def energy(self, images: Tensor, slots: Sequence[DistillSlot]) -> Tensor:
        """Mean cross-entropy of each image's pixels against its slot's mask, (B,).

        UniDD, equations 6 and 8. Pixels of index 255 are left out; a mask of
        nothing else gives 0. Class weights, sampling of hard pixels and
        auxiliary losses of the training are left out.

        Args:
            images: (B, 3, H, W) RGB, nominally in [0, 1], differentiable.
            slots: B slots with masks (H, W).
        """
        logits = self.logits(images)
        masks = torch.stack([self._target(slot, logits.shape[-2:], logits.shape[1])
                             for slot in slots]).to(logits.device)
        losses = F.cross_entropy(logits, masks, ignore_index=IGNORE, reduction='none')
        counted = (masks != IGNORE).flatten(1).sum(1)
        return losses.flatten(1).sum(1) / counted.clamp_min(1)

    @torch.no_grad()
    def predict(self, images: Tensor) -> List[Tensor]:
        """Probabilities of the classes, (K, H, W) an image, on the device of the images."""
        return list(self.logits(images).softmax(1))

    def score(self, images: Tensor, samples: Sequence[DistilledSample],
              predictions: Optional[list] = None) -> Tensor:
        """Score of each sample in [0, 1], see ``score_mode``."""
        predictions = self.predict(images) if predictions is None else predictions
        scores = [self._score(found, sample.slot) for sample, found in zip(samples, predictions)]
        # A mean of ones may round to a little more.
        return torch.tensor(scores).clamp(0, 1)

    def _score(self, found: Tensor, slot: DistillSlot) -> float:
        """Score of an image by the probabilities (K, H, W) of its pixels."""
        mean = float(found.amax(0).mean())
        if self.score_mode == 'mean':
            return mean
        mask = self._target(slot, found.shape[1:], len(found))
        if self.score_mode == 'found':
            return found_score(found, mask.unique().tolist(), self._no_objects)
        matched = matched_score(found, mask)
        return matched if self.score_mode == 'matched' else min(mean, matched)

    def relabel(self, images: Tensor, predictions: Optional[list] = None) -> List[Target]:
        """The most probable class of each pixel, and those that are present.

        A class named 'background' is no label.
        """
        predictions = self.predict(images) if predictions is None else predictions
        return [self._labels(found.argmax(0).byte().cpu().numpy()) for found in predictions]

    def is_sure(self, images: Tensor, predictions: Optional[list] = None) -> List[bool]:
        """Whether there is an object that the proxy is sure of, see ``relabel_thr``."""
        predictions = self.predict(images) if predictions is None else predictions
        return [bool(self._sure_objects(found)[1].any()) for found in predictions]

    def merge(self, images: Tensor, samples: Sequence[DistilledSample],
              predictions: Optional[list] = None) -> List[Target]:
        """The slots' masks with the objects that the proxy is sure of, see :func:`merge_masks`."""
        predictions = self.predict(images) if predictions is None else predictions
        merged = []
        for sample, found in zip(samples, predictions):
            mask = sample.slot.mask
            assert mask is not None
            merged.append(merge_masks(mask, *self._sure_objects(found), self._no_objects))
        return [self._labels(mask) for mask in merged]

    @property
    def _no_objects(self) -> List[int]:
        """Indices that are no objects."""
        return [IGNORE] + [i for i, name in enumerate(self.classes or ()) if name == BACKGROUND]

    def _labels(self, mask: np.ndarray) -> MaskTarget:
        """A mask (H, W) uint8 with the classes that are present in it."""
        present = [i for i in np.unique(mask).tolist() if i not in self._no_objects]
        return MaskTarget(np.array(present, np.int64), mask)

    def _sure_objects(self, found: Tensor) -> Tuple[np.ndarray, np.ndarray]:
        """The most probable classes (H, W), and the objects among them that are sure."""
        confidence, classes = found.max(0)
        mask = classes.byte().cpu().numpy()
        return mask, sure_objects(mask, confidence.cpu().numpy(), self.relabel_thr,
                                  self._no_objects)

    def object_scores(self, images: Tensor,
                      objects: Sequence[Sequence[RealObject]]) -> List[np.ndarray]:
        """Mean probability of the class of each object over its pixels, 0 without any."""
        return [np.array([object_score(found, item) for item in own])
                for found, own in zip(self.predict(images), objects)]

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Mean over the deepest backbone map, (B, D)."""
        maps = self.model.backbone(self._inputs(images)[0])
        return in_full(maps[-1]).mean((2, 3))


def object_score(probabilities: Tensor, item: RealObject) -> float:
    """Mean of the probabilities (K, H, W) of the class of an object over its pixels, 0 without."""
    assert item.inside is not None, 'objects of a set with masks have pixels'
    if not item.inside.any():
        return 0.
    inside = torch.from_numpy(item.inside).to(probabilities.device)
    return float(probabilities[item.label][inside].mean())


def matched_score(probabilities: Tensor, mask: Tensor) -> float:
    """Mean probability of the classes that were asked for, 0 to 1.

    Args:
        probabilities: (K, H, W), sums to 1 over the classes.
        mask: (H, W) int64 class indices, 255 to ignore.

    Returns:
        float: Mean over the pixels that are not ignored; 0 without any.
    """
    mask = mask.to(probabilities.device)
    counted = mask != IGNORE
    if not counted.any():
        return 0.
    chosen = probabilities.gather(0, mask.where(counted, torch.zeros_like(mask))[None])[0]
    return float(chosen[counted].mean())


def found_score(probabilities: Tensor, asked: Sequence[int], no_objects: Sequence[int]) -> float:
    """Whether what was asked for is seen, wherever it is, and nothing else; 0 to 1.

    The lesser of two means: over the pixels that are given to objects, of the largest
    probability, counted as 0 for a class that was not asked for; and over the classes that
    were asked for, of the mean probability of the pixels that are given to the class, 0 for
    one that is given none. An image without objects, where none was asked for, has the mean
    of the largest probabilities.

    Args:
        probabilities: (K, H, W), sums to 1 over the classes.
        asked: Class indices that were asked for.
        no_objects: Indices that are no objects, such as the background and 255.
    """
    confidence, classes = probabilities.max(0)
    wanted = [index for index in asked if index not in no_objects]
    objects = ~torch.isin(classes, classes.new_tensor(no_objects))
    if not wanted and not objects.any():
        return float(confidence.mean())
    if not wanted or not objects.any():
        return 0.
    right = torch.isin(classes, classes.new_tensor(wanted))
    seen = [confidence[classes == index] for index in wanted]
    recall = sum(float(pixels.mean()) for pixels in seen if len(pixels)) / len(wanted)
    return min(float((confidence * right)[objects].mean()), recall)
