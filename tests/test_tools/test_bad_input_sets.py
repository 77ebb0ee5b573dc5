"""Bad real sets of every kind given to tools/distill.py: one clear line, nothing made."""
import json
import os
import os.path as osp
import runpy
import shutil
import sys
from importlib import import_module

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from PIL import Image

from mmdd.datasets.checks import check_real_set, open_real_set

TOOL = osp.join(osp.dirname(__file__), '../../tools/distill.py')
CLASSES = ('bird', 'cat', 'dog')
WRITERS = dict(cls='ClassFolderWriter', seg='SegMapWriter', coco='COCOWriter')


def picture(path, size=(20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)).save(path)


def class_folders(root):
    for name in CLASSES:
        picture(root / f'train/{name}/0.png')
    return dict(type='CustomDataset', _scope_='mmpretrain', data_root=str(root),
                data_prefix='train', metainfo=dict(classes=CLASSES),
                pipeline=[dict(type='PackInputs', meta_keys=('img_path', ))])


def masks(root):
    for i in range(3):
        picture(root / f'JPEGImages/{i}.jpg')
        write_mask(root, i, np.full((20, 30), i, np.uint8))
    path = root / 'ImageSets/Segmentation/train.txt'
    path.parent.mkdir(parents=True)
    path.write_text('0\n1\n2\n')
    return dict(type='BaseSegDataset', _scope_='mmseg', data_root=str(root),
                ann_file='ImageSets/Segmentation/train.txt',
                data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
                metainfo=dict(classes=CLASSES),
                pipeline=[dict(type='LoadAnnotations'),
                          dict(type='PackSegInputs', meta_keys=('img_path', 'seg_map_path'))])


def write_mask(root, index, mask):
    path = root / f'SegmentationClass/{index}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


def coco(root):
    for i in range(3):
        picture(root / f'train2017/{i}.jpg')
    content = dict(
        images=[dict(id=i, file_name=f'{i}.jpg', height=20, width=30) for i in range(3)],
        annotations=[dict(id=i + 1, image_id=i, category_id=i + 5, bbox=[1, 2, 5, 6], area=30,
                          iscrowd=0) for i in range(3)],
        categories=[dict(id=i + 5, name=name) for i, name in enumerate(CLASSES)])
    (root / 'a.json').write_text(json.dumps(content))
    return dict(type='CocoDataset', _scope_='mmdet', data_root=str(root), ann_file='a.json',
                data_prefix=dict(img='train2017'), metainfo=dict(classes=CLASSES),
                pipeline=[dict(type='LoadAnnotations', with_bbox=True),
                          dict(type='PackDetInputs',
                               meta_keys=('img_id', 'img_path', 'height', 'width'))])


BUILDERS = dict(cls=class_folders, seg=masks, coco=coco)


class Job:
    """A coreset job that would run, whose real set a test spoils."""

    def __init__(self, folder, kind) -> None:
        self.folder, self.root, self.work_dir = folder, folder / 'real', folder / 'work'
        # serializing collects garbage, which takes longer than the rest
        self.dataset = dict(BUILDERS[kind](self.root), serialize_data=False)
        self.writer = WRITERS[kind]
        self.budget = dict(type='Total', n=2)
        self.evaluation = None

    def run(self) -> None:
        """Run the tool."""
        cfg = Config(dict(
            default_scope='mmdd', model=dict(type='RandomCoreset'), optim_wrapper=dict(),
            evaluation=self.evaluation,
            train_dataloader=dict(batch_size=4, num_workers=0, dataset=self.dataset),
            train_cfg=dict(type='DistillLoop', budget=self.budget,
                           writer=dict(type=self.writer), batch_size=2, max_rounds=1),
            default_hooks=dict(param_scheduler=None, sampler_seed=None, checkpoint=None),
            log_processor=dict(by_epoch=False)))
        path = self.folder / 'job.py'
        path.write_text(cfg.pretty_text)
        before, sys.argv = sys.argv, [TOOL, str(path), '--work-dir', str(self.work_dir)]
        try:
            runpy.run_path(TOOL, run_name='__main__')
        finally:
            sys.argv = before

    def error(self) -> str:
        """Run the tool and return the line it ends with."""
        with pytest.raises(SystemExit) as info:
            self.run()
        message = info.value.code
        assert isinstance(message, str) and message.startswith('error: ')
        assert '\n' not in message and len(message) < 700
        assert not (self.work_dir / 'distilled' / 'manifest.json').exists()
        return message


@pytest.mark.parametrize('kind', BUILDERS)
def test_the_unspoilt_job_runs(tmp_path, kind):
    job = Job(tmp_path, kind)
    job.run()
    manifest = json.loads((job.work_dir / 'distilled/manifest.json').read_text())
    assert len(manifest['images']) == 2 and manifest['classes'] == list(CLASSES)


# Class folders


def unknown_folder(job):
    (job.root / 'train/dog').rename(job.root / 'train/horse')


def missing_folder(job):
    shutil.rmtree(job.root / 'train/cat')


def extra_folder(job):
    picture(job.root / 'train/zebra/0.png')


