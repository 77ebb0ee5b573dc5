"""Digit scenes with a mask for each digit: the same scenes, read by stock tools."""
import json
import os.path as osp

import numpy as np
import pytest
import tiny

from mmdd.datasets import DigitInstances
from mmdd.datasets.digit_scenes import CLASSES, render_scene, scene_rng
from mmdd.utils.io import sha256


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return tiny.digit_instances(tmp_path_factory.mktemp('instances') / 'scenes')


def test_the_scenes_are_those_of_the_voc_layout(root, digits):
    for split, num in (('train', 12), ('val', 3), ('test', 4)):
        for i in range(num):
            name = f'{split}_{i:06d}.jpg'
            assert sha256(osp.join(root, split, name)) == sha256(
                osp.join(digits, 'VOC2007/JPEGImages', name))


@pytest.mark.parametrize('index', range(30))
def test_masks_are_the_visible_pixels_of_each_digit(index):
    scene = render_scene(scene_rng(0, 'train', 0, index), 64)
    assert scene.masks.shape == (len(scene.labels), 64, 64) and scene.masks.any((1, 2)).all()
    assert scene.masks.sum(0).max() == 1
    labels = (scene.masks * (scene.labels + 1)[:, None, None]).sum(0)
    assert np.array_equal(labels, scene.mask)
    for mask, (x1, y1, x2, y2) in zip(scene.masks, scene.bboxes.astype(int)):
        assert mask.sum() == mask[y1:y2, x1:x2].sum()


def test_stock_tools_read_them(root):
    from mmdet.datasets import CocoDataset
    from pycocotools.coco import COCO
    file = osp.join(root, 'annotations/instances_train.json')
    dataset = CocoDataset(data_root=root, ann_file='annotations/instances_train.json',
                          data_prefix=dict(img='train/'), metainfo=dict(classes=CLASSES),
                          pipeline=[])
    coco = COCO(file)
    assert len(dataset) == len(coco.getImgIds()) == 12
    for index in range(12):
        scene = render_scene(scene_rng(0, 'train', 0, index), 32)
        info = dataset.get_data_info(index)
        assert [i['bbox'] for i in info['instances']] == scene.bboxes.tolist()
        assert [i['bbox_label'] for i in info['instances']] == scene.labels.tolist()
        entries = coco.loadAnns(coco.getAnnIds(index + 1))
        assert np.array_equal([coco.annToMask(e) for e in entries], scene.masks)
        assert [e['area'] for e in entries] == scene.masks.sum((1, 2)).tolist()


def test_building_again(root):
    file = osp.join(root, 'annotations/instances_test.json')
    before = sha256(file)
    assert tiny.digit_instances(root) == root and sha256(file) == before
    with open(file) as f:
        assert [category['name'] for category in json.load(f)['categories']] == list(CLASSES)
    with pytest.raises(ValueError, match='other settings'):
        DigitInstances(root, dict(train=3)).build()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / 'annotations').mkdir()
    with pytest.raises(ValueError, match='annotations is not of digit scenes'):
        DigitInstances(str(tmp_path), dict(train=3)).build()
