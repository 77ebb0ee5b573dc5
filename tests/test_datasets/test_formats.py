"""Class folders, COCO and masks: what is written is what stock readers get."""
import json
import os
import os.path as osp

import numpy as np
import pytest
from mmengine.registry import DATASETS
from PIL import Image

from mmdd.datasets import ClassFolderWriter, COCOWriter, SegMapWriter, VOCWriter
from mmdd.datasets.class_names import class_names, class_wnids, coco_category_ids
from mmdd.datasets.formats.class_folder import name_folders
from mmdd.datasets.formats.voc_xml import voc_palette
from mmdd.structures import DistilledSample, DistillSlot

ANIMALS = ('zebra', 'cat', 'Irish wolf hound', 'tench, Tinca tinca')


def sample(id=0, labels=(0, ), bboxes=None, mask=None, size=(24, 32), **kwargs):
    labels = np.array(labels, np.int64)
    if bboxes is not None:
        bboxes = np.array(bboxes, np.float32).reshape(-1, 4)
    slot = DistillSlot(id, 1, size, labels, bboxes, mask=mask)
    if 'path' not in kwargs:
        kwargs['image'] = np.random.default_rng(id).integers(0, 256, (*size, 3), np.uint8)
    return DistilledSample(slot, labels=labels, bboxes=bboxes, mask=mask, **kwargs)


def write(writer, folder, classes, *samples):
    writer.check(classes, [s.slot for s in samples])
    files = [writer.write(s, str(folder), classes) for s in samples]
    return files, writer.close(samples, str(folder), classes)


def real_image(path, size=(24, 32), **options):
    image = np.random.default_rng(9).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(image).save(path, **options)
    return str(path)


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


# Class folders


def stock_labels(folder, classes, **options):
    """{file name: label} through stock mmpretrain."""
    from mmpretrain.datasets import CustomDataset, ImageNet
    cls = ImageNet if options.pop('imagenet', False) else CustomDataset
    dataset = cls(data_root=str(folder), metainfo=dict(classes=tuple(classes)), pipeline=[],
                  serialize_data=False, **options)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert all(osp.isfile(info['img_path']) for info in infos)
    return {osp.basename(info['img_path']): info['gt_label'] for info in infos}


@pytest.mark.parametrize('classes', [ANIMALS, tuple('0123456789'), class_names('cifar100'),
                                     class_names('coco'), class_names('imagenet')])
@pytest.mark.parametrize('split', ['train', 'val'])
def test_stock_mmpretrain_reads_the_labels(tmp_path, classes, split):
    """Also where the names are not sorted, have blanks, repeat or no image at all."""
    samples = [sample(i, [label]) for i, label in enumerate((len(classes) - 1, 0, 2, 0))]
    files, meta = write(ClassFolderWriter(split), tmp_path, classes, *samples)
    assert meta == [f'meta/{split}.txt']
    expected = {f'{s.slot.id:06d}.png': int(s.labels[0]) for s in samples}
    assert stock_labels(tmp_path, classes, data_prefix=split) == expected
    assert stock_labels(tmp_path, classes, data_prefix=split, ann_file=meta[0]) == expected
    assert stock_labels(tmp_path, classes, imagenet=True, split=split) == expected
    assert len(os.listdir(tmp_path / split)) == len(classes)
    assert files[1][0].startswith(f'{split}/') and ' ' not in files[1][0]


def test_folder_names():
    assert name_folders(('cat', 'dog')) == ['cat', 'dog']
    assert name_folders(('dog', 'cat')) == ['000_dog', '001_cat']
    assert name_folders(('a/b c', 'b, bee', '.c')) == ['a_b_c', 'b', 'c']
    assert name_folders(ANIMALS) == ['000_zebra', '001_cat', '002_Irish_wolf_hound', '003_tench']
    folders = name_folders(['x'] * 2000)
    assert folders == sorted(set(folders)) and folders[7] == '0007_x'


