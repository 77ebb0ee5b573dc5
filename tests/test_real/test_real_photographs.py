"""The suite of photographs on the real files: what its configs read and write."""
import json
import os.path as osp

import numpy as np
import pytest
from distilled import manifest
from PIL import Image
from real_data import STREET, compose, one_process, real, real_marks

from mmdd.apis import distill
from mmdd.benchmark.suite import read_suite
from mmdd.protocols import evaluate_sets
from mmdd.protocols.protocol import read_protocol

pytestmark = real_marks('bccd', 'camvid')


def job(leaf):
    """A config of the suite, pointed at the real data."""
    cfg = one_process(compose(f'configs/coreset/{leaf}.py'))
    dataset = cfg.train_dataloader.dataset
    dataset.data_root = real(dataset.data_root.removeprefix('data/'))
    return cfg


def test_every_set_of_the_suite_is_measured_on_its_test_split():
    roots = {}
    for group in read_suite('photographs')['groups']:
        for protocol in group.students('all').values():
            dataset = read_protocol(protocol).test_dataloader.dataset
            roots.setdefault(dataset.data_root, set()).add(json.dumps(
                [dataset.get('ann_file'), dataset.data_prefix], default=str))
    assert sorted(roots) == ['data/bccd/VOCdevkit/', 'data/camvid/', 'data/cifar10/']
    for place, in roots.values():
        assert 'test' in place and 'val' not in place and 'train' not in place


@pytest.fixture(scope='module')
def streets(tmp_path_factory):
    return distill(job('densest_fcn-small_camvid_5pct'), work_dir=str(
        tmp_path_factory.mktemp('camvid')))


def test_masks_of_streets(streets):
    images = manifest(streets)['images']
    assert len(images) == 18
    seen = []
    for entry in images:
        with Image.open(osp.join(streets, entry['files'][1])) as copy, Image.open(
                real(
                    f"camvid/ann_dir/train/{entry['source']}.png")) as mask:
            values = np.asarray(mask)
            assert np.array_equal(np.asarray(copy), values)
        seen.append(len(set(np.unique(values)) - {255}))
    # all of the 11 classes at once, or nearly
    assert min(seen) >= 10 and max(seen) == len(STREET)


def test_a_student_of_streets(streets, tmp_path):
    cfg = one_process(compose('configs/_base_/protocols/seg_camvid.py', dict(
        train_cfg=dict(max_iters=2), test_dataloader=dict(dataset=dict(indices=2)))))
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = real('camvid/')
    row, = evaluate_sets(dict(densest=streets), cfg, str(tmp_path), seeds=[0], jobs=0)
    assert not row.error and (row.images, row.num_classes) == (18, 11)
    assert 0 <= row.last['mIoU'] <= 100


def test_boxes_of_cells(tmp_path):
    folder = distill(job('densest_faster-rcnn-small_bccd_5pct'), work_dir=str(tmp_path))
    images = manifest(folder)['images']
    assert len(images) == 10
    # real images have 14 boxes on average
    assert min(len(entry['classes']) for entry in images) >= 10
    counts = [sum(entry['classes'].count(name) for entry in images)
              for name in ('WBC', 'Platelets')]
    assert min(counts) >= 10
