"""Values of metafiles in the columns of a protocol."""
import os.path as osp

import pytest
import yaml

from mmdd.benchmark.report.paper_values import metric_key, paper_entry, paper_values, read_metrics
from mmdd.utils.mean_std import MeanStd

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))


@pytest.mark.parametrize('given, column, expected', [
    (dict(mAP=16.8, mAP_std=0.5), 'mAP', (16.8, 0.5)),
    ({'Top 1 Accuracy': 66, 'Top 1 Accuracy_std': 0.7}, 'top1', (66., 0.7)),
    ({'Top 1 Accuracy': '66.0 ± 0.7'}, 'accuracy/top1', (66., 0.7)),
    ({'box AP': [4, 1]}, 'mAP', (4., 1.)),
    (dict(mIoU=dict(mean=10.3, std=None)), 'mIoU', (10.3, None)),
    (dict(mIoU='10.3'), 'mIoU', (10.3, None)),
    (dict(AP50=1), 'mAP', None),
    (dict(mAP='-'), 'mAP', None),
    (dict(mAP=float('nan')), 'mAP', None),
    (dict(mAP=None), 'mAP', None),
    (None, 'mAP', None),
])
def test_tolerant_reading(given, column, expected):
    found = read_metrics(given, [column])
    assert found == ({} if expected is None else {column: MeanStd(*expected)})


def test_metric_names():
    assert metric_key('Top-1 accuracy') == metric_key('top1') == metric_key('acc')
    assert metric_key('mAP') != metric_key('AP50')


def test_students_and_missing_files(tmp_path):
    metafile = dict(Models=[
        dict(Name='x', Config='configs/m/a.py', Results=[
            dict(Metrics=dict(mAP=1)), dict(Student='ResNet-50', Metrics=dict(mAP=2))]), 'junk'])
    (tmp_path / 'metafile.yml').write_text(yaml.safe_dump(metafile))
    config = str(tmp_path / 'a.py')
    assert paper_values(config, ['mAP'])['mAP'].mean == 1
    assert paper_values(config, ['mAP'], 'resnet50')['mAP'].mean == 2
    assert paper_values(config, ['mAP'], 'other') == {}
    assert paper_entry(str(tmp_path / 'b.py')) == {}
    assert paper_entry(str(tmp_path / 'nowhere' / 'b.py')) == {}
    (tmp_path / 'metafile.yml').write_text('a: [')
    with pytest.raises(ValueError, match='is not valid YAML'):
        paper_entry(config)


@pytest.mark.parametrize('config, metrics, expected', [
    ('configs/unidd/faster-rcnn_voc_1pct.py', ('AP50', 'mAP'),
     dict(AP50=MeanStd(38.9, 0.7), mAP=MeanStd(16.8, 0.5))),
    ('configs/coreset/random_faster-rcnn_voc_0.5pct.py', ('mAP', ),
     dict(mAP=MeanStd(0.8, 0.2))),
])
def test_the_metafiles_that_come_along(config, metrics, expected):
    assert paper_values(osp.join(ROOT, config), metrics) == expected
    entry = paper_entry(osp.join(ROOT, config))
    assert entry['title'].startswith('Towards Universal Dataset Distillation')
