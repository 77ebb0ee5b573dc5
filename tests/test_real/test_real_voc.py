"""The paper's VOC configs on real Pascal VOC and BCCD images, with tiny networks."""
import os.path as osp
import time

import pytest
import tiny
from distilled import manifest
from mmdet.datasets import VOCDataset
from real_data import (
    BLOOD,
    ROOT,
    digest,
    lines,
    real,
    real_marks,
    shrink_unidd,
)

from mmdd.apis import distill
from mmdd.structures import Ratio
from mmdd.utils.config import load_config

UNIDD = osp.join(ROOT, 'configs/unidd/faster-rcnn_voc_1pct.py')
SIZE = 64

pytestmark = real_marks('voc2012', 'bccd')


def real_part(name, year, split, classes=None):
    """One stock VOCDataset, read for its labels as in the configs."""
    part = load_config(UNIDD).train_dataloader.dataset.datasets[0]
    part.update(data_root=real(name, 'VOCdevkit/'),
                ann_file=f'VOC{year}/ImageSets/Main/{split}.txt',
                data_prefix=dict(sub_data_root=f'VOC{year}/'))
    if classes:
        part.metainfo = dict(classes=classes)
    return part


def proxy_job(part, num_classes):
    """Training of a tiny detector on real images, for two updates."""
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
                dict(type='Resize', scale=(SIZE, SIZE), keep_ratio=False),
                dict(type='PackDetInputs')]
    job = tiny.detector_job('unused')
    job['model'] = tiny.detector(num_classes)
    job['train_dataloader']['dataset'] = dict(part, pipeline=pipeline)
    return job


def shrink(config, parts, num_classes, **budget):
    """A config of the repository with tiny networks and other data."""
    cfg = load_config(config)
    cfg.train_dataloader.dataset.datasets = parts
    cfg.train_dataloader.num_workers = 0
    if budget:
        cfg.train_cfg.budget = budget
    if cfg.model.type == 'UniDD':
        shrink_unidd(cfg, SIZE, dict(
            type='DetectorProxy', cfg=proxy_job(parts[0], num_classes), relabel_thr=0.))
    return cfg


def read_back(folder, classes=None):
    """A distilled set through stock VOCDataset."""
    options = dict(metainfo=dict(classes=classes)) if classes else {}
    return VOCDataset(
        data_root=str(folder), ann_file='VOC2007/ImageSets/Main/trainval.txt',
        data_prefix=dict(sub_data_root='VOC2007/'), pipeline=[], **options)


def check_set(folder, num, size=None, classes=None):
    """Files, manifest and boxes of a set of ``num`` images."""
    content, dataset = manifest(folder), read_back(folder, classes)
    assert len(dataset) == len(content['images']) == num
    assert tuple(content['classes']) == dataset.metainfo['classes']
    for i in range(num):
        info = dataset.get_data_info(i)
        assert osp.isfile(info['img_path'])
        assert info['instances']
        assert size is None or (info['height'], info['width']) == (size, size)
        for instance in info['instances']:
            x1, y1, x2, y2 = instance['bbox']
            assert 0 <= x1 < x2 < info['width'] and 0 <= y1 < y2 < info['height']
    return content


@pytest.fixture(scope='module')
def voc():
    return real_part('voc2012', 2012, 'train')


def test_unidd_on_voc(voc, tmp_path):
    cfg = shrink(UNIDD, [voc], 20)
    folder = distill(cfg, work_dir=str(tmp_path / 'work'))
    content = check_set(folder, Ratio(1).resolve(528, 20), SIZE)
    assert content['classes'] == list(VOCDataset.METAINFO['classes'])
    assert all(entry['prompt'].startswith('a photo of') for entry in content['images'])
    assert all('energy' in entry['stats'] for entry in content['images'])
    sources = {entry['source'] for entry in content['images']}
    assert sources <= set(lines('voc2012/VOCdevkit/VOC2012/ImageSets/Main/train.txt'))
    assert osp.isfile(tmp_path / 'work' / 'proxy.pth')


def test_two_lists_of_voc(tmp_path):
    """The ConcatDataset of the config, over two parts of one year."""
    parts = [real_part('voc2012', 2012, split) for split in ('train', 'val')]
    cfg = shrink(osp.join(ROOT, 'configs/coreset/random_faster-rcnn_voc_0.5pct.py'), parts, 20)
    folder = distill(cfg, work_dir=str(tmp_path / 'work'))
    for entry in check_set(folder, Ratio(0.5).resolve(839, 20))['images']:
        source = real(f'voc2012/VOCdevkit/VOC2012/JPEGImages/{entry["source"]}.jpg')
        assert digest(osp.join(folder, entry['files'][0])) == digest(source)


@pytest.mark.parametrize('config', [
    'configs/coreset/uniform_faster-rcnn_voc_1pct.py', 'configs/unidd/faster-rcnn_voc_1pct.py'])
def test_own_classes(config, tmp_path):
    """BCCD: VOC 2007 layout, three classes of its own."""
    part = real_part('bccd', 2007, 'train', BLOOD)
    cfg = shrink(osp.join(ROOT, config), [part], 3, type='Total', n=3)
    folder = distill(cfg, work_dir=str(tmp_path / 'work'))
    content = check_set(folder, 3, SIZE if 'unidd' in config else None, BLOOD)
    assert content['classes'] == list(BLOOD)


def test_missing_weights(voc, tmp_path, monkeypatch):
    """A hub id that is out of reach: one line, at once, nothing trained."""
    def unreachable(*args, **kwargs):
        raise ConnectionError

    monkeypatch.setattr('huggingface_hub.HfApi.repo_info', unreachable)
    cfg = load_config(UNIDD)
    cfg.train_dataloader.dataset.datasets = [voc]
    cfg.model.diffusion.pretrained = 'nobody/nothing-here'
    begin = time.perf_counter()
    with pytest.raises(ValueError, match="no diffusion weights at 'nobody/nothing-here'") as info:
        distill(cfg, work_dir=str(tmp_path / 'work'))
    assert time.perf_counter() - begin < 20
    assert 'local folder' in str(info.value)
    assert not (tmp_path / 'work' / 'proxy_train').exists()
