"""BCCD as a COCO set, and VOC by features: coresets, UniDD and students of detection."""
import json
import os.path as osp
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from distilled import manifest
from mmdet.datasets import CocoDataset, VOCDataset
from mmdet.utils import register_all_modules
from PIL import Image
from pycocotools.coco import COCO
from real_data import (
    BLOOD,
    compose,
    digest,
    lines,
    one_process,
    pixels,
    real,
    real_marks,
    short_list,
    shrink_unidd,
    squeezenet,
)

from mmdd.apis import distill
from mmdd.engine.train_job import ensure_checkpoint
from mmdd.models.proxies.feature_pass import FeaturePass
from mmdd.protocols import evaluate_sets
from mmdd.registry import MODELS
from mmdd.structures import DistillSlot

pytestmark = real_marks('bccd', 'voc2012', 'weights')
BCCD = real('bccd/VOCdevkit/VOC2007')
VOC = real('voc2012/VOCdevkit/VOC2012')
SIZE = 64
METHODS = ('random', 'uniform', 'kcenter', 'herding')


def objects(xml):
    """(class name, x1, y1, x2, y2) of each object of a VOC file; the first pixel is 0."""
    return [(node.findtext('name'), *(float(node.findtext(f'bndbox/{tag}')) - 1
                                      for tag in ('xmin', 'ymin', 'xmax', 'ymax')))
            for node in ET.parse(xml).iter('object')]


def write_coco(path, names):
    """BCCD images and their boxes as a COCO file; image ids are the numbers in the names."""
    images, annotations = [], []
    for name in names:
        number = int(name.split('_')[1])
        images.append(dict(id=number, file_name=f'{name}.jpg', width=640, height=480))
        for kind, x1, y1, x2, y2 in objects(f'{BCCD}/Annotations/{name}.xml'):
            box = [x1, y1, x2 - x1, y2 - y1]
            annotations.append(dict(
                id=len(annotations) + 1, image_id=number, category_id=BLOOD.index(kind) + 1,
                bbox=box, area=box[2] * box[3], iscrowd=0))
    with open(path, 'w') as f:
        json.dump(dict(images=images, annotations=annotations, categories=[
            dict(id=i, name=name) for i, name in enumerate(BLOOD, 1)]), f)


@pytest.fixture(scope='module')
def lists(tmp_path_factory):
    """Folder of COCO files: 60 training images and 6 test images of BCCD."""
    folder = tmp_path_factory.mktemp('bccd')
    for split, num in (('train', 60), ('test', 6)):
        write_coco(folder / f'{split}.json', lines(BCCD, f'ImageSets/Main/{split}.txt')[:num])
    return str(folder)


def coco_part(part, lists, split):
    """A config of CocoDataset pointed at BCCD."""
    return dict(part, data_root='', ann_file=f'{lists}/{split}.json',
                data_prefix=dict(img=f'{BCCD}/JPEGImages/'), metainfo=dict(classes=BLOOD))


def redirect(config, lists, num):
    cfg = compose(config)
    cfg.train_dataloader.dataset = coco_part(cfg.train_dataloader.dataset, lists, 'train')
    cfg.train_cfg.budget = dict(type='Total', n=num)
    return cfg


def training(lists, base, **changes):
    """A training config of the repository with a tiny detector on BCCD."""
    cfg = one_process(compose(base, changes))
    cfg.model = tiny.detector(3)
    for split, loader in (('train', cfg.train_dataloader), ('test', cfg.get('val_dataloader')),
                          ('test', cfg.test_dataloader)):
        if loader:
            loader.dataset = coco_part(loader.dataset, lists, split)
            for step in loader.dataset.pipeline:
                if step['type'] == 'Resize':
                    step.update(scale=(SIZE, SIZE), keep_ratio=False)
    for name in ('val_evaluator', 'test_evaluator'):
        if cfg.get(name):
            cfg[name].ann_file = f'{lists}/test.json'
    return cfg


