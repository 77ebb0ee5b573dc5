"""The losses of an mmdet detector, of each image of a batch by itself."""
from contextlib import contextmanager
from typing import Any, Iterator, List, Optional, Sequence

import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn


def image_losses(model: Any, x: Tensor, samples: Sequence, seeds: Sequence[int]
                 ) -> List[dict]:
    """What ``model.loss`` gives for each image alone, with its random samplers seeded.

    mmdet averages losses over the batch, so an image's own loss takes one call an image.
    Here networks run once for the batch where a detector is composed in mmdet's usual way:
    one-stage detectors (a dense head whose loss comes from its outputs), and two-stage ones
    (such a head for proposals, then a RoI head; a ``StandardRoIHead`` runs once too). Only
    assignment, sampling and losses go image by image. Any other detector is called for
    each image.

    Args:
        model: A detector of mmdet in evaluation mode.
        x: Model input (B, 3, H, W), normalised and padded.
        samples: B ``DetDataSample`` with ``gt_instances``.
        seeds: (B,) seeds of the samplers.

    Returns:
        list[dict]: B loss dicts of mmdet.
    """
    from mmdet.models import SingleStageDetector, TwoStageDetector
    kind: Any = type(model)
    losses: Optional[List[dict]] = None
    if kind.loss is SingleStageDetector.loss:
        losses = _one_stage(model, x, samples, seeds)
    elif kind.loss is TwoStageDetector.loss and model.with_rpn:
        losses = _two_stage(model, x, samples, seeds)
    if losses is not None:
        return losses
    losses = []
    for i, (sample, seed) in enumerate(zip(samples, seeds)):
        with seeded(seed):
            losses.append(model.loss(*_by_channel([x[i:i + 1]]), [sample]))
    return losses


def _by_channel(maps: Sequence[Tensor]) -> List[Tensor]:
    """Maps whose memory is ordered by channel, as mmcv's RoIAlign reads it on a CPU."""
    return [one.contiguous() for one in maps]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A block whose draws on the CPU, as mmdet's samplers make them, follow from ``seed``."""
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reseed the GPU too.
        torch.default_generator.manual_seed(seed)
        yield


def _one_stage(model: Any, x: Tensor, samples: Sequence, seeds: Sequence[int]
               ) -> Optional[List[dict]]:
    """Losses of a one-stage detector; None where its head is of another kind."""
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
    from mmdet.models.utils import unpack_gt_instances
    head = model.bbox_head
    if getattr(type(head), 'loss', None) is not BaseDenseHead.loss:
        return None
    outputs = head(model.extract_feat(x))
    if not holds_batch(outputs, len(x)):
        return None
    losses = []
    for i, (sample, seed) in enumerate(zip(samples, seeds)):
        targets, ignored, metas = unpack_gt_instances([sample])
        with seeded(seed):
            losses.append(head.loss_by_feat(*image_of(outputs, i), targets, metas, ignored))
    return losses


def _two_stage(model: Any, x: Tensor, samples: Sequence, seeds: Sequence[int]
               ) -> Optional[List[dict]]:
    """Losses of a two-stage detector; None where its RPN is of another kind."""
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
    from mmdet.models.utils import unpack_gt_instances
    rpn, roi_head = model.rpn_head, model.roi_head
    if getattr(type(rpn), 'loss_and_predict', None) is not BaseDenseHead.loss_and_predict:
        return None
    features = _by_channel(model.extract_feat(x))
    outputs = rpn(features)
    if not holds_batch(outputs, len(x)):
        return None
    proposals = rpn.predict_by_feat(
        *outputs, batch_img_metas=[sample.metainfo for sample in samples],
        cfg=model.train_cfg.get('rpn_proposal', model.test_cfg.rpn))
    together = runs_together(roi_head)
    losses, sampled = [], []
    for i, (sample, seed) in enumerate(zip(samples, seeds)):
        targets, ignored, metas = unpack_gt_instances([sample])
        objects = InstanceData(bboxes=targets[0].bboxes,
                               labels=torch.zeros_like(targets[0].labels))
        own = image_of(features, i)
        with seeded(seed):
            found = rpn.loss_by_feat(*image_of(outputs, i), [objects], metas, ignored)
            found = {name if 'rpn' in name or 'loss' not in name else f'rpn_{name}': value
                     for name, value in found.items()}
            if together:
                sampled.append(_sample_rois(roi_head, own, proposals[i], targets[0], ignored[0]))
            else:
                found.update(roi_head.loss(own, [proposals[i]], [sample]))
        losses.append(found)
    if together:
        for found, own in zip(losses, _roi_losses(roi_head, features, sampled)):
            found.update(own)
    return losses


def runs_together(roi_head: nn.Module) -> bool:
    """Whether the boxes of a RoI head can be predicted for a batch, with losses afterwards."""
    from mmdet.models import StandardRoIHead
    stock = ('loss', 'bbox_loss', 'forward')
    return isinstance(roi_head, StandardRoIHead) and not roi_head.with_mask and all(
        getattr(type(roi_head), name) is getattr(StandardRoIHead, name) for name in stock)


def _sample_rois(roi_head: Any, features: Sequence[Tensor], proposals: InstanceData,
                 targets: InstanceData, ignored: Optional[InstanceData]) -> Any:
    """The proposals of one image that the RoI head learns from, a ``SamplingResult``."""
    proposals.priors = proposals.pop('bboxes')
    assigned = roi_head.bbox_assigner.assign(proposals, targets, ignored)
    return roi_head.bbox_sampler.sample(assigned, proposals, targets, feats=features)


def _roi_losses(roi_head: Any, features: Sequence[Tensor], sampled: Sequence
                ) -> List[dict]:
    """Losses of the RoI head for each image, from one pass over the RoIs of all."""
    from mmdet.structures.bbox import bbox2roi
    numbers = [len(result.priors) for result in sampled]
    predicted = roi_head(features, [InstanceData(bboxes=result.priors) for result in sampled])
    scores, boxes = (x.split(numbers) for x in predicted)
    return [
        roi_head.bbox_head.loss_and_target(
            cls_score=score, bbox_pred=box, rois=bbox2roi([result.priors]),
            sampling_results=[result], rcnn_train_cfg=roi_head.train_cfg)['loss_bbox']
        for result, score, box in zip(sampled, scores, boxes)]


def holds_batch(outputs: Any, batch: int) -> bool:
    """Whether nested outputs are tensors of ``batch`` images throughout."""
    if isinstance(outputs, (list, tuple)):
        return all(holds_batch(value, batch) for value in outputs)
    return isinstance(outputs, Tensor) and outputs.ndim > 0 and len(outputs) == batch


def image_of(outputs: Any, index: int) -> Any:
    """Nested outputs of a batch, of one image alone."""
    if isinstance(outputs, Tensor):
        return outputs[index:index + 1]
    return type(outputs)(image_of(value, index) for value in outputs)
