"""Labels of stock mm* datasets, read without loading images."""
import json

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from PIL import Image

from mmdd.datasets import annotations_from_batch
from mmdd.datasets.annotations import with_unique_ids
from mmdd.datasets.class_names import class_names
from mmdd.structures import RealAnnotation

CLS = [dict(type='PackInputs', meta_keys=('img_path', ))]
DET = [dict(type='LoadAnnotations', with_bbox=True),
       dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'height', 'width'))]
SEG = [dict(type='LoadAnnotations'),
       dict(type='PackSegInputs', meta_keys=('img_path', 'seg_map_path'))]


def read(classes, **cfg):
    """The annotations of a dataset, all in one batch."""
    dataset = DATASETS.build(dict(cfg, serialize_data=False))
    batch = pseudo_collate([dataset[i] for i in range(len(dataset))])
    return annotations_from_batch(batch, classes)


def test_images_that_share_an_id_get_ids_of_their_own():
    """Frames of several folders; two COCO files numbered from one; a repeated dataset."""
    def read(*pairs):
        return [a.image_id for a in with_unique_ids([
            RealAnnotation(image_id, path, (8, 8), np.array([0])) for image_id, path in pairs])]

    assert read(('a', '/d/s1/a.png'), ('b', '/d/s1/b.png'), ('a', '/d/s1/a.png')) == [
        'a', 'b', 'a']
    assert read(('a', '/d/s1/a.png'), ('b', '/d/s1/b.png'), ('a', '/d/s2/a.png')) == [
        's1/a.png', 'b', 's2/a.png']
    assert read(('t/1.jpg', '/d/cat/t/1.jpg'), ('t/1.jpg', '/d/dog/t/1.jpg')) == [
        'cat/t/1.jpg', 'dog/t/1.jpg']


@pytest.mark.parametrize('cls', ['CustomDataset', 'ImageNet'])
def test_class_folders(tmp_path, cls):
    for name in ('bird', 'cat', 'dog'):
        (tmp_path / 'train' / name).mkdir(parents=True)
        # never opened
        (tmp_path / f'train/{name}/0.png').write_text('no image')
    found = read(('bird', 'cat', 'dog'), type=cls, _scope_='mmpretrain', data_root=str(tmp_path),
                 data_prefix='train', metainfo=dict(classes=('bird', 'cat', 'dog')), pipeline=CLS)
    assert [a.image_id for a in found] == ['bird/0.png', 'cat/0.png', 'dog/0.png']
    assert [a.labels.tolist() for a in found] == [[0], [1], [2]]
    assert all(a.labels.dtype == np.int64 and a.bboxes is None and a.mask is None for a in found)
    assert found[1].path == str(tmp_path / 'train/cat/0.png') and found[1].size == (0, 0)


def test_label_list(tmp_path):
    (tmp_path / 'list.txt').write_text('a b/0.png 4\nc.png 0\n')
    found = read('abcde', type='CustomDataset', _scope_='mmpretrain', data_root=str(tmp_path),
                 ann_file='list.txt', metainfo=dict(classes=tuple('abcde')), pipeline=CLS)
    assert [(a.image_id, a.labels.tolist()) for a in found] == [
        ('a b/0.png', [4]), (f'{tmp_path.name}/c.png', [0])]