def test_images_are_lossless(tmp_path):
    made = sample(3, [1])
    files, _ = write(ClassFolderWriter(), tmp_path, ANIMALS, made)
    assert files == [['train/001_cat/000003.png']]
    with Image.open(tmp_path / files[0][0]) as picture:
        assert (np.asarray(picture) == made.image).all()
    files, _ = write(ClassFolderWriter(suffix='.jpg'), tmp_path / 'jpg', ANIMALS, made)
    assert files == [['train/001_cat/000003.jpg']]
    assert (tmp_path / 'jpg/meta/train.txt').read_text() == '001_cat/000003.jpg 1\n'


def test_wnid_folders(tmp_path):
    classes = class_names('imagewoof')
    files, _ = write(ClassFolderWriter(folders='wnid'), tmp_path, classes, sample(0, [9]))
    assert files == [['train/n02115641/000000.png']]
    assert sorted(os.listdir(tmp_path / 'train')) == list(class_wnids('imagewoof'))
    named = ClassFolderWriter(folders='wnid', wnids='imagewoof')
    assert named.class_folders(['any'] * 10) == list(class_wnids('imagewoof'))
    for writer, names in ((ClassFolderWriter(folders='wnid'), ANIMALS), (named, ANIMALS),
                          (ClassFolderWriter(folders='wnid', wnids=['n2', 'n1']), ('a', 'b'))):
        with pytest.raises(ValueError, match='have no WordNet ids in sorted order'):
            writer.check(names, [])


@pytest.mark.parametrize('suffix, kept', [('.JPEG', '.JPEG'), ('.png', '.png'), ('.bmp', '.bmp'),
                                          ('.webp', '.png')])
def test_class_folder_coreset(tmp_path, suffix, kept):
    source = real_image(tmp_path / f'real{suffix}')
    files, meta = write(ClassFolderWriter(), tmp_path / 'out', ANIMALS,
                        sample(5, [1], path=source))
    assert files == [[f'train/001_cat/000005{kept}']]
    copy = tmp_path / 'out' / files[0][0]
    assert (copy.read_bytes() == (tmp_path / f'real{suffix}').read_bytes()) == (suffix == kept)
    assert stock_labels(tmp_path / 'out', ANIMALS, data_prefix='train') == {copy.name: 1}


@pytest.mark.parametrize('labels', [(), (0, 1)])
def test_one_label_is_needed(tmp_path, labels):
    made = sample(4, labels)
    with pytest.raises(ValueError, match=f'slot 4: it has {len(labels)} labels instead of one'):
        ClassFolderWriter().check(ANIMALS, [made.slot])
    with pytest.raises(ValueError, match='instead of one'):
        ClassFolderWriter().write(made, str(tmp_path), ANIMALS)
    assert not content(tmp_path)


def test_wrong_settings():
    with pytest.raises(ValueError, match="folders must be 'names' or 'wnid'"):
        ClassFolderWriter(folders='index')
    with pytest.raises(ValueError, match='suffix'):
        ClassFolderWriter(suffix='.webp')


# COCO


def stock_boxes(folder, classes, **options):
    """{file name: [(box, label)]} through stock mmdet."""
    from mmdet.datasets import CocoDataset
    dataset = CocoDataset(
        data_root=str(folder), ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'), metainfo=dict(classes=tuple(classes)), pipeline=[],
                  serialize_data=False,
        **options)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert all(Image.open(info['img_path']).size == (info['width'], info['height'])
               for info in infos)
    return {osp.basename(info['img_path']): [(i['bbox'], i['bbox_label'])
                                             for i in info['instances']] for info in infos}


@pytest.mark.parametrize('classes', [ANIMALS, class_names('coco'), class_names('coco')[::-1]])
@pytest.mark.parametrize('coco_ids', [True, False])
def test_stock_mmdet_reads_the_boxes(tmp_path, classes, coco_ids):
    last = len(classes) - 1
    boxes = [[0, 0, 32, 24], [2.4, 3.6, 10.2, 12.49], [31, 23, 32, 24], [5.3, 5.3, 6.3, 6.3]]
    samples = [sample(0, [last, 0, 1, 2], boxes), sample(41, [], []),
               sample(7, [1, 1], [[1, 2, 3, 4]] * 2)]
    files, sets = write(COCOWriter(coco_ids=coco_ids), tmp_path, classes, *samples)
    assert files == [[f'train2017/{s.slot.id:06d}.jpg'] for s in samples]
    assert sets == ['annotations/instances_train2017.json']
    stock = stock_boxes(tmp_path, classes)
    for s in samples:
        found = stock[f'{s.slot.id:06d}.jpg']
        assert [label for _, label in found] == s.labels.tolist()
        np.testing.assert_allclose(np.array([box for box, _ in found]).reshape(-1, 4), s.bboxes,
                                   atol=1e-3)
    kept = stock_boxes(tmp_path, classes, filter_cfg=dict(filter_empty_gt=True))
    assert sorted(kept) == ['000000.jpg', '000007.jpg']


