"""Composed layouts of real photographs' labels: Pascal VOC 2012, BCCD and CamVid."""
from collections import Counter

import numpy as np
import pytest
from mmdet.datasets import VOCDataset
from mmengine.dataset import pseudo_collate
from mmseg.datasets import BaseSegDataset, PascalVOCDataset
from real_data import BLOOD, STREET, lines, real, real_marks

from mmdd.datasets.annotations import annotations_from_batch
from mmdd.models import ComposedLabelSampler
from mmdd.models.label_samplers.objects import ObjectPool
from mmdd.structures import IGNORE, Canvas

pytestmark = real_marks('voc2012', 'bccd', 'camvid')
VOC = PascalVOCDataset.METAINFO['classes']


def read(dataset, classes, num):
    step = max(1, len(dataset) // num)
    return annotations_from_batch(
        pseudo_collate([dataset[i] for i in range(0, len(dataset), step)][:num]), classes)


def detection(root, year, split, classes, num):
    return read(VOCDataset(
        data_root=real(root), ann_file=f'VOC{year}/ImageSets/Main/{split}.txt',
        data_prefix=dict(sub_data_root=f'VOC{year}/'), metainfo=dict(classes=classes),
        pipeline=[dict(type='mmdet.LoadAnnotations', with_bbox=True),
                  dict(type='mmdet.PackDetInputs',
                       meta_keys=('img_id', 'img_path', 'height', 'width'))]), classes, num)


def segmentation(kind, classes, num, **options):
    return read(kind(metainfo=dict(classes=classes), pipeline=[
        dict(type='mmseg.LoadAnnotations'),
        dict(type='mmseg.PackSegInputs', meta_keys=('img_path', 'seg_map_path'))],
        **options), classes, num)


@pytest.mark.parametrize('root, year, split, classes', [
    ('voc2012/VOCdevkit/', 2012, 'trainval', VOC[1:]),
    ('bccd/VOCdevkit/', 2007, 'trainval', BLOOD)])
def test_boxes_of_photographs(root, year, split, classes):
    annotations = detection(root, year, split, classes, 120)
    canvas = Canvas((512, 512), 32.)
    layouts = ComposedLabelSampler(objects=4, cooccurrence=False).sample(
        annotations, 30, len(classes), 0, canvas)
    assert all(len(layout.labels) == 4 for layout in layouts)
    counts = np.bincount(np.concatenate([a.labels for a in layouts]), minlength=len(classes))
    there = np.unique(np.concatenate([a.labels for a in annotations]))
    assert np.ptp(counts[there]) <= 1
    known = {a.image_id: a for a in annotations}
    for layout in layouts:
        own = [(c, *(box[2:] - box[:2])) for source in layout.sources
               for c, box in zip(known[source.image_id].labels,
                                 known[source.image_id].resized((512, 512)).bboxes)]
        for c, box in zip(layout.labels, layout.bboxes):
            assert (box >= 0).all() and (box <= 512).all()
            sides = box[2:] - box[:2]
            assert (sides >= 32 - 1e-3).all()
            # Objects that stick out by a pixel at most are cut at the border.
            assert any(c == k and abs(sides - (w, h)).max() < 3 for k, w, h in own)


@pytest.mark.parametrize('street', [False, True])
def test_regions_of_photographs(street):
    if street:
        annotations = segmentation(
            BaseSegDataset, STREET, 12, data_root=real('camvid'), ann_file='',
            data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'))
        canvas, classes, fill = Canvas((120, 160), 8.), STREET, IGNORE
    else:
        annotations = segmentation(
            PascalVOCDataset, VOC, 40, data_root=real('voc2012/VOCdevkit/VOC2012'),
            ann_file='ImageSets/Segmentation/train.txt',
            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'))
        canvas, classes, fill = Canvas((128, 128), 8., 0), VOC, 0
        assert {a.image_id for a in annotations} <= set(
            lines('voc2012/VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt'))
    layouts = ComposedLabelSampler(objects=3, cooccurrence=True, overlap=0.).sample(
        annotations, 12, len(classes), 1, canvas)
    pool = ObjectPool(annotations, len(classes), canvas)
    patches = {}
    for i in range(len(pool)):
        key = pool.annotations[pool.image[i]].image_id, int(pool.labels[i])
        patches.setdefault(key, []).append(pool.patch(i).inside)
    total = Counter()
    for layout in layouts:
        mask = layout.mask
        assert mask.shape == canvas.size and layout.bboxes is None
        assert layout.labels.tolist() == sorted(set(np.unique(mask)) - {0 if not street else 255,
                                                                       IGNORE})
        assert ((mask == fill) | np.isin(mask, [*layout.labels, IGNORE])).all()
        # Without overlap, what is there of a class is some of its regions, to the pixel.
        sizes = {c: {int(patch.sum()) for source in layout.sources
                     for patch in patches.get((source.image_id, c), [])}
                 for c in layout.labels.tolist()}
        for c in layout.labels.tolist():
            pixels = int((mask == c).sum())
            assert pixels in {0, *sizes[c]} | {a + b for a in sizes[c] for b in sizes[c]} | {
                a + b + d for a in sizes[c] for b in sizes[c] for d in sizes[c]}
        total.update(layout.labels.tolist())
    assert len(total) >= 6