def voc_masks(folder, *masks):
    for name in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (folder / name).mkdir(parents=True)
    for i, mask in enumerate(masks):
        Image.fromarray(mask).save(folder / f'SegmentationClass/{i}.png')
    (folder / 'ImageSets/Segmentation/train.txt').write_text(
        ''.join(f'{i}\n' for i in range(len(masks))))
    return dict(_scope_='mmseg', data_root=str(folder), pipeline=SEG,
                ann_file='ImageSets/Segmentation/train.txt',
                data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'))


def test_masks(tmp_path):
    mask = np.zeros((6, 9), np.uint8)
    mask[1:3], mask[4, 4], mask[5] = 15, 7, 255
    cfg = voc_masks(tmp_path, mask, np.zeros((4, 5), np.uint8))
    first, empty = read(class_names('voc_seg'), type='PascalVOCDataset', **cfg)
    assert first.image_id == '0' and first.path.endswith('JPEGImages/0.jpg')
    assert first.labels.tolist() == [7, 15] and first.size == (6, 9)
    assert (first.mask == mask).all() and first.mask.dtype == np.uint8
    assert first.bboxes is None
    assert empty.labels.tolist() == [] and (empty.mask == 0).all() and empty.size == (4, 5)


def test_masks_that_count_from_one(tmp_path):
    """reduce_zero_label: 0 is ignored, 1 is the first class; it need not be a background."""
    mask = np.array([[0, 1, 2], [3, 255, 1]], np.uint8)
    cfg = voc_masks(tmp_path, mask)
    found, = read('abc', type='BaseSegDataset', reduce_zero_label=True,
                  metainfo=dict(classes=tuple('abc')), **cfg)
    assert found.mask.tolist() == [[255, 0, 1], [2, 255, 0]]
    assert found.labels.tolist() == [0, 1, 2]


def test_masks_of_some_classes(tmp_path):
    classes = ('person', 'background')
    mask = np.array([[0, 15, 7], [0, 0, 255]], np.uint8)
    found, = read(classes, type='PascalVOCDataset', metainfo=dict(classes=classes),
                  **voc_masks(tmp_path, mask))
    assert found.mask.tolist() == [[1, 0, 255], [1, 1, 255]] and found.labels.tolist() == [0]


def test_unknown_ids_of_a_mask(tmp_path):
    cfg = voc_masks(tmp_path, np.array([[0, 5], [3, 255]], np.uint8))
    with pytest.raises(ValueError, match=r'SegmentationClass/0.png: the mask holds the class ids '
                       r'\[3, 5\], but the dataset has 3 classes'):
        read('abc', type='BaseSegDataset', metainfo=dict(classes=tuple('abc')), **cfg)


def coco_file(folder, boxes, size=(20, 30)):
    """boxes: (xywh, category, crowd) of one image; a second image has none."""
    content = dict(
        images=[dict(id=i, file_name=f'{i}.jpg', height=size[0], width=size[1]) for i in (8, 3)],
        annotations=[dict(id=i, image_id=8, category_id=category, bbox=box, iscrowd=crowd,
                          area=box[2] * box[3]) for i, (box, category, crowd) in enumerate(boxes)],
        categories=[dict(id=90, name='cat'), dict(id=5, name='dog')])
    (folder / 'a.json').write_text(json.dumps(content))
    return dict(type='CocoDataset', _scope_='mmdet', data_root=str(folder), ann_file='a.json',
                data_prefix=dict(img='images'), metainfo=dict(classes=('cat', 'dog')),
                pipeline=DET)


def test_coco(tmp_path):
    """Crowds are left out; boxes are floats and may touch the right and bottom edge."""
    boxes = [([1, 2, 3.5, 4.25], 5, 0), ([29, 19, 1, 1], 90, 0), ([0, 0, 30, 20], 90, 0),
             ([5, 5, 5, 5], 5, 1), ([-0.5, 0, 31, 5], 90, 0)]
    first, empty = read(('cat', 'dog'), **coco_file(tmp_path, boxes))
    assert (first.image_id, first.size) == ('8', (20, 30))
    assert first.path == str(tmp_path / 'images/8.jpg')
    assert first.labels.tolist() == [1, 0, 0, 0]
    assert first.bboxes.tolist() == [[1, 2, 4.5, 6.25], [29, 19, 30, 20], [0, 0, 30, 20],
                                     [0, 0, 30, 5]]
    assert first.bboxes.dtype == np.float32 and first.mask is None
    assert empty.image_id == '3' and empty.bboxes.shape == (0, 4) and len(empty.labels) == 0


def test_coco_box_outside(tmp_path):
    with pytest.raises(ValueError, match='8.jpg: box .* exceeds the 30x20 image'):
        read(('cat', 'dog'), **coco_file(tmp_path, [([10, 2, 25, 4], 5, 0)]))


def test_samples_without_labels():
    with pytest.raises(ValueError, match='the pipeline gives no label; end it with'):
        annotations_from_batch(dict(data_samples=[dict(img_path='x.png')]), ('a', ))