def test_pycocotools_reads_the_file(tmp_path):
    from pycocotools.coco import COCO
    write(COCOWriter(), tmp_path, class_names('coco'), sample(3, [79, 0], [[1, 2, 11, 8.5]] * 2))
    coco = COCO(str(tmp_path / 'annotations/instances_train2017.json'))
    assert coco.getCatIds() == list(coco_category_ids())
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[3]))
    assert [a['category_id'] for a in annotations] == [90, 1]
    assert [a['bbox'] for a in annotations] == [[1, 2, 10, 6.5]] * 2
    assert [(a['area'], a['iscrowd']) for a in annotations] == [(65, 0)] * 2
    assert len({a['id'] for a in annotations}) == 2 and min(a['id'] for a in annotations) > 0
    found = coco.loadRes([dict(image_id=3, category_id=1, bbox=[1, 2, 10, 6.5], score=1.)])
    assert len(found.anns) == 1


def test_other_classes_count_from_one():
    assert COCOWriter().category_ids(ANIMALS) == [1, 2, 3, 4]
    assert COCOWriter(coco_ids=False).category_ids(class_names('coco')) == list(range(1, 81))


def test_boxes_outside_are_clipped_or_dropped(tmp_path):
    boxes = [[-3, -3, 4, 4], [40, 2, 50, 9], [5, 5, 5, 9]]
    write(COCOWriter(), tmp_path, ANIMALS, sample(0, [0, 1, 2], boxes))
    assert stock_boxes(tmp_path, ANIMALS) == {'000000.jpg': [([0, 0, 4, 4], 0)]}


def test_coco_coreset(tmp_path):
    jpeg = real_image(tmp_path / 'real.jpg', quality=41)
    png = real_image(tmp_path / 'real.png', (30, 20))
    write(COCOWriter(), tmp_path / 'out', ANIMALS, sample(0, [1], [[1, 1, 32, 24]], path=jpeg),
          sample(1, [0], [[0, 0, 20, 30]], path=png, size=(0, 0)))
    assert (tmp_path / 'out/train2017/000000.jpg').read_bytes() == open(jpeg, 'rb').read()
    assert stock_boxes(tmp_path / 'out', ANIMALS) == {
        '000000.jpg': [([1, 1, 32, 24], 1)], '000001.jpg': [([0, 0, 20, 30], 0)]}


# Masks


def stock_masks(folder, classes=None, root='VOC2012'):
    """{file name: mask} through stock mmseg, which loads it as for training."""
    options = dict(type='PascalVOCDataset')
    if classes is not None:
        options = dict(type='BaseSegDataset', metainfo=dict(classes=classes))
    dataset = DATASETS.build(dict(
        options, _scope_='mmseg', serialize_data=False, data_root=f'{folder}/{root}',
        ann_file='ImageSets/Segmentation/train.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
                  dict(type='PackSegInputs')]))
    samples = [dataset[i] for i in range(len(dataset))]
    assert all(tuple(s['inputs'].shape[1:]) == tuple(s['data_samples'].gt_sem_seg.shape)
               for s in samples)
    return {osp.basename(s['data_samples'].img_path):
            s['data_samples'].gt_sem_seg.data[0].numpy() for s in samples}


def some_mask(size=(24, 32), classes=21):
    mask = np.random.default_rng(1).integers(0, classes, size).astype(np.uint8)
    mask[0, :3] = 255
    return mask