def class_order(job):
    job.dataset['metainfo'] = dict(classes=('cat', 'bird', 'dog'))


def empty_class(job):
    (job.root / 'train/cat/0.png').unlink()


def broken_png(job):
    path = job.root / 'train/cat/0.png'
    path.write_bytes(path.read_bytes()[:200])


def missing_root(job):
    job.dataset['data_prefix'] = 'trian'


def wnid_order(job):
    for name, wnid in zip(CLASSES, ('n01440764', 'n02102040', 'n02979186')):
        (job.root / 'train' / name).rename(job.root / 'train' / wnid)
    job.dataset['metainfo'] = dict(classes=('tench', 'cassette player', 'English springer'))


def label_list(job, lines):
    (job.root / 'list.txt').write_text(lines)
    job.dataset['ann_file'] = 'list.txt'


@pytest.mark.parametrize('spoil, words', [
    (unknown_folder, ['unknown folders: horse', 'classes without a folder: dog']),
    (missing_folder, ['2 class folders for 3 classes', 'classes without a folder: cat']),
    (extra_folder, ['4 class folders for 3 classes', 'unknown folders: zebra']),
    (class_order, ["sorted folder 0 is bird, but class 0 is 'cat'", 'in the order of']),
    (wnid_order, ["folder 1 is n02102040 (English springer), but class 1 is 'cassette player'"]),
    (empty_class, [osp.join('train', 'cat'), 'the class has no images']),
    (broken_png, ['0.png', 'cannot be read as an image']),
    (missing_root, ['trian: the class folders are missing', 'data_prefix']),
    (lambda job: label_list(job, 'cat/0.png 1\ndog/0.png 3\n'),
     ['list.txt:2', 'class index 3', '3 classes (0 to 2)']),
    (lambda job: label_list(job, 'cat/0.png cat\n'), ['list.txt:1', 'is not an image path']),
    (lambda job: label_list(job, 'cat/7.png 1\n'), ['7.png: the image is missing']),
])
def test_class_folders(tmp_path, spoil, words):
    job = Job(tmp_path, 'cls')
    spoil(job)
    message = job.error()
    assert all(word in message for word in words), message


def test_a_class_with_fewer_images_than_the_budget(tmp_path):
    job = Job(tmp_path, 'cls')
    for i in range(1, 4):
        picture(job.root / f'train/bird/{i}.png')
    job.budget = dict(type='IPC', n=2)
    assert 'IPC(n=2): class 1 has only 1 real images; lower the budget' in job.error()
    # Before anything is trained or begun.
    assert not (job.work_dir / 'distilled').exists()


@pytest.mark.parametrize('classes, folders', [
    (('zero', 'one', 'two'), CLASSES),  # other words: only the number can be checked
    (('b bird', 'Cat', 'dog, hound'), ('000_b_bird', '001_cat', '002_dog')),
    (('tench', 'English springer', 'cassette player'), ('n01440764', 'n02102040', 'n02979186')),
    (('own name', 'second', 'third'), ('n01440764', 'n02102040', 'n02979186')),
])
def test_sound_class_folders(tmp_path, classes, folders):
    job = Job(tmp_path, 'cls')
    for name, folder in zip(CLASSES, folders):
        (job.root / 'train' / name).rename(job.root / 'train' / folder)
    job.dataset['metainfo'] = dict(classes=classes)
    assert len(open_real_set(job.dataset)) == 3


# Masks


def missing_mask(job):
    (job.root / 'SegmentationClass/1.png').unlink()


def broken_mask(job):
    (job.root / 'SegmentationClass/1.png').write_bytes(b'no mask')


def missing_mask_list(job):
    job.dataset.update(ann_file='ImageSets/Segmentation/all.txt')


def missing_voc_images(job):
    job.dataset.update(type='PascalVOCDataset')
    del job.dataset['metainfo']
    shutil.rmtree(job.root / 'JPEGImages')


@pytest.mark.parametrize('spoil, words', [
    (missing_mask, ['1.png: the mask is missing']),
    (broken_mask, ['1.png: cannot be read as a mask']),
    (lambda job: write_mask(job.root, 2, np.zeros((30, 20), np.uint8)),
     ['2.png: the mask is 20x30, its image 30x20']),
    (lambda job: write_mask(job.root, 2, np.full((20, 30), 7, np.uint8)),
     ['2.png: the mask holds the class ids [7]', '3 classes (0 to 2, 255 is ignored)']),
    (lambda job: write_mask(job.root, 0, np.zeros((20, 30, 3), np.uint8)),
     ['0.png: the mask has mode RGB', 'class ids as pixel values']),
    (missing_mask_list, ['all.txt: the list of the real images is missing']),
    (missing_voc_images, ['cannot be opened', 'JPEGImages not found']),
])
def test_masks(tmp_path, spoil, words):
    job = Job(tmp_path, 'seg')
    spoil(job)
    message = job.error()
    assert all(word in message for word in words), message


