"""A coreset hands on what the files of its real set say."""
import copy
import json
import os.path as osp
import xml.etree.ElementTree as ET

import numpy as np
import pycocotools.mask
import pytest
import tiny
from distilled import manifest
from mmengine.config import Config
from mmengine.registry import DATASETS
from PIL import Image

from mmdd.apis import distill
from mmdd.datasets import COCOWriter
from mmdd.protocols.sets import set_content
from mmdd.structures import (
    DistilledSample,
    DistillSlot,
    reduce_zero_label,
    restore_zero_label,
)

SIZE = (24, 32)
NAMES = ('cat', 'dog')
# Run lengths of the square from (4, 4) to (10, 10), as pycocotools packs them.
SQUARE = pycocotools.mask.encode(np.asfortranarray(
    np.pad(np.ones((6, 6), np.uint8), ((4, 14), (4, 22)))))['counts'].decode()
# A polygon, two polygons of one object, a crowd as RLE, an object of a class that is passed
# over, further keys.
ANNOTATIONS = [
    dict(id=900, image_id=31, category_id=7, bbox=[2, 3, 10, 8], area=41.5, iscrowd=0,
         segmentation=[[2, 3, 12, 3, 7, 11]], score_of_rater=0.75),
    dict(id=17, image_id=31, category_id=3, bbox=[1, 1, 20, 12], area=77, iscrowd=0,
         segmentation=[[1, 1, 5, 1, 5, 9], [9, 2, 21, 2, 21, 13]]),
    dict(id=5, image_id=12, category_id=3, bbox=[0, 0, 32, 12], area=384, iscrowd=1,
         segmentation=dict(size=list(SIZE), counts=[0, 12, 12, 12, 732])),
    dict(id=6, image_id=12, category_id=7, bbox=[4, 4, 6, 6], area=36, iscrowd=0,
         segmentation=dict(size=list(SIZE), counts=SQUARE)),
    dict(id=8, image_id=12, category_id=9, bbox=[4, 4, 6, 6], area=36, iscrowd=0,
         segmentation=[[4, 4, 10, 4, 10, 10]]),
]


def picture(path, seed, mode='RGB'):
    shape = SIZE if mode == 'L' else (*SIZE, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture()
def coco(tmp_path):
    """A real set in COCO format with the files of two images."""
    images = [dict(id=31, file_name='a/x.jpg', height=SIZE[0], width=SIZE[1]),
              dict(id=12, file_name='b/x.jpg', height=SIZE[0], width=SIZE[1])]
    for i, image in enumerate(images):
        picture(tmp_path / 'real' / 'images' / image['file_name'], i)
    file = tmp_path / 'real' / 'instances.json'
    file.write_text(json.dumps(dict(images=images, annotations=ANNOTATIONS, categories=[
        dict(id=3, name='cat'), dict(id=7, name='dog'), dict(id=9, name='tree')])))
    return tmp_path / 'real'


def coreset(dataset, writer, work_dir, total=2):
    job = tiny.coreset_job('unused', dict(type='RandomCoreset'), total=total)
    job['train_dataloader']['dataset'] = dataset
    job['train_cfg']['writer'] = writer
    return distill(job, str(work_dir))


def coco_dataset(root, ann_file, prefix, pipeline):
    return dict(type='CocoDataset', _scope_='mmdet', data_root=str(root), ann_file=ann_file,
                data_prefix=dict(img=prefix), metainfo=dict(classes=NAMES), pipeline=pipeline)


def test_coco_coresets_keep_the_annotations(coco, tmp_path):
    pipeline = [dict(type='LoadAnnotations', with_bbox=True),
                dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'height', 'width'))]
    folder = coreset(coco_dataset(coco, 'instances.json', 'images/', pipeline),
                     dict(type='COCOWriter', split='train'), tmp_path / 'job')
    file = osp.join(folder, 'annotations/instances_train.json')
    with open(file, encoding='utf-8') as f:
        found = json.load(f)
    ids = {image['original_id']: image['id'] for image in found['images']}
    assert {i['original_id']: i['original_file_name'] for i in found['images']} == {
        31: 'a/x.jpg', 12: 'b/x.jpg'}
    names = {category['id']: category['name'] for category in found['categories']}
    real = {7: 'dog', 3: 'cat'}
    expected = {one['id']: dict(one, image_id=ids[one['image_id']], category_id=real[
        one['category_id']], original_id=one['id']) for one in ANNOTATIONS[:4]}
    assert {one['original_id']: dict(one, id=one['original_id'],
                                     category_id=names[one['category_id']])
            for one in found['annotations']} == expected
    assert sorted(one['id'] for one in found['annotations']) == [1, 2, 3, 4]
    assert 'as in the real set' in found['info']['description']
    assert {e['original']['id']: e['original']['file_name'] for e in manifest(folder)['images']
            } == {31: 'a/x.jpg', 12: 'b/x.jpg'}
    assert masks_of(folder, 'annotations/instances_train.json', 'train/') == masks_of(
        coco, 'instances.json', 'images/')


