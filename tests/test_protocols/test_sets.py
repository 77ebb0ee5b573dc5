"""A set of each layout becomes the training set of a stock protocol; misfits are refused."""
import json

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from mmdd.datasets import BaseWriter, ClassFolderWriter, COCOWriter, SegMapWriter, VOCWriter
from mmdd.datasets.formats import SetFormat
from mmdd.datasets.formats.set_format import listed_names
from mmdd.protocols.protocol import content_hash, student_config
from mmdd.protocols.sets import (
    check_job_fits,
    protocol_classes,
    set_content,
    wanted_format,
)
from mmdd.registry import FORMATS
from mmdd.structures import DistilledSample, DistillSlot

NAMES = ('zebra', 'cat', 'dog')
LABELS = (2, 0, 1, 2)
BOX = [3., 4., 17., 15.]
WRITERS = dict(
    classification=ClassFolderWriter(), voc=VOCWriter(), coco=COCOWriter(),
    segmentation=SegMapWriter())


def write_set(folder, kind, names=NAMES, manifest=True):
    """Four images; image i is of class LABELS[i] and has the grey value 40 * i."""
    samples = []
    for i, label in enumerate(LABELS):
        mask = np.zeros((20, 24), np.uint8)
        mask[4:10, 5:9] = label
        labels, image = np.array([label]), np.full((20, 24, 3), 40 * i, np.uint8)
        slot = DistillSlot(i, i, (20, 24), labels, np.array([BOX]), mask=mask)
        samples.append(DistilledSample(slot, image, labels=labels, bboxes=slot.bboxes, mask=mask))
    for one in samples:
        WRITERS[kind].write(one, str(folder), names)
    WRITERS[kind].close(samples, str(folder), names)
    if manifest:
        (folder / 'manifest.json').write_text(json.dumps(dict(classes=names)))
    return str(folder)