def test_sound_masks(tmp_path):
    """Palettes, ignored pixels, reduce_zero_label, and ids that a label map drops."""
    job = Job(tmp_path, 'seg')
    mask = np.full((20, 30), 255, np.uint8)
    mask[:5] = 3
    write_mask(job.root, 0, mask)
    with pytest.raises(ValueError, match=r'class ids \[3\]'):
        open_real_set(job.dataset)
    assert len(open_real_set(dict(job.dataset, reduce_zero_label=True))) == 3
    picture = Image.fromarray(np.full((20, 30), 2, np.uint8))
    picture.putpalette([0, 0, 0, 9, 9, 9, 128, 0, 0])
    picture.save(job.root / 'SegmentationClass/0.png')
    assert len(open_real_set(job.dataset)) == 3
    voc = dict(job.dataset, type='PascalVOCDataset', metainfo=dict(classes=('bicycle', 'bird')))
    assert len(open_real_set(voc)) == 3


def test_a_set_of_arrays(tmp_path):
    """As mmpretrain's CIFAR10: there is no file that a slot could name."""
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(dict(metainfo=dict(classes=CLASSES), data_list=[
        dict(img=[[0, 1], [2, 3]], gt_label=0)])))
    with pytest.raises(ValueError, match='holds arrays, not image files: write it to class fol'):
        check_real_set(BaseDataset(ann_file=str(path), data_prefix=dict(), serialize_data=False))


# COCO


def edit(job, change):
    path = job.root / 'a.json'
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize('change, words', [
    (lambda c: c['images'].append(c['images'][0]), ['the image id 0 stands there 2 times']),
    (lambda c: c['annotations'][2].update(id=1), ['the annotation id 1 stands there 2 times']),
    (lambda c: c['categories'][1].update(id=c['categories'][0]['id']),
     ['the category id', 'stands there 2 times', 'number the categories anew']),
    (lambda c: c['annotations'][1].update(image_id=77), ['annotation 2 belongs to image 77']),
    (lambda c: c['annotations'][1].update(category_id=77), ['annotation 2 has category 77']),
    (lambda c: c['annotations'][1].update(bbox=[1, 2, 3]), ['annotation 2 has the box [1, 2, 3]']),
    (lambda c: c['annotations'][1].update(bbox=[1, 2, 40, 4]), ['exceeds the 30x20 image']),
    (lambda c: c['categories'][1].update(name='puma'), ['the classes cat of the dataset']),
    (lambda c: c['categories'].reverse(), ["category 0 of the file is 'dog'", "has 'bird' there"]),
    (lambda c: c['categories'].append(dict(id=99, name='dog')),
     ["category 3 of the file is 'dog'", 'no more']),
    (lambda c: c.pop('annotations'), ['cannot be read as COCO annotations', 'annotations']),
    (lambda c: c['images'][1].update(file_name='x.jpg'), ['x.jpg: the image is missing']),
    (lambda c: c['images'][1].update(width=31), ['is 30x20, its annotation says 31x20']),
])
def test_coco(tmp_path, change, words):
    job = Job(tmp_path, 'coco')
    edit(job, change)
    message = job.error()
    assert all(word in message for word in words), message


def test_coco_that_is_no_json(tmp_path):
    job = Job(tmp_path, 'coco')
    (job.root / 'a.json').write_text('{')
    assert 'cannot be read as COCO annotations (JSONDecodeError' in job.error()


def test_coco_of_some_classes(tmp_path):
    """Classes may be a part of the categories, in the order of the file."""
    job = Job(tmp_path, 'coco')
    part = dict(job.dataset, metainfo=dict(classes=('bird', 'dog')))
    dataset = open_real_set(part)
    assert [len(dataset.get_data_info(i)['instances']) for i in range(3)] == [1, 0, 1]
    with pytest.raises(ValueError, match="category 0 of the file is 'bird'"):
        open_real_set(dict(job.dataset, metainfo=dict(classes=('dog', 'bird'))))


def test_what_is_mended_is_read_again(tmp_path):
    """Results are kept by file and time of change."""
    job = Job(tmp_path, 'seg')
    path = job.root / 'SegmentationClass/1.png'
    sound = path.read_bytes()
    path.write_bytes(b'broken')
    with pytest.raises(ValueError, match='1.png: cannot be read as a mask'):
        open_real_set(job.dataset)
    path.write_bytes(sound)
    os.utime(path, ns=(1, 1))
    assert len(open_real_set(job.dataset)) == 3


def test_a_writer_of_another_task(tmp_path):
    job = Job(tmp_path, 'cls')
    job.writer = 'COCOWriter'
    assert 'COCOWriter cannot write slot 0: it has no bboxes' in job.error()


def test_a_job_whose_protocol_is_for_other_classes(tmp_path, monkeypatch):
    """Distilling goes on: the set may be meant for other students; the log says it."""
    job = Job(tmp_path, 'cls')
    job.evaluation = dict(protocol='configs/_base_/protocols/cls_digits.py')
    warnings = []
    monkeypatch.setattr(import_module('mmdd.apis.distill'), 'print_log',
                        lambda text, *_: warnings.append(text))
    job.run()
    assert (job.work_dir / 'distilled/manifest.json').exists()
    said, = warnings
    assert 'evaluation.protocol does not fit this job' in said
    assert "class 0 is 'bird' there and '0' in the protocol" in said
