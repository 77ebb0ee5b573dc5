"""What detections say of the boxes that were asked for."""
from typing import List

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor


def surer_ones(bboxes: Tensor, scores: Tensor, keep: Tensor, iou_thr: float) -> Tensor:
    """Those of the kept boxes that no surer one overlaps more than ``iou_thr``, (P,) bool.

    Args:
        bboxes: (P, 4) xyxy.
        scores: (P,) how sure each is.
        keep: (P,) bool, the boxes that count.
        iou_thr: Greatest IoU of two boxes that stay.
    """
    from mmcv.ops import nms
    index = keep.nonzero()[:, 0]
    left = torch.zeros_like(keep)
    if len(index):
        left[index[nms(bboxes[index], scores[index], iou_thr)[1]]] = True
    return left


def matched_score(found: InstanceData, bboxes, labels, iou_thr: float = 0.5) -> float:
    """Mean confidence with which the asked boxes were found, 0 to 1; of :func:`matched_scores`."""
    if bboxes is None or len(bboxes) == 0:
        return 0.
    scores = matched_scores(found, bboxes, labels, iou_thr)
    return sum(sorted(scores.tolist(), reverse=True)) / len(scores)


def matched_scores(found: InstanceData, bboxes, labels, iou_thr: float = 0.5) -> np.ndarray:
    """Confidence with which each box was found, (M,) in [0, 1], 0 for one that nothing serves.

    Arguments as of :func:`serving`.
    """
    chosen = serving(found, bboxes, labels, iou_thr)
    return np.array([0. if j < 0 else float(found.scores[j]) for j in chosen])


def serving(found: InstanceData, bboxes, labels, iou_thr: float = 0.5) -> List[int]:
    """The detection that serves each box, -1 where none does.

    One serves one box, of its class, in order of confidence; the one that it overlaps most.

    Args:
        found: Detections with bboxes (P, 4), scores (P,), labels (P,).
        bboxes: (M, 4) boxes to be found, xyxy in the same pixels.
        labels: (M,) their classes.
        iou_thr: Least overlap of a match.
    """
    from mmdet.structures.bbox import bbox_overlaps
    if not len(bboxes):
        return []
    wanted = torch.as_tensor(bboxes, dtype=torch.float32)
    overlap = bbox_overlaps(wanted, found.bboxes.float())
    same = torch.as_tensor(labels)[:, None] == found.labels[None]
    good = (overlap >= iou_thr) & same
    chosen, free = [-1] * len(wanted), torch.ones(len(wanted), dtype=torch.bool)
    for j in found.scores.argsort(descending=True).tolist():
        candidates = torch.where(good[:, j] & free, overlap[:, j], -torch.ones(len(wanted)))
        best = int(candidates.argmax())
        if candidates[best] >= 0:
            chosen[best] = j
            free[best] = False
    return chosen


def exact_score(found: InstanceData, kept: Tensor, bboxes, labels) -> float:
    """Whether the boxes that were asked for are found, and nothing else; 0 to 1.

    The lesser of two means: over the kept detections, of the confidence, counted as 0 for one
    that serves no box; and :func:`matched_score`.

    Args:
        found: Detections.
        kept: (P,) bool, those that become labels.
        bboxes, labels: As of :func:`serving`; None or no boxes score 0.
    """
    if bboxes is None or not kept.any():
        return 0.
    served = torch.zeros_like(kept)
    served[[j for j in serving(found, bboxes, labels) if j >= 0]] = True
    right = float((found.scores * served)[kept].mean())
    return min(right, matched_score(found, bboxes, labels))