@pytest.fixture(scope='module')
def coresets(lists, tmp_path_factory):
    folder, made = tmp_path_factory.mktemp('coresets'), {}
    for method in METHODS:
        cfg = redirect(f'configs/coreset/{method}_faster-rcnn_coco_1pct.py', lists, 6)
        if 'proxy' in cfg.model:
            cfg.model.update(feature_size=SIZE, proxy=squeezenet())
        made[method] = distill(cfg, work_dir=str(folder / method))
    return made


def read_back(folder):
    """Infos of a set through stock CocoDataset."""
    register_all_modules(init_default_scope=False)
    dataset = CocoDataset(
        data_root=folder, ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'), metainfo=dict(classes=BLOOD), pipeline=[])
    return [dataset.get_data_info(i) for i in range(len(dataset))]


@pytest.mark.parametrize('method', METHODS)
def test_boxes_and_photographs_come_back(method, coresets, lists):
    folder = coresets[method]
    content, infos = manifest(folder), read_back(folder)
    api = COCO(osp.join(folder, 'annotations/instances_train2017.json'))
    assert [cat['name'] for cat in api.loadCats(api.getCatIds())] == list(BLOOD)
    assert len(infos) == len(api.imgs) == 6
    with open(f'{lists}/train.json') as f:
        names = {str(image['id']): image['file_name'][:-4] for image in json.load(f)['images']}
    assert len({entry['source'] for entry in content['images']}) == 6
    for entry, info in zip(content['images'], infos):
        name = names[entry['source']]
        assert name not in lines(BCCD, 'ImageSets/Main/test.txt')
        truth = objects(f'{BCCD}/Annotations/{name}.xml')
        found = [(BLOOD[i['bbox_label']], *i['bbox']) for i in info['instances']]
        assert [f[0] for f in found] == [t[0] for t in truth] == entry['classes']
        assert np.allclose([f[1:] for f in found], [t[1:] for t in truth], atol=1e-3)
        boxes = api.loadAnns(api.getAnnIds(imgIds=info['img_id']))
        assert np.allclose([b['area'] for b in boxes],
                           [(t[3] - t[1]) * (t[4] - t[2]) for t in truth], atol=0.1)
        assert digest(info['img_path']) == digest(f'{BCCD}/JPEGImages/{name}.jpg')
        assert (info['height'], info['width']) == (480, 640)


def test_uniform_always_takes_the_class_that_is_behind(coresets):
    counts = dict.fromkeys(BLOOD, 0)
    for entry in manifest(coresets['uniform'])['images']:
        assert min(counts, key=counts.get) in entry['classes']
        for name in entry['classes']:
            counts[name] += 1
    assert min(counts.values()) > 0


@pytest.fixture(scope='module')
def proxy(lists, tmp_path_factory):
    """Config of a tiny detector after 120 updates on BCCD."""
    cfg = training(lists, 'configs/_base_/proxies/faster-rcnn_r50_coco.py',
                   train_cfg=dict(max_epochs=8, val_interval=8))
    cfg.train_dataloader.batch_size, cfg.param_scheduler = 4, None
    path = str(tmp_path_factory.mktemp('proxy') / 'detector.pth')
    return dict(type='DetectorProxy', relabel_thr=0., cfg=cfg.to_dict(),
                checkpoint=ensure_checkpoint(cfg, path))


def test_a_trained_proxy_knows_where_the_cells_are(proxy):
    with open(proxy['checkpoint'].replace('.pth', '.json')) as f:
        assert json.load(f)['metrics']['coco/bbox_mAP_50'] > 0.01
    network = MODELS.build(dict(proxy))
    assert network.classes == BLOOD
    names = lines(BCCD, 'ImageSets/Main/test.txt')[:12]
    found = [objects(f'{BCCD}/Annotations/{name}.xml') for name in names]
    slots = [DistillSlot(i, i, (480, 640), np.array([BLOOD.index(o[0]) for o in own]),
                         np.array([o[1:] for o in own], np.float32))
             for i, own in enumerate(found)]
    wrong = [replace(slot, labels=other.labels, bboxes=other.bboxes)
             for slot, other in zip(slots, slots[1:] + slots[:1])]
    images = torch.cat([pixels(f'{BCCD}/JPEGImages/{name}.jpg') for name in names])
    with torch.no_grad():
        gain = network.energy(images, wrong) - network.energy(images, slots)
    assert (gain > 0).sum() >= 7 and gain.mean() > 0.1


def test_unidd_writes_a_coco_set(lists, proxy, tmp_path):
    cfg = redirect('configs/unidd/faster-rcnn_coco_1pct.py', lists, 3)
    folder = distill(shrink_unidd(cfg, SIZE, proxy), work_dir=str(tmp_path))
    content, infos = manifest(folder), read_back(folder)
    with open(f'{lists}/train.json') as f:
        sources = {str(image['id']) for image in json.load(f)['images']}
    for entry, info in zip(content['images'], infos):
        assert entry['source'] in sources and 'energy' in entry['stats']
        assert any(name in entry['prompt'] for name in BLOOD)
        with Image.open(info['img_path']) as image:
            assert image.size == (SIZE, SIZE)
        assert len(info['instances']) == len(entry['classes']) > 0
        boxes = np.array([i['bbox'] for i in info['instances']])
        assert boxes.min() >= 0 and boxes.max() <= SIZE
        assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert len(infos) == 3


def test_students_of_a_coco_set(coresets, lists, tmp_path):
    protocol = training(lists, 'configs/_base_/protocols/det_coco.py',
                        train_cfg=dict(max_epochs=2))
    protocol.train_dataloader.batch_size = 3
    row, = evaluate_sets(dict(random=coresets['random']), protocol, str(tmp_path), seeds=[0],
                         jobs=0, require_random=True)
    assert not row.error, row
    assert (row.images, row.updates, row.num_classes) == (6, 4, 3)
    assert 0 <= row.last['mAP'] <= row.last['AP50'] <= 100


@pytest.fixture(scope='module')
def short_voc(tmp_path_factory):
    """The names of 48 training images of VOC, and a folder that lists them."""
    root = tmp_path_factory.mktemp('voc')
    names = lines(VOC, 'ImageSets/Main/train.txt')[::11]
    short_list(str(root / 'VOC2012'), VOC, 'train', names, 'Main')
    return names, f'{root}/'


@pytest.mark.parametrize('method', ['kcenter', 'herding'])
def test_photographs_of_voc_are_chosen_by_their_features(method, short_voc, tmp_path):
    names, root = short_voc
    cfg = compose(f'configs/coreset/{method}_faster-rcnn_voc_0.5pct.py')
    part = cfg.train_dataloader.dataset.datasets[0]
    part.update(data_root=root, ann_file='VOC2012/ImageSets/Main/train.txt',
                data_prefix=dict(sub_data_root='VOC2012/'))
    cfg.train_dataloader.dataset.datasets = [part]
    cfg.model.update(feature_size=SIZE, proxy=squeezenet())
    cfg.train_cfg.budget = dict(type='Total', n=8)
    folder = distill(cfg, work_dir=str(tmp_path))
    chosen = [names.index(entry['source']) for entry in manifest(folder)['images']]
    dataset = VOCDataset(data_root=folder, ann_file='VOC2007/ImageSets/Main/train.txt',
                         data_prefix=dict(sub_data_root='VOC2007/'), pipeline=[])
    for i, index in enumerate(chosen):
        found = [(VOCDataset.METAINFO['classes'][box['bbox_label']], *box['bbox'])
                 for box in dataset.get_data_info(i)['instances']]
        truth = objects(f'{VOC}/Annotations/{names[index]}.xml')
        assert found and set(found) <= set(truth)  # difficult ones are left out
    x = FeaturePass(MODELS.build(squeezenet()),
                    [f'{VOC}/JPEGImages/{name}.jpg' for name in names], (SIZE, SIZE), 48).run()
    x = x.double() if method == 'kcenter' else torch.nn.functional.normalize(x.double())

    def cost(indices):
        if method == 'herding':
            return float((x[indices].mean(0) - x.mean(0)).norm())
        return float(torch.cdist(x, x[indices]).min(1)[0].max())

    rng = np.random.default_rng(0)
    others = [cost(rng.permutation(48)[:8]) for _ in range(100)]
    assert cost(chosen) < np.quantile(others, 0.05)