def masks_of(root, ann_file, prefix):
    """Instances by label, box and mask through stock mmdet; crowds are to be ignored."""
    from pycocotools.coco import COCO
    dataset = DATASETS.build(coco_dataset(
        root, ann_file, prefix, [dict(type='LoadImageFromFile'), dict(
            type='LoadAnnotations', with_bbox=True, with_mask=True)]))
    coco = COCO(osp.join(str(root), ann_file))
    stock = sorted((int(label), box.tolist(), bool(ignored), int(mask.sum()))
                   for item in (dataset[i] for i in range(len(dataset)))
                   for label, box, ignored, mask in zip(
                       item['gt_bboxes_labels'], item['gt_bboxes'].tensor,
                       item['gt_ignore_flags'], item['gt_masks'].to_ndarray()))
    names = {i: category['name'] for i, category in coco.cats.items()}
    areas = sorted((names[a['category_id']], a['area'], a['iscrowd'], int(coco.annToMask(a).sum()))
                   for a in coco.anns.values() if names[a['category_id']] in NAMES)
    return stock, areas


def test_distilled_coco_sets_say_that_they_hold_boxes_alone(tmp_path):
    slot = DistillSlot(0, 1, SIZE, np.array([1]), np.array([[1., 2, 9, 8]], np.float32))
    made = DistilledSample(slot, np.zeros((*SIZE, 3), np.uint8), labels=slot.labels,
                           bboxes=slot.bboxes)
    writer = COCOWriter('train')
    writer.write(made, str(tmp_path), NAMES)
    file, = writer.close([made], str(tmp_path), NAMES)
    found = json.loads((tmp_path / file).read_text())
    assert 'boxes alone' in found['info']['description']
    assert found['annotations'] == [dict(
        id=1, image_id=0, category_id=2, bbox=[1, 2, 8, 6], area=48, iscrowd=0, segmentation=[])]
    assert found['images'] == [dict(id=0, file_name='000000.jpg', height=24, width=32)]


OBJECTS = '''
  <object><name>dog</name><pose>Left</pose><truncated>1</truncated><occluded>1</occluded>
    <difficult>0</difficult>
    <bndbox><xmin>3</xmin><ymin>4</ymin><xmax>20</xmax><ymax>18</ymax></bndbox>
    <part><name>head</name><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>9</xmax><ymax>9</ymax>
    </bndbox></part></object>
  <object><name>cat</name><pose>Rear</pose><truncated>0</truncated><difficult>1</difficult>
    <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>8</xmax><ymax>9</ymax></bndbox></object>
  <object><name>tree</name><difficult>0</difficult>
    <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>8</xmax><ymax>9</ymax></bndbox></object>
'''


@pytest.fixture()
def voc(tmp_path):
    """A grey image with a plain, a difficult and a foreign object in VOC layout."""
    root = tmp_path / 'real' / 'VOC2007'
    picture(root / 'JPEGImages' / 'one.jpg', 0, 'L')
    (root / 'Annotations').mkdir()
    (root / 'Annotations' / 'one.xml').write_text(
        f'<annotation><size><width>{SIZE[1]}</width><height>{SIZE[0]}</height><depth>1</depth>'
        f'</size>{OBJECTS}</annotation>')
    (root / 'ImageSets' / 'Main').mkdir(parents=True)
    (root / 'ImageSets' / 'Main' / 'train.txt').write_text('one\n')
    return root.parent


def voc_dataset(root, names=NAMES):
    return dict(tiny.voc_dataset(root, images=False), metainfo=dict(classes=names))


@pytest.mark.parametrize('difficult, names', [('keep', ['dog', 'cat']), ('drop', ['dog'])])
def test_voc_coresets_keep_the_objects(voc, tmp_path, difficult, names):
    folder = coreset(voc_dataset(voc), dict(type='VOCWriter', difficult=difficult),
                     tmp_path / 'job', total=1)
    root = ET.parse(osp.join(folder, 'VOC2007/Annotations/000000.xml')).getroot()
    assert [node.findtext('name') for node in root.findall('object')] == names
    assert root.findtext('size/depth') == '1'

    def fields(node):
        return [(e.tag, (e.text or '').strip()) for e in node.iter()]
    real = ET.parse(voc / 'VOC2007/Annotations/one.xml').getroot().findall('object')
    assert [fields(node) for node in root.findall('object')] == [
        fields(node) for node in real[:len(names)]]
    found = manifest(folder)
    assert found['images'][0]['original'] == dict(id='one', file_name='one.jpg')
    assert found['format'] == dict(writer='VOCWriter', difficult=difficult)