def protocol(kind, names=NAMES, **dataset):
    """The parts of a protocol that a swap reads."""
    leaf = dict(
        classification=dict(type='CustomDataset', _scope_='mmpretrain', data_prefix='train',
                            pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')]),
        voc=dict(type='XMLDataset', _scope_='mmdet', ann_file='VOC2007/ImageSets/Main/train.txt',
                 pipeline=[]),
        coco=dict(type='CocoDataset', _scope_='mmdet', ann_file='annotations/train.json',
                  pipeline=[]),
        segmentation=dict(type='BaseSegDataset', _scope_='mmseg', ann_file='train.txt',
                          pipeline=[dict(type='LoadAnnotations')]))[kind]
    if names:
        leaf['metainfo'] = dict(classes=names)
    leaf.update(dict(dict(data_root='real'), **dataset))
    task = kind if kind in ('classification', 'segmentation') else 'detection'
    return Config(dict(train_dataloader=dict(dataset=leaf, batch_size=2),
                       test_dataloader=dict(dataset=dict(leaf, data_root='test')),
                       train_cfg=dict(max_iters=3),
                       protocol=dict(task=task, metrics=dict(a='b'))))


def student_set(cfg, folder):
    """The training set that a student reads, by its stock class."""
    node = student_config(cfg, folder, 0).train_dataloader.dataset
    with DefaultScope.overwrite_default_scope(node._scope_):
        return DATASETS.build(node)


def test_classification_labels(tmp_path):
    folder = write_set(tmp_path, 'classification')
    assert (tmp_path / 'train' / '000_zebra').is_dir()  # whatever the folders are called
    dataset = student_set(protocol('classification'), folder)
    found = [(int(dataset[i]['inputs'].float().mean()), int(dataset[i]['data_samples'].gt_label))
             for i in range(4)]
    assert found == [(40 * i, label) for i, label in enumerate(LABELS)]
    assert dataset.metainfo['classes'] == NAMES


@pytest.mark.parametrize('split', ['train', ''])
def test_classification_through_imagenet(tmp_path, split):
    """Also where the protocol names the real set by ``split`` alone."""
    folder = write_set(tmp_path, 'classification')
    cfg = protocol('classification', type='ImageNet', split=split, data_prefix='')
    dataset = student_set(cfg, folder)
    assert [dataset.get_data_info(i)['gt_label'] for i in range(4)] == list(LABELS)


@pytest.mark.parametrize('kind', ['voc', 'coco'])
def test_detection_labels(tmp_path, kind):
    dataset = student_set(protocol(kind), write_set(tmp_path, kind))
    infos = [dataset.get_data_info(i)['instances'] for i in range(4)]
    assert [one['bbox_label'] for info in infos for one in info] == list(LABELS)
    assert all(one['bbox'] == BOX for info in infos for one in info)


def test_segmentation_masks(tmp_path):
    dataset = student_set(protocol('segmentation'), write_set(tmp_path, 'segmentation'))
    for i, label in enumerate(LABELS):
        expected = np.zeros((20, 24), np.uint8)
        expected[4:10, 5:9] = label
        np.testing.assert_array_equal(dataset[i]['gt_seg_map'], expected)
        assert dataset[i]['img_path'].endswith(f'{i:06d}.jpg')


@pytest.mark.parametrize('real', [
    # renumbers the ids of its files, looks for other suffixes, takes one class off
    dict(type='PascalVOCDataset'), dict(type='CityscapesDataset'), dict(type='ADE20KDataset'),
    dict(type='BaseSegDataset', img_suffix='.png', seg_map_suffix='_L.png', indices=[0],
         reduce_zero_label=True)])
def test_masks_are_read_as_they_are_whatever_the_real_set_does(tmp_path, real):
    names = ('background', 'person', 'car') if real['type'] == 'PascalVOCDataset' else (
        'road', 'person', 'car') if real['type'] == 'CityscapesDataset' else (
            'wall', 'person', 'car')
    load = dict(type='LoadAnnotations')
    if real['type'] in ('ADE20KDataset', 'BaseSegDataset'):
        load['reduce_zero_label'] = True
    cfg = protocol('segmentation', names, pipeline=[load], **real)
    folder = write_set(tmp_path, 'segmentation', names)
    dataset = student_set(cfg, folder)
    assert len(dataset) == 4 and dataset.metainfo['classes'] == list(names)
    for i, label in enumerate(LABELS):
        expected = np.zeros((20, 24), np.uint8)
        expected[4:10, 5:9] = label
        np.testing.assert_array_equal(dataset[i]['gt_seg_map'], expected)
    assert cfg.train_dataloader.dataset.pipeline == [load]  # the protocol itself is unchanged
    crop = dict(type='RandomCrop', crop_size=(20, 24))  # refused as a list
    cfg = protocol('segmentation', names, pipeline=[load, crop], **real)
    kept = student_config(cfg, folder, 0).train_dataloader.dataset.pipeline[1].crop_size
    assert kept == (20, 24) and isinstance(kept, tuple)


@pytest.mark.parametrize('kind', list(WRITERS))
def test_content(tmp_path, kind):
    """Every file counts, the place does not."""
    cfg = protocol(kind)
    a, b = (write_set(tmp_path / name, kind) for name in 'ab')
    content = set_content(cfg, b)
    found = content_hash(a, set_content(cfg, a))
    assert content.images == 4 and found == content_hash(b, content)
    images = 4 * (1 + (kind in ('voc', 'segmentation')))
    assert len(content.files) == len(set(content.files)) == images + 1
    for name in content.files:
        path = tmp_path / 'b' / name
        old = path.read_bytes()
        path.write_bytes(old + b'\n')
        assert content_hash(b, set_content(cfg, b)) != found, name
        path.write_bytes(old)
    (tmp_path / 'b' / content.files[-1]).unlink()
    with pytest.raises(FileNotFoundError, match='is listed in .* but missing'):
        set_content(cfg, b)


@pytest.mark.parametrize('kind', list(WRITERS))
def test_classes_in_another_order_are_refused(tmp_path, kind):
    folder = write_set(tmp_path, kind)
    with pytest.raises(ValueError, match="in another order: class 0 is 'zebra' there and "
                                         "'cat' in the protocol; distill"):
        set_content(protocol(kind, ('cat', 'zebra', 'dog')), folder)
    with pytest.raises(ValueError, match="other classes than the protocol.*class 1 is 'cat'"):
        set_content(protocol(kind, ('zebra', 'horse', 'dog')), folder)


def test_categories_in_another_order_are_refused_without_a_manifest(tmp_path):
    """mmdet numbers classes by the order of the file, not of the config."""
    folder = write_set(tmp_path, 'coco', manifest=False)
    with pytest.raises(ValueError, match='in another order'):
        set_content(protocol('coco', ('cat', 'zebra', 'dog')), folder)


@pytest.mark.parametrize('of_set, of_protocol, message', [
    ('voc', 'classification', 'is a detection set .VOC layout., the protocol is for classif'),
    ('classification', 'voc', 'is a classification set .class-folder layout., the .* detection'),
    ('segmentation', 'coco', 'is a segmentation set .mask layout., the protocol is for detect'),
    ('coco', 'segmentation', 'is a detection set .COCO layout., the protocol is for segment'),
    ('coco', 'voc', r'is in COCO layout, the protocol reads VOC layout \(XMLDataset\): distill '
                    'with VOCWriter instead of COCOWriter'),
    ('voc', 'coco', r'is in VOC layout, the protocol reads COCO layout \(CocoDataset\)')])
def test_a_set_that_does_not_fit(tmp_path, of_set, of_protocol, message):
    folder = write_set(tmp_path, of_set)
    with pytest.raises(ValueError, match=message) as caught:
        set_content(protocol(of_protocol), folder)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('written, read, message', [
    ('coco', 'voc', 'COCOWriter writes COCO layout, the protocol of evaluation.protocol is for '
                    'detection and reads VOC layout: take VOCWriter, or another protocol'),
    ('voc', 'segmentation', 'VOCWriter writes VOC layout, .* is for segmentation and reads mask'),
    ('classification', 'voc', 'ClassFolderWriter writes class-folder layout')])
def test_a_job_that_does_not_fit_its_protocol(written, read, message):
    def job(kind, names=NAMES):
        return Config(dict(protocol(kind, names).to_dict(), train_cfg=dict(
            writer=dict(type=f'mmdd.{type(WRITERS[kind]).__name__}'))))

    check_job_fits(job(read), protocol(read))
    with pytest.raises(ValueError, match=message):
        check_job_fits(job(written), protocol(read))
    with pytest.raises(ValueError, match="the real set of train_dataloader has the classes of the "
                                         "protocol in another order: class 1 is 'cat' there"):
        check_job_fits(job(read), protocol(read, (NAMES[0], NAMES[2], NAMES[1])))
    other = job(read)
    other.train_cfg.writer.type = 'WriterOfAPlugin'  # whose layout is not known here
    check_job_fits(other, protocol(read))
    other.train_dataloader.dataset.data_root = 'test'
    with pytest.raises(ValueError, match='is the split that the protocol tests on .*; distill '
                                         'the training split'):
        check_job_fits(other, protocol(read))


def test_damaged_sets(tmp_path):
    def check(kind, message, error=ValueError):
        with pytest.raises(error, match=message) as caught:
            set_content(protocol(kind), str(tmp_path / kind))
        assert '\n' not in str(caught.value)

    for kind in WRITERS:
        write_set(tmp_path / kind, kind)
    (tmp_path / 'classification/meta/train.txt').write_text('000_zebra/000001.png\n')
    check('classification', "has the line '000_zebra/000001.png'; expected an image and")
    (tmp_path / 'classification/meta/train.txt').write_text('000_zebra/000001.png 3\n')
    check('classification', 'class 3, the protocol has classes 0 to 2')
    (tmp_path / 'coco/annotations/instances_train2017.json').write_text('{"images": []}')
    check('coco', 'is no COCO annotation file .KeyError')
    from PIL import Image
    Image.fromarray(np.full((20, 24), 9, np.uint8)).save(
        tmp_path / 'segmentation/VOC2012/SegmentationClass/000001.png')
    check('segmentation', r'000001.png has the values \[9\], the protocol has classes 0 to 2')
    (tmp_path / 'voc/manifest.json').write_text('{')
    check('voc', 'manifest.json is damaged')


def test_classes_of_folders(tmp_path):
    """Without names in the config the sorted folders of the real set are the classes."""
    for name in ('b', 'a', 'c'):
        (tmp_path / 'train' / name).mkdir(parents=True)
    assert protocol_classes(protocol('classification', None, data_root=str(tmp_path))) == (
        'a', 'b', 'c')
    assert protocol_classes(protocol('classification', None)) is None
    assert protocol_classes(protocol('voc', None, type='VOCDataset'))[:2] == (
        'aeroplane', 'bicycle')
    assert len(protocol_classes(protocol('segmentation', None, type='PascalVOCDataset'))) == 21


class FlatWriter(BaseWriter):
    """Of a plug-in."""


class FlatFormat(SetFormat):
    """Images beside one list of names and labels."""
    name, task, marker, writer = 'flat', 'classification', 'flat.txt', FlatWriter

    def reads(self, leaf):
        return leaf['type'] == 'FlatDataset'

    def check(self, folder, file, classes):
        return [(name, ) for name in listed_names(folder, file)]

    def student_dataset(self, folder, file, leaf, classes):
        return dict(data_root=folder, ann_file=file)


def test_a_format_is_one_class(tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS.module_dict, 'FlatFormat', FlatFormat)
    (tmp_path / 'flat.txt').write_text('b.png\n\na.png\n')
    flat = protocol('classification', type='FlatDataset')
    assert wanted_format(flat).name == 'flat'
    assert wanted_format(protocol('classification')).name == 'class-folder'
    content = set_content(flat, str(tmp_path))
    assert (content.images, content.files) == (2, ['flat.txt', 'b.png', 'a.png'])
    assert content.changes == dict(data_root=str(tmp_path), ann_file='flat.txt')
    with pytest.raises(ValueError, match='is in flat layout, the protocol reads class-folder .*: '
                                         'distill with ClassFolderWriter instead of FlatWriter'):
        set_content(protocol('classification'), str(tmp_path))


def test_layout_of_a_protocol():
    assert [wanted_format(protocol(kind)).name for kind in WRITERS] == [
        'class-folder', 'VOC', 'COCO', 'mask']


@pytest.mark.parametrize('kind', list(WRITERS))
def test_the_full_set_is_counted(tmp_path, kind):
    folder = write_set(tmp_path, kind)
    lists = dict(voc='VOC2007/ImageSets/Main/train.txt',
                 coco='annotations/instances_train2017.json',
                 segmentation='VOC2012/ImageSets/Segmentation/train.txt')
    cfg = protocol(kind, data_root=folder, **(
        dict(ann_file=lists[kind]) if kind in lists else {}))
    content = set_content(cfg, 'full')
    assert content.images == 4 and content.files and content.changes == {}
    twice = Config(cfg.to_dict())
    leaf = cfg.train_dataloader.dataset
    twice.train_dataloader.dataset = dict(type='RepeatDataset', times=3, dataset=dict(
        type='ConcatDataset', datasets=[leaf, leaf]))
    assert set_content(twice, 'full').images == 8
    with pytest.raises(FileNotFoundError, match='the full real set'):
        set_content(protocol(kind), 'full')
