"""VOC average precision without processes of its own."""
from collections import OrderedDict
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
from mmdet.evaluation.functional import average_precision, bbox_overlaps
from mmdet.evaluation.metrics import VOCMetric

from mmdd.registry import METRICS


@METRICS.register_module()
class InProcessVOCMetric(VOCMetric):
    """mmdet's ``VOCMetric``, computed in this process and for all thresholds at once.

    The values are the same. mmdet starts four processes for each IoU threshold and
    computes all overlaps anew; on a small test set, with a student on every core, that
    takes longer than the detector. Settings beside ``metric='mAP'`` without
    ``scale_ranges`` are left to mmdet.
    """

    def compute_metrics(self, results: List[tuple]) -> Dict[str, Any]:
        """``mAP``, the mean over ``iou_thrs``, and ``AP<threshold>``, in [0, 1].

        The results are (annotation, detections of each class) as :meth:`process` stores them.
        """
        if self.metric != 'mAP' or self.scale_ranges is not None:
            return super().compute_metrics(results)
        means = self._mean_ap(results)
        found = OrderedDict(mAP=sum(means) / len(means))
        for threshold, value in zip(self.iou_thrs, means):
            found[f'AP{int(threshold * 100):02d}'] = round(value, 3)
        return found

    def _mean_ap(self, results: Sequence[tuple]) -> List[float]:
        """Mean over the classes that have objects, one value per threshold."""
        every: List[List[float]] = [[] for _ in self.iou_thrs]
        for label in range(len(results[0][1])):
            objects, hits, misses, scores = 0, [], [], []
            for annotation, detections in results:
                boxes = annotation['bboxes'][annotation['labels'] == label]
                ignored = annotation['bboxes_ignore'][annotation['labels_ignore'] == label]
                objects += len(boxes)
                hit, miss = match(detections[label], boxes, ignored, self.iou_thrs)
                hits.append(hit)
                misses.append(miss)
                scores.append(detections[label][:, -1])
            if not objects:
                continue
            order = np.argsort(-np.concatenate(scores))
            true, false = (np.cumsum(np.hstack(parts)[:, order], axis=1)
                           for parts in (hits, misses))
            precisions = true / np.maximum(true + false, np.finfo(np.float32).eps)
            recalls = true / np.array([float(objects)])
            for values, ap in zip(every, average_precision(recalls, precisions, self.eval_mode)):
                values.append(ap)
        return [np.array(values).mean().item() if values else 0. for values in every]


def match(detections: np.ndarray, boxes: np.ndarray, ignored: np.ndarray,
          thresholds: Sequence[float]) -> Tuple[np.ndarray, np.ndarray]:
    """Which detections of a class in an image are right and wrong: both (T, m) fp32 of 0 and 1.

    The best detection that overlaps most with an object finds it; others of the same
    object are wrong. Those of ignored objects are neither.

    Args:
        detections: (m, 5) boxes and score.
        boxes: (n, 4) objects.
        ignored: (k, 4) objects that do not count.
        thresholds: T least overlaps (IoU, where a box of one pixel is one pixel wide).
    """
    right = np.zeros((len(thresholds), len(detections)), np.float32)
    wrong = np.zeros_like(right)
    everything = np.vstack((boxes, ignored))
    if not len(everything):
        wrong[:] = 1
        return right, wrong
    if not len(detections):
        return right, wrong
    overlaps = bbox_overlaps(detections, everything, use_legacy_coordinate=True)
    best, overlap = overlaps.argmax(1), overlaps.max(1)
    found = np.zeros((len(thresholds), len(everything)), bool)
    for i in np.argsort(-detections[:, -1]):
        hit = overlap[i] >= np.asarray(thresholds)
        if best[i] >= len(boxes):
            wrong[:, i] = ~hit
            continue
        right[:, i] = hit & ~found[:, best[i]]
        wrong[:, i] = 1 - right[:, i]
        found[:, best[i]] |= hit
    return right, wrong
