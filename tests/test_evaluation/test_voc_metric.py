"""The metric of the detection protocol on real annotation files."""
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, METRICS, DefaultScope
from mmengine.structures import InstanceData

from mmdd.protocols.protocol import read_protocol

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


def compute(metric, results, **settings):
    """Values of a metric class on stored results, ten thresholds."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        built = METRICS.build(dict(
            type=metric, metric='mAP', iou_thrs=np.arange(0.5, 0.96, 0.05).tolist(), **settings))
    built.dataset_meta = dict(classes=('a', 'b', 'c'))
    return dict(built.compute_metrics(results))


@pytest.fixture
def mmdet_in_process(monkeypatch):
    """mmdet starts four processes for each threshold; as threads they give the same values."""
    monkeypatch.setattr('mmdet.evaluation.functional.mean_ap.Pool', ThreadPool)


def random_results(seed, images=25):
    """Images with objects, detections near them and others, ignored objects, ties of scores."""
    rng = np.random.default_rng(seed)

    def boxes(number):
        corner = rng.integers(0, 40, (number, 2)).astype(np.float32)
        return np.hstack((corner, corner + rng.integers(1, 25, (number, 2)))).astype(np.float32)

    results = []
    for _ in range(images):
        truth, ignored = boxes(rng.integers(0, 6)), boxes(rng.integers(0, 3))
        # 'c' has no object, and now and then no class has one
        annotation = dict(bboxes=truth, labels=rng.integers(0, 2, len(truth)),
                          bboxes_ignore=ignored, labels_ignore=rng.integers(0, 3, len(ignored)))
        detections = []
        for _ in range(3):
            near = np.vstack((truth, ignored))[rng.permutation(len(truth) + len(ignored))]
            near = np.repeat(near, 2, 0) + rng.normal(0, 1.5, (2 * len(near), 4))
            every = np.vstack((near, boxes(rng.integers(0, 3)))).astype(np.float32)
            scores = rng.choice([0.9, 0.5, 0.25], (len(every), 1)).astype(np.float32)
            detections.append(np.hstack((every, scores)))
        results.append((annotation, detections))
    return results


@pytest.mark.usefixtures('mmdet_in_process')
@pytest.mark.parametrize('mode', ['area', '11points'])
@pytest.mark.parametrize('seed', range(3))
def test_in_process_values_are_those_of_mmdet(seed, mode):
    results = random_results(seed)
    stock = compute('mmdet.VOCMetric', results, eval_mode=mode)
    assert 0.05 < stock['mAP'] < 0.95 and stock['AP50'] > stock['AP75'] > 0
    assert compute('mmdd.InProcessVOCMetric', results, eval_mode=mode) == stock


@pytest.mark.usefixtures('mmdet_in_process')
def test_in_process_without_objects_or_detections():
    empty = np.zeros((0, 4), np.float32), np.zeros(0, int)
    nothing = dict(bboxes=empty[0], labels=empty[1], bboxes_ignore=empty[0],
                   labels_ignore=empty[1])
    none, one = [np.zeros((0, 5), np.float32)] * 3, [np.ones((1, 5), np.float32)] * 3
    there = dict(nothing, bboxes=np.array([[1, 1, 9, 9]], np.float32), labels=np.array([0]))
    for results in ([(nothing, one)] * 2, [(there, none)] * 2, [(there, one), (nothing, none)]):
        assert compute('mmdd.InProcessVOCMetric', results) == compute('mmdet.VOCMetric', results)


@pytest.mark.parametrize('settings', [dict(metric='recall'), dict(scale_ranges=[(1, 9)])])
def test_other_settings_are_left_to_mmdet(settings, monkeypatch):
    monkeypatch.setattr('mmdet.evaluation.VOCMetric.compute_metrics', lambda self, results: 'own')
    with DefaultScope.overwrite_default_scope('mmdet'):
        metric = METRICS.build(dict(dict(type='mmdd.InProcessVOCMetric', metric='mAP'),
                                    **settings))
    assert metric.compute_metrics(random_results(5, 6)) == 'own'