def test_stock_mmdet_reads_the_same_instances(voc, tmp_path):
    folder = coreset(voc_dataset(voc), dict(type='VOCWriter'), tmp_path / 'job', total=1)
    own, real = (DATASETS.build(voc_dataset(root)) for root in (folder, voc))
    assert own.get_data_info(0)['instances'] == real.get_data_info(0)['instances']
    assert [one['ignore_flag'] for one in own.get_data_info(0)['instances']] == [0, 1]


def test_difficult_is_checked():
    from mmdd.datasets import VOCWriter
    with pytest.raises(ValueError, match="difficult must be 'keep' or 'drop', got 'no'"):
        VOCWriter(difficult='no')


ADE = ('wall', 'building', 'sky')


@pytest.fixture()
def ade(tmp_path):
    """Two images of a set whose masks count from 1, 0 is to be ignored."""
    root, masks = tmp_path / 'ade', {}
    for i in range(2):
        picture(root / 'images' / f'{i}.jpg', i)
        masks[i] = np.random.default_rng(i).integers(0, 4, SIZE).astype(np.uint8)
        (root / 'annotations').mkdir(exist_ok=True)
        Image.fromarray(masks[i]).save(root / 'annotations' / f'{i}.png')
    return root, masks


def ade_dataset(root, images='images', masks='annotations', **kwargs):
    return dict(type='ADE20KDataset', _scope_='mmseg', data_root=str(root),
                data_prefix=dict(img_path=images, seg_map_path=masks),
                metainfo=dict(classes=ADE), pipeline=[
                    dict(type='LoadImageFromFile'),
                    dict(type='LoadAnnotations', reduce_zero_label=True),
                    dict(type='PackSegInputs', meta_keys=('img_path', 'seg_map_path'))], **kwargs)


def read_masks(dataset):
    built = DATASETS.build(copy.deepcopy(dataset))
    samples = [built[i]['data_samples'] for i in range(len(built))]
    return {osp.basename(s.img_path): s.gt_sem_seg.data[0].numpy() for s in samples}


def test_masks_that_count_from_one_are_stored_so(ade, tmp_path):
    root, masks = ade
    dataset = ade_dataset(root)
    folder = coreset(dataset, dict(type='SegMapWriter'), tmp_path / 'job')
    entries = manifest(folder)['images']
    assert manifest(folder)['format'] == dict(writer='SegMapWriter', reduce_zero_label=True)
    for entry in entries:
        with Image.open(osp.join(folder, entry['files'][1])) as stored:
            np.testing.assert_array_equal(np.asarray(stored), masks[int(entry['source'])])
    stock = read_masks(ade_dataset(f'{folder}/VOC2012', 'JPEGImages', 'SegmentationClass'))
    real = read_masks(dataset)
    for entry in entries:
        np.testing.assert_array_equal(
            stock[osp.basename(entry['files'][0])], real[f"{entry['source']}.jpg"])


def test_students_do_not_shift_twice(ade, tmp_path):
    root, _ = ade
    dataset = ade_dataset(root)
    folder = coreset(dataset, dict(type='SegMapWriter'), tmp_path / 'job')
    protocol = dict(train_dataloader=dict(dataset=dataset, batch_size=1),
                    train_cfg=dict(max_iters=1), test_dataloader=dict(dataset=dataset),
                    protocol=dict(task='segmentation', metrics=dict(mIoU='mIoU')))
    changes = set_content(Config(protocol), folder).changes
    student, real = read_masks(dict(dataset, **changes)), read_masks(dataset)
    for entry in manifest(folder)['images']:
        np.testing.assert_array_equal(
            student[osp.basename(entry['files'][0])], real[f"{entry['source']}.jpg"])


def test_restoring_and_reducing_are_inverse():
    indices = np.r_[np.arange(254), 255].astype(np.uint8)
    np.testing.assert_array_equal(reduce_zero_label(restore_zero_label(indices)), indices)
    np.testing.assert_array_equal(
        reduce_zero_label(np.array([0, 1, 150, 255], np.uint8)), [255, 0, 149, 255])
