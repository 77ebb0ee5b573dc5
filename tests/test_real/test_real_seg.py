"""Pascal VOC 2012 and CamVid masks: coresets, UniDD, proxies and students."""
import os.path as osp
import shutil
from glob import glob

import numpy as np
import pytest
import tiny
import torch
from distilled import manifest
from mmengine.runner import find_latest_checkpoint
from mmseg.datasets import BaseSegDataset, PascalVOCDataset
from PIL import Image
from real_data import (
    STREET,
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
from mmdd.structures import DistillSlot, Ratio, resize_mask

pytestmark = real_marks('voc2012', 'camvid', 'weights')
VOC = real('voc2012/VOCdevkit/VOC2012')
CLASSES = PascalVOCDataset.METAINFO['classes']
SIZE = 64
METHODS = ('random', 'uniform', 'kcenter', 'herding')
STUDENT = ('configs/_base_/models/lraspp_mobilenet-v3-l.py',
           'configs/_base_/datasets/voc2012_seg.py')


def ids(split):
    return lines(VOC, f'ImageSets/Segmentation/{split}.txt')


def mask_of(path):
    with Image.open(path) as mask:
        return np.array(mask)


@pytest.fixture(scope='module')
def short_voc(tmp_path_factory):
    """VOC with 48 training and 6 validation images."""
    root = str(tmp_path_factory.mktemp('voc') / 'VOC2012')
    for split, step in (('train', 11), ('val', 52)):
        short_list(root, VOC, split, ids(split)[::step], 'Segmentation')
    return root + '/'


def redirect(root, *configs, **budget):
    cfg = compose(*configs, dict(train_dataloader=dict(dataset=dict(data_root=root))))
    if budget:
        cfg.train_cfg.budget = budget
    return cfg


def camvid(config, split='train', classes=STREET, **budget):
    """A config for VOC on CamVid, whose eleven classes have no background."""
    cfg = redirect(real('camvid'), config, **budget)
    cfg.train_dataloader.dataset = dict(
        cfg.train_dataloader.dataset, type='BaseSegDataset', ann_file='',
        metainfo=dict(classes=classes),
        data_prefix=dict(img_path=f'img_dir/{split}', seg_map_path=f'ann_dir/{split}'))
    return cfg


def small(cfg, root, **train):
    """A training config of the repository at 64 pixels, on a short list."""
    one_process(cfg)
    cfg.model.backbone.init_cfg = None
    cfg.model.data_preprocessor.size = (SIZE, SIZE)
    cfg.train_dataloader.batch_size = 4
    cfg.train_cfg.update(**{'max_iters': 2, **train})
    for loader in (cfg.train_dataloader, cfg.get('val_dataloader'), cfg.test_dataloader):
        if loader:
            loader.dataset.data_root = root
            for step in loader.dataset.pipeline:
                step.update({key: size for key, size in dict(
                    scale=(2 * SIZE, SIZE), crop_size=(SIZE, SIZE)).items() if key in step})
    return cfg


@pytest.fixture(scope='module')
def proxy(short_voc, tmp_path_factory):
    """Config of the LR-ASPP of the repository after two updates on VOC."""
    cfg = small(compose(*STUDENT, 'configs/_base_/schedules/proxy_seg.py'), short_voc,
                val_interval=10)
    path = str(tmp_path_factory.mktemp('proxy') / 'lraspp.pth')
    return dict(type='SegmentorProxy', cfg=cfg.to_dict(), checkpoint=ensure_checkpoint(cfg, path))


@pytest.fixture(scope='module')
def coresets(short_voc, proxy, tmp_path_factory):
    """Folder of each coreset: of all training images of VOC for 'uniform', else of the 48."""
    folder, made = tmp_path_factory.mktemp('coresets'), {}
    for method in METHODS:
        cfg = redirect(VOC + '/', f'configs/coreset/{method}_lraspp_voc_3.5pct.py')
        if method != 'uniform':
            cfg = redirect(short_voc, f'configs/coreset/{method}_lraspp_voc_14pct.py')
        if 'proxy' in cfg.model:
            cfg.model.feature_size = SIZE
            cfg.model.proxy = proxy if method == 'kcenter' else squeezenet()
        made[method] = distill(cfg, work_dir=str(folder / method))
    return made


def read_back(folder, kind=PascalVOCDataset, **options):
    """(image, mask file, mask as the pipeline reads it) of each image of a set."""
    dataset = kind(data_root=osp.join(folder, 'VOC2012'),
                   ann_file='ImageSets/Segmentation/train.txt',
                   data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
                   pipeline=[dict(type='mmseg.LoadAnnotations')], **options)
    return [(found['img_path'], found['seg_map_path'], found['gt_seg_map'])
            for found in dataset]


@pytest.mark.parametrize('method', METHODS)
def test_masks_and_photographs_come_back(method, coresets):
    folder = coresets[method]
    content, found = manifest(folder), read_back(folder)
    names = ids('train') if method == 'uniform' else ids('train')[::11]
    num = 18 if method == 'uniform' else 7
    assert len(found) == num and len({e['source'] for e in content['images']}) == num
    assert content['classes'] == list(CLASSES)
    for entry, (image, mask_file, mask) in zip(content['images'], found):
        assert entry['source'] in names and entry['source'] not in ids('val')
        source = mask_of(f'{VOC}/SegmentationClass/{entry["source"]}.png')
        assert np.array_equal(mask, source) and np.array_equal(mask_of(mask_file), source)
        assert 255 in source
        assert digest(image) == digest(f'{VOC}/JPEGImages/{entry["source"]}.jpg')
        assert entry['classes'] == [
            CLASSES[i] for i in np.unique(source) if i not in (0, 255)]


def test_uniform_serves_the_rare_classes(coresets):
    found = [e['classes'] for e in manifest(coresets['uniform'])['images']]
    counts = {name: sum(name in own for own in found) for name in CLASSES[1:]}
    # 18 images for 20 classes, most of them with one; people are where others are
    assert min(counts.values()) == 1
    assert max(v for name, v in counts.items() if name != 'person') <= 3


def test_selection_by_features_of_photographs(coresets, proxy):
    names = ids('train')[::11]
    photos = [f'{VOC}/JPEGImages/{name}.jpg' for name in names]

    def points(model):
        extractor = MODELS.build(dict(model))
        return FeaturePass(extractor, photos, (SIZE, SIZE), 48).run().double()

    def chosen(method):
        return [names.index(e['source']) for e in manifest(coresets[method])['images']]

    rng = np.random.default_rng(0)
    draws = [rng.permutation(48)[:7] for _ in range(100)]
    x = torch.nn.functional.normalize(points(squeezenet()))
    gaps = [float((x[i].mean(0) - x.mean(0)).norm()) for i in draws]
    assert (x[chosen('herding')].mean(0) - x.mean(0)).norm() < min(gaps)
    x = points(proxy)
    radius = [float(torch.cdist(x, x[i]).min(1)[0].max()) for i in draws]
    assert torch.cdist(x, x[chosen('kcenter')]).min(1)[0].max() < np.quantile(radius, 0.05)


def test_unidd_asks_for_the_masks_of_voc(short_voc, proxy, tmp_path):
    """Without refiners the label is the real mask, stretched to the image."""
    cfg = redirect(short_voc, 'configs/unidd/lraspp_voc_3.5pct_context.py', type='Total', n=2)
    folder = distill(shrink_unidd(cfg, SIZE, proxy), work_dir=str(tmp_path))
    found = read_back(folder)
    assert len(found) == 2
    for entry, (image, _, mask) in zip(manifest(folder)['images'], found):
        assert entry['source'] in ids('train')[::11]
        source = mask_of(f'{VOC}/SegmentationClass/{entry["source"]}.png')
        assert np.array_equal(mask, resize_mask(source, (SIZE, SIZE)))
        assert pixels(image).shape == (1, 3, SIZE, SIZE)
        assert entry['label_source'] == 'slot' and entry['stats']['energy'] > 0
        asked = [CLASSES[i] for i in np.unique(source) if i not in (0, 255)]
        assert entry['classes'] == asked
        assert entry['prompt'].startswith('a photo of ')
        assert all(name in entry['prompt'] for name in asked)
        assert 'background' not in entry['prompt']


def test_classes_of_its_own_without_a_background(tmp_path):
    cfg = camvid('configs/coreset/uniform_lraspp_voc_3.5pct.py', 'val')
    folder = distill(cfg, work_dir=str(tmp_path))
    content = manifest(folder)
    assert content['classes'] == list(STREET)
    found = read_back(folder, BaseSegDataset, metainfo=dict(classes=STREET))
    assert len(found) == Ratio(3.5).resolve(101, 11) == 4
    for entry, (image, _, mask) in zip(content['images'], found):
        source = mask_of(real(f'camvid/ann_dir/val/{entry["source"]}.png'))
        assert np.array_equal(mask, source) and source.max() == 255
        assert digest(image) == digest(real(f'camvid/img_dir/val/{entry["source"]}.jpg'))
        # the class 0 is a class like the others here
        assert entry['classes'] == [STREET[i] for i in np.unique(source) if i != 255]
        assert 'sky' in entry['classes']


@pytest.fixture(scope='module')
def street_proxy(tmp_path_factory):
    """Config of a tiny segmentor after 60 updates on CamVid."""
    training = small(compose(*STUDENT, 'configs/_base_/schedules/proxy_seg.py'), '',
                     max_iters=60)
    training.model = tiny.segmentor(len(STREET))
    training.model.data_preprocessor.size = (SIZE, SIZE)
    training.val_dataloader = training.val_evaluator = training.val_cfg = None
    training.param_scheduler = None
    training.train_dataloader.dataset = dict(
        camvid('configs/unidd/lraspp_voc_3.5pct.py').train_dataloader.dataset,
        pipeline=training.train_dataloader.dataset.pipeline)
    path = str(tmp_path_factory.mktemp('proxy') / 'streets.pth')
    return dict(type='SegmentorProxy', cfg=training.to_dict(),
                checkpoint=ensure_checkpoint(training, path))


def test_a_trained_proxy_tells_roads_from_skies(street_proxy):
    proxy = MODELS.build(dict(street_proxy))
    assert proxy.classes == STREET
    right, better = [], []
    for path in sorted(glob(real('camvid/img_dir/test/*.jpg')))[::20]:
        mask = mask_of(path.replace('img_dir', 'ann_dir').replace('.jpg', '.png'))
        image = pixels(path)
        found = proxy.relabel(image)[0].mask
        right.append((found == mask)[mask != 255].mean())
        slots = [DistillSlot(0, 0, mask.shape, np.unique(m), mask=m)
                 for m in (mask, mask[::-1].copy())]
        energy = proxy.energy(image.expand(2, -1, -1, -1), slots)
        better.append(bool(energy[0] < energy[1]))
    assert len(right) == 12 and np.mean(right) > 0.42  # all road would be 0.32
    assert all(better)


def test_unidd_relabels_streets(street_proxy, tmp_path):
    cfg = camvid('configs/unidd/lraspp_voc_3.5pct.py', 'val', type='Total', n=2)
    cfg.model.refiners[0].threshold = 0.  # accepted images are relabelled
    street_proxy = dict(street_proxy, relabel_thr=0.)  # it is sure of nothing in such images
    folder = distill(shrink_unidd(cfg, SIZE, street_proxy), work_dir=str(tmp_path))
    network = MODELS.build(dict(street_proxy))
    found = read_back(folder, BaseSegDataset, metainfo=dict(classes=STREET))
    assert len(found) == 2
    for entry, (image, _, mask) in zip(manifest(folder)['images'], found):
        assert entry['label_source'] == 'proxy' and 0 <= entry['score'] <= 1
        assert mask.shape == (SIZE, SIZE)
        assert entry['classes'] == [STREET[i] for i in np.unique(mask)]
        # the proxy sees nearly the same in the JPEG as in what was sampled
        seen = network.relabel(pixels(image))[0].mask
        assert (seen == mask).mean() > 0.8
        assert entry['prompt'].startswith('a photo of a sky')
        assert osp.isfile(real(f'camvid/img_dir/val/{entry["source"]}.jpg'))


def test_unknown_ids_are_refused(tmp_path):
    cfg = camvid('configs/coreset/random_lraspp_voc_3.5pct.py', 'val', STREET[:10])
    with pytest.raises(ValueError, match=r'ann_dir.val.*class ids \[10\].*has 10 classes'):
        distill(cfg, work_dir=str(tmp_path / 'ten'))
    name = '0016E5_07959'
    for kind, suffix in (('img', 'jpg'), ('ann', 'png')):
        folder = tmp_path / f'{kind}_dir' / 'val'
        folder.mkdir(parents=True)
        shutil.copy(real(f'camvid/{kind}_dir/val/{name}.{suffix}'), folder)
    path = str(tmp_path / 'ann_dir' / 'val' / f'{name}.png')
    mask = mask_of(path)
    mask[7, 9] = 11  # what SegNet calls unlabelled
    Image.fromarray(mask).save(path)
    cfg = camvid('configs/coreset/random_lraspp_voc_3.5pct.py', 'val', type='Total', n=1)
    cfg.train_dataloader.dataset.data_root = str(tmp_path)
    with pytest.raises(ValueError, match=rf'{name}.png.*class ids \[11\]'):
        distill(cfg, work_dir=str(tmp_path / 'eleven'))
    assert not osp.exists(tmp_path / 'eleven' / 'distilled' / 'VOC2012')


def mean_iou(pairs, num_classes):
    """mIoU in percent of (prediction, truth), without the pixels that are 255."""
    table = np.zeros((num_classes, num_classes))
    for found, truth in pairs:
        counted = truth != 255
        np.add.at(table, (truth[counted], found[counted]), 1)
    hit = np.diag(table)
    with np.errstate(invalid='ignore'):
        return 100 * np.nanmean(hit / (table.sum(0) + table.sum(1) - hit))


def test_a_student_of_a_coreset(coresets, short_voc, tmp_path):
    protocol = small(compose(*STUDENT, 'configs/_base_/protocols/seg_voc.py'), short_voc)
    row, = evaluate_sets(dict(random=coresets['random']), protocol, str(tmp_path), seeds=[0],
                         jobs=0, require_random=True)
    assert not row.error, row
    assert (row.images, row.updates, row.num_classes) == (7, 2, 21)
    checkpoint = find_latest_checkpoint(str(tmp_path / 'runs' / row.key))
    student = MODELS.build(dict(type='mmdd.SegmentorProxy', cfg=protocol.to_dict(),
                                checkpoint=checkpoint))
    pairs = []
    for name in ids('val')[::52]:
        image = pixels(f'{VOC}/JPEGImages/{name}.jpg')
        pairs.append((student.relabel(image)[0].mask,
                      mask_of(f'{VOC}/SegmentationClass/{name}.png')))
    assert row.last['mIoU'] == pytest.approx(mean_iou(pairs, 21), abs=0.2)
