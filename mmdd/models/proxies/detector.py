"""Any mmdet detector as a proxy."""
import math
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from mmdd.registry import MODELS
from mmdd.structures import (
    BoxTarget,
    DistilledSample,
    DistillSlot,
    RealObject,
    Target,
    make_target,
)
from mmdd.structures.target.instance_target import resize_masks
from mmdd.utils.finite import finite_rows
from mmdd.utils.numbers import check_number
from mmdd.utils.seed import derive_seed
from .base import TaskProxy, read_test_scale, resize_images
from .detector_losses import image_losses
from .detector_scores import exact_score, matched_score, matched_scores, surer_ones
from .merging import merge_boxes

# Universal Guidance, on which UniDD builds, leaves the box term of the RoI head
# out; the paper does not say, so every term is a setting.
DEFAULT_TERMS = dict(rpn_cls=1., rpn_bbox=1., cls=1., bbox=1.)
SCORE_MODES = ('mean', 'matched', 'both', 'exact')


@MODELS.register_module()
class DetectorProxy(TaskProxy):
    """A frozen mmdet detector.

    Args:
        cfg: mmdet config of the detector, see :class:`TaskProxy`.
        checkpoint: Trained weights.
        terms: Weight of each loss term in the energy, by the name in mmdet's
            loss dict without ``loss_``; terms that are not named are left out.
        score_mode: The score of an image. 'mean': mean confidence of the
            detections that become labels, 0 where there is none. 'matched':
            mean over the slot's boxes of the confidence of the best detection
            of that class with an IoU of at least 0.5, 0 for a box that nothing
            matches. 'both': the lesser of the two. 'exact': whether the slot's boxes are
            found and nothing else, see :func:`exact_score`. UniDD does not define it.
        relabel_thr: Confidence from which a detection becomes a label.
        relabel_iou: Overlap (IoU) above which of two detections, whatever their classes, only
            the surer becomes a label: one object, one label. None leaves it to the detector's
            own suppression, by class as a rule, which may name one object twice.
        input_scale: 'test' resizes images as the config's test pipeline does;
            None takes them as they are.

    Raises:
        ValueError: If an argument is out of range.
    """

    scope = 'mmdet'
    limits = dict(score_mode=SCORE_MODES, input_scale=('test', None),
                  relabel_thr=dict(low=0, high=1), relabel_iou=dict(low=0, high=1))

    def __init__(self,
                 cfg: Union[str, dict, Sequence],
                 checkpoint: Optional[str] = None,
                 terms: Optional[Dict[str, float]] = None,
                 score_mode: str = 'mean',
                 relabel_thr: float = 0.5,
                 input_scale: Optional[str] = 'test',
                 relabel_iou: Optional[float] = None) -> None:
        if score_mode not in SCORE_MODES:
            raise ValueError(
                f"DetectorProxy: score_mode must be 'mean', 'matched', 'both' or 'exact', got "
                f'{score_mode!r}')
        if input_scale not in ('test', None):
            raise ValueError(
                f"DetectorProxy: input_scale must be 'test' or None, got {input_scale!r}")
        check_number('DetectorProxy: relabel_thr', relabel_thr, low=0, high=1)
        if relabel_iou is not None:
            check_number('DetectorProxy: relabel_iou', relabel_iou, low=0, high=1)
        for name, weight in (terms or {}).items():
            check_number(f'DetectorProxy: terms.{name}', weight)
        super().__init__(cfg, checkpoint)
        self.terms = dict(DEFAULT_TERMS if terms is None else terms)
        self.score_mode = score_mode
        self.relabel_thr = relabel_thr
        self.relabel_iou = relabel_iou
        self.scale = read_test_scale(self.cfg) if input_scale == 'test' else (None, False)

    @property
    def label_parts(self) -> Tuple[str, ...]:
        """Boxes, and masks where it has a mask head."""
        return ('bboxes', 'masks') if self.model.with_mask else ('bboxes', )

    def _inputs(self, images: Tensor) -> Tuple[Tensor, Tensor, Tuple[int, int]]:
        """Model input, box factors (4,) from image to input, input size."""
        height, width = images.shape[-2:]
        x = resize_images(images, *self.scale)
        size = (x.shape[-2], x.shape[-1])
        factor = images.new_tensor([size[1] / width, size[0] / height] * 2)
        divisor = getattr(self.model.data_preprocessor, 'pad_size_divisor', 1)
        return self.normalize(x, divisor), factor, size

    def _data_sample(self, x: Tensor, size: Tuple[int, int], index: int):
        from mmdet.structures import DetDataSample
        padded = tuple(x.shape[-2:])
        return DetDataSample(metainfo=dict(
            img_id=index, img_shape=size, ori_shape=size, pad_shape=padded,
            batch_input_shape=padded, scale_factor=(1., 1.)))

    def energy(self, images: Tensor, slots: Sequence[DistillSlot]) -> Tensor:
        """Detection loss of each image against its slot's boxes, (B,).

        The networks see the whole batch; boxes are assigned and losses taken image by
        image, with the random samplers seeded by the slot, so that the energy of a slot
        does not depend on its batch mates, see :func:`image_losses`.

        Args:
            images: (B, 3, H, W) RGB, nominally in [0, 1], differentiable.
            slots: B slots with boxes; a slot without boxes is an empty image.
        """
        x, factor, size = self._inputs(images)
        samples = []
        for i, slot in enumerate(slots):
            samples.append(self._data_sample(x, size, i))
            samples[i].gt_instances = self._targets(slot, factor, size)
        seeds = [derive_seed('proxy', slot.seed) for slot in slots]
        losses = image_losses(self.model, x, samples, seeds)
        return torch.stack([self._weigh(found, images) for found in losses])

    def _targets(self, slot: DistillSlot, factor: Tensor, size: Tuple[int, int]) -> InstanceData:
        """Boxes and labels in input pixels; degenerate boxes are left out."""
        if slot.bboxes is None:
            raise ValueError(f'DetectorProxy: slot {slot.id} has no boxes; give it (0, 4) ones '
                             f'where the image is to be empty')
        bboxes = factor.new_tensor(slot.bboxes).view(-1, 4) * factor
        limit = bboxes.new_tensor([size[1], size[0]] * 2)
        bboxes = bboxes.clamp_min(0).minimum(limit)
        labels = torch.as_tensor(slot.labels, dtype=torch.long, device=bboxes.device)
        keep = ((bboxes[:, 2:] - bboxes[:, :2]) >= 1).all(1)
        more = slot.target.instance_fields(size, keep.cpu().numpy())
        if self.model.with_mask and 'masks' not in more:
            raise ValueError(
                f'DetectorProxy: {type(self.model).__name__} learns from masks, slot {slot.id} '
                f'has boxes alone: read the real set with LoadAnnotations(with_mask=True)')
        return InstanceData(bboxes=bboxes[keep], labels=labels[keep], **more)

    def _weigh(self, losses: dict, images: Tensor) -> Tensor:
        """Weighted sum of the chosen terms."""
        # Without any proposal mmdet leaves the terms of the RoI head out: they are 0.
        empty: Tuple[str, ...] = ('cls', 'bbox') if self.model.with_roi_head else ()
        if self.model.with_roi_head and self.model.with_mask:
            empty += ('mask', )
        unknown = [f'loss_{name}' for name in self.terms
                   if f'loss_{name}' not in losses and name not in empty]
        if unknown:
            raise ValueError(
                f'{type(self.model).__name__} has no {", ".join(unknown)}; its terms are '
                f'{sorted(k[5:] for k in losses if k.startswith("loss_"))}: set '
                f'model.proxy.terms')
        total = images.new_zeros(())
        for name, weight in self.terms.items():
            value = losses.get(f'loss_{name}', ())
            for part in value if isinstance(value, (list, tuple)) else [value]:
                total = total + weight * part.mean()
        return total

    @torch.no_grad()
    def predict(self, images: Tensor) -> List[InstanceData]:
        """Detections with boxes, and masks, in pixels of ``images``, on the CPU.

        ``finite`` of each says whether the backbone's maps were: mmdet finds nothing in those
        that are not.
        """
        x, factor, size = self._inputs(images)
        samples = [self._data_sample(x, size, i) for i in range(len(images))]
        finite: List[Tensor] = []
        handle = self.model.backbone.register_forward_hook(
            lambda _, inputs, maps: finite.append(torch.stack(list(map(finite_rows, maps)))))
        try:
            # mmcv's RoIAlign reads memory by channel.
            results = self.model.predict(x.contiguous(), samples, rescale=False)
        finally:
            handle.remove()
        detections = []
        for result, fine in zip(results, torch.cat(finite).all(0).tolist()):
            found = result.pred_instances
            detections.append(InstanceData(
                bboxes=(found.bboxes / factor).cpu(), scores=found.scores.cpu(),
                labels=found.labels.cpu(), metainfo=dict(finite=fine)))
            if 'masks' in found:
                detections[-1].masks = torch.from_numpy(resize_masks(
                    found.masks.cpu().numpy(), (images.shape[-2], images.shape[-1])))
        return detections

    def score(self, images: Tensor, samples: Sequence[DistilledSample],
              predictions: Optional[list] = None) -> Tensor:
        """Score of each sample in [0, 1], see ``score_mode``; NaN where the network overflows."""
        predictions = self.predict(images) if predictions is None else predictions
        scores = []
        for sample, found in zip(samples, predictions):
            if not found.get('finite', True):
                scores.append(math.nan)
                continue
            scores.append(self._score(found, sample.slot))
        return torch.tensor(scores)

    def _score(self, found: InstanceData, slot: DistillSlot) -> float:
        """Score of an image by its detections."""
        kept = found.scores >= self.relabel_thr
        if self.relabel_iou is not None:
            kept = surer_ones(found.bboxes, found.scores, kept, self.relabel_iou)
        if self.score_mode == 'exact':
            return exact_score(found, kept, slot.bboxes, slot.labels)
        mean = float(found.scores[kept].mean()) if kept.any() else 0.
        matched = matched_score(found, slot.bboxes, slot.labels)
        return dict(mean=mean, matched=matched, both=min(mean, matched))[self.score_mode]

    def relabel(self, images: Tensor, predictions: Optional[list] = None) -> List[Target]:
        """Detections of at least ``relabel_thr`` as boxes inside the image, with their masks.

        Of those that lie on one another more than ``relabel_iou`` the surest alone.
        """
        predictions = self.predict(images) if predictions is None else predictions
        height, width = images.shape[-2:]
        limit = torch.tensor([width - 1, height - 1] * 2, dtype=torch.float32)
        labels = []
        for found in predictions:
            bboxes = found.bboxes.clamp_min(0).minimum(limit)
            keep = (found.scores >= self.relabel_thr) & (
                (bboxes[:, 2:] - bboxes[:, :2]) >= 1).all(1)
            if 'masks' in found:
                keep &= found.masks.flatten(1).any(1)
            if self.relabel_iou is not None:
                keep = surer_ones(bboxes, found.scores, keep, self.relabel_iou)
            masks = found.masks[keep].numpy() if 'masks' in found else None
            labels.append(make_target(
                found.labels[keep].numpy(), bboxes=bboxes[keep].numpy(), masks=masks))
        return labels

    def is_sure(self, images: Tensor, predictions: Optional[list] = None) -> List[bool]:
        """Whether any detection becomes a label, see ``relabel_thr``."""
        return [len(label.labels) > 0 for label in self.relabel(images, predictions)]

    def merge(self, images: Tensor, samples: Sequence[DistilledSample],
              predictions: Optional[list] = None) -> List[Target]:
        """The detections of :meth:`relabel` and the slots' boxes that none of them matches.

        See :func:`merge_boxes`.
        """
        merged: List[Target] = []
        for sample, label in zip(samples, self.relabel(images, predictions)):
            slot = sample.slot.target
            assert isinstance(slot, BoxTarget) and isinstance(label, BoxTarget)
            merged.append(merge_boxes(slot, label))
        return merged

    def object_scores(self, images: Tensor,
                      objects: Sequence[Sequence[RealObject]]) -> List[np.ndarray]:
        """Confidence with which the box of each object is found, see :func:`matched_scores`.

        NaN for all of an image where the network overflows.
        """
        scores = []
        for found, own in zip(self.predict(images), objects):
            if not found.get('finite', True):
                scores.append(np.full(len(own), math.nan))
                continue
            scores.append(matched_scores(
                found, np.array([item.box for item in own], np.float32).reshape(-1, 4),
                np.array([item.label for item in own], np.int64)))
        return scores

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Mean over the deepest backbone map, (B, D)."""
        maps = self.model.backbone(self._inputs(images)[0])
        return maps[-1].mean((2, 3))
