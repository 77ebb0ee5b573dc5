"""The metric of the detection protocol on real annotation files."""
import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, DefaultScope
from mmengine.structures import InstanceData

from mmdd.evaluation.protocol import read_protocol

FULL_MARKS = {'pascal_voc/AP50': 1., 'pascal_voc/mAP': 1.}


def score(digits, change):
    """Metrics of predictions that ``change`` makes of the true boxes."""
    cfg = read_protocol('configs/_base_/protocols/det_digits.py')
    node = cfg.test_dataloader.dataset
    node.data_root = digits
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = DATASETS.build(node)
        evaluator = Evaluator(cfg.test_evaluator)
        evaluator.dataset_meta = dataset.metainfo
        for item in dataset:
            sample = item['data_samples']
            truth = sample.gt_instances
            boxes, labels = change(truth.bboxes.tensor.clone(), truth.labels)
            truth.bboxes = truth.bboxes.tensor
            sample.pred_instances = InstanceData(
                bboxes=boxes, labels=labels, scores=torch.full((len(boxes), ), 0.9))
            evaluator.process([sample])
        return evaluator.evaluate(len(dataset)), cfg.protocol.metrics


def test_true_boxes_score_one(digits):
    found, metrics = score(digits, lambda boxes, labels: (boxes, labels))
    seen = {key: found[key] for key in metrics.values()}
    assert seen == pytest.approx(FULL_MARKS)


def test_wrong_classes_score_zero(digits):
    found, metrics = score(digits, lambda boxes, labels: (boxes, (labels + 1) % 10))
    assert found[metrics['AP50']] < 0.5


def test_loose_boxes_lose_at_high_thresholds_only(digits):
    def loosen(boxes, labels):
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        boxes[:, 2:] += 0.25 * sides  # IoU 1 / 1.25^2 = 0.64
        return boxes, labels

    found, metrics = score(digits, loosen)
    assert found[metrics['AP50']] == 1.
    assert found[metrics['mAP']] == pytest.approx(0.3)  # 0.5, 0.55 and 0.6 of ten
    assert np.isclose(found['pascal_voc/AP65'], 0.)