@pytest.mark.parametrize('classes, root', [(None, 'VOC2012'), (('background', 'a', 'b'), 'set')])
def test_stock_mmseg_reads_the_masks(tmp_path, classes, root):
    masks = [some_mask(classes=len(classes or class_names('voc_seg'))),
             np.zeros((24, 32), np.uint8), np.full((24, 32), 255, np.uint8)]
    masks.append(masks[1].copy())
    masks[3][5, 7] = 2  # one pixel
    samples = [sample(i, np.unique(mask[(mask > 0) & (mask < 255)]), mask=mask)
               for i, mask in enumerate(masks)]
    files, sets = write(SegMapWriter(root=root), tmp_path, classes or class_names('voc_seg'),
                        *samples)
    assert files[2] == [f'{root}/JPEGImages/000002.jpg', f'{root}/SegmentationClass/000002.png']
    assert sets == [f'{root}/ImageSets/Segmentation/train.txt']
    stock = stock_masks(tmp_path, classes, root)
    assert sorted(stock) == [f'{i:06d}.jpg' for i in range(4)]
    assert all((stock[f'{i:06d}.jpg'] == mask).all() for i, mask in enumerate(masks))


def test_mask_files_are_paletted(tmp_path):
    write(SegMapWriter(), tmp_path, class_names('voc_seg'), sample(0, [1], mask=some_mask()))
    with Image.open(tmp_path / 'VOC2012/SegmentationClass/000000.png') as picture:
        assert picture.mode == 'P'
        assert picture.getpalette() == voc_palette().reshape(-1).tolist()


def test_seg_map_coreset(tmp_path):
    jpeg = real_image(tmp_path / 'real.jpg', quality=41)
    png = real_image(tmp_path / 'real.png', (30, 20))
    masks = some_mask(), some_mask((30, 20))
    write(SegMapWriter(), tmp_path / 'out', class_names('voc_seg'),
          sample(0, [1], mask=masks[0], path=jpeg), sample(1, [1], mask=masks[1], path=png))
    copy = tmp_path / 'out/VOC2012/JPEGImages/000000.jpg'
    assert copy.read_bytes() == open(jpeg, 'rb').read()
    stock = stock_masks(tmp_path / 'out')
    assert all((stock[f'{i:06d}.jpg'] == mask).all() for i, mask in enumerate(masks))


def test_mask_of_another_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match='the mask is 20x30, its image 32x24'):
        SegMapWriter().write(sample(0, [1], mask=some_mask((30, 20))), str(tmp_path), ANIMALS)
    with pytest.raises(ValueError, match='300 classes do not fit'):
        SegMapWriter().check(['x'] * 300, [])


# All


@pytest.mark.parametrize('writer', [VOCWriter(), COCOWriter(), SegMapWriter(),
                                    ClassFolderWriter()])
def test_writing_twice_gives_the_same_bytes(tmp_path, writer):
    real = real_image(tmp_path / 'real.jpg')
    out = tmp_path / 'out'
    found = []
    for _ in range(2):
        write(writer, out, ANIMALS, sample(0, [1], [[1, 2, 9, 9]], some_mask()),
              sample(1, [0], [[3, 2, 9, 9]], some_mask(), path=real))
        found.append(content(out))
    assert found[0] == found[1] and len(found[0]) >= 3
    assert not any('.tmp' in str(path) for path in found[0])


@pytest.mark.parametrize('writer, field', [(VOCWriter(), 'bboxes'), (COCOWriter(), 'bboxes'),
                                           (SegMapWriter(), 'mask')])
def test_slots_of_another_task_are_refused_before_anything_is_made(writer, field):
    with pytest.raises(ValueError, match=f'slot 6: it has no {field}; use ClassFolderWriter'):
        writer.check(ANIMALS, [sample(6, [0]).slot])


def test_json_is_compact_and_plain(tmp_path):
    write(COCOWriter(), tmp_path, ANIMALS, sample(0, [1], [[1, 2, 9.123456, 9]]))
    file = tmp_path / 'annotations/instances_train2017.json'
    assert json.loads(file.read_text())['annotations'][0]['bbox'] == [1, 2, 8.123, 7]
    assert file.read_text().count('\n') == 1
