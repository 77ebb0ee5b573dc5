"""Instance segmentation from the real set to the student: real components made tiny."""
import copy
import json
import os.path as osp
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import tiny
import torch
from mmengine.config import Config

from mmdd.apis import distill
from mmdd.datasets.annotations import annotations_from_batch
from mmdd.engine.journal import Journal
from mmdd.engine.preflight import check_data
from mmdd.models import DetectorProxy, ProxyRefiner
from mmdd.structures import DistilledSample, DistillSlot, RealAnnotation, slot_seed
from mmdd.structures.target import BoxTarget, InstanceTarget
from mmdd.utils import compat

TERMS = dict(rpn_cls=1., rpn_bbox=1., cls=1., bbox=1., mask=1.)
# Reads a set with stock tools alone. The workarounds are a file of functions without mmdd.
READER = '''
import json, runpy, sys
import numpy as np
compat = runpy.run_path(sys.argv[2])
compat['fix_torchvision'](), compat['fix_mmpretrain']()
from mmdet.datasets import CocoDataset
from pycocotools.coco import COCO
root, file = sys.argv[1], 'annotations/instances_train2017.json'
dataset = CocoDataset(
    data_root=root, ann_file=file, data_prefix=dict(img='train2017/'),
    metainfo=dict(classes=tuple('0123456789')), pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
        dict(type='mmdet.PackDetInputs')])
coco, found = COCO(f'{root}/{file}'), {}
for item in dataset:
    sample = item['data_samples']
    masks = sample.gt_instances.masks.to_ndarray()
    entries = coco.loadAnns(coco.getAnnIds(sample.img_id))
    assert np.array_equal(masks, [coco.annToMask(entry) for entry in entries])
    assert [entry['area'] for entry in entries] == masks.sum((1, 2)).tolist()
    found[sample.img_id] = [sample.gt_instances.labels.tolist(), masks.sum((1, 2)).tolist()]
assert not any(name.split('.')[0] == 'mmdd' for name in sys.modules)
print(json.dumps(found))
'''


def segmenter():
    """mmdet config of :func:`tiny.detector` with a mask head."""
    model = copy.deepcopy(tiny.detector())
    model['type'] = 'MaskRCNN'
    head = model['roi_head']
    head['mask_roi_extractor'] = copy.deepcopy(head['bbox_roi_extractor'])
    head['mask_head'] = dict(
        type='FCNMaskHead', num_convs=1, in_channels=head['bbox_head']['in_channels'],
        conv_out_channels=8, num_classes=10, class_agnostic=True,
        loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0))
    size = head['mask_roi_extractor']['roi_layer']['output_size']
    model['train_cfg']['rcnn']['mask_size'] = 2 * size
    model['test_cfg']['rcnn']['mask_thr_binary'] = 0.5
    return model


def dataset(root, split='train', images=True):
    """Stock CocoDataset with masks."""
    load = dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True)
    size = dict(type='mmcv.KeyMapper', mapping=dict(ori_shape=['height', 'width']),
                auto_remap=False, transforms=[load])
    keys = ('img_id', 'img_path', 'height', 'width')
    read = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 32)), load]
    steps = read if images else [size]
    pack = dict(type='PackDetInputs') if images else dict(type='PackDetInputs', meta_keys=keys)
    return dict(type='CocoDataset', _scope_='mmdet', data_root=str(root),
                ann_file=f'annotations/instances_{split}.json', data_prefix=dict(img=f'{split}/'),
                metainfo=dict(classes=tiny.CLASSES), pipeline=[*steps, pack])


def proxy_job(root):
    job = tiny.detector_job(root)
    job['model'], job['train_dataloader']['dataset'] = segmenter(), dataset(root)
    return job


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return tiny.digit_instances(tmp_path_factory.mktemp('instances') / 'scenes')


@pytest.fixture(scope='module')
def proxy(root, tmp_path_factory):
    from mmdd.engine.train_job import ensure_checkpoint
    path = ensure_checkpoint(proxy_job(root), str(tmp_path_factory.mktemp('p') / 'mask.pth'))
    return DetectorProxy(proxy_job(root), path, TERMS, relabel_thr=0.)


@pytest.fixture(scope='module')
def slots(root):
    from mmengine.dataset import pseudo_collate
    from mmengine.registry import DATASETS
    real = DATASETS.build(dataset(root, images=False))
    found = annotations_from_batch(pseudo_collate([real[i] for i in range(3)]), tiny.CLASSES)
    return [DistillSlot(i, slot_seed(0, i), (32, 32), target=annotation.target)
            for i, annotation in enumerate(found)]


@pytest.fixture(scope='module')
def made(root, proxy, tmp_path_factory):
    cfg = tiny.distill_job(root, proxy.checkpoint, total=4, guidance=50.)
    cfg['model']['proxy'].update(cfg=proxy_job(root), terms=TERMS)
    cfg['model']['refiners'] = [dict(type='ProxyRefiner', threshold=0., labels='merged')]
    cfg['train_dataloader']['dataset'] = dataset(root, images=False)
    cfg['train_cfg']['writer'] = dict(type='COCOWriter')
    return distill(cfg, str(tmp_path_factory.mktemp('job')))


def test_a_training_on_the_way_prints_no_table(root, tmp_path, capfd):
    """One that was asked for does; both log the metrics."""
    from mmdd.engine.train_job import ensure_checkpoint, train
    job = proxy_job(root)
    job.update(val_cfg=dict(), val_dataloader=dict(
        batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(dataset(root, 'test'), test_mode=True)), val_evaluator=dict(
            type='CocoMetric', ann_file=osp.join(root, 'annotations/instances_test.json')))
    path = ensure_checkpoint(job, str(tmp_path / 'mask.pth'))
    told = capfd.readouterr()
    assert 'Average Precision' not in told.out and 'Running per image' not in told.out
    with open(f'{osp.splitext(path)[0]}.json') as f:
        assert 0 <= json.load(f)['metrics']['coco/bbox_mAP'] <= 1
    train(job, str(tmp_path / 'asked'))
    told = capfd.readouterr().out
    assert told.count('Average Precision') == 6 and 'Running per image' not in told


def test_masks_of_the_real_set(root, slots):
    from mmdd.datasets.digit_scenes import render_scene, scene_rng
    for i, slot in enumerate(slots):
        scene = render_scene(scene_rng(0, 'train', 0, i), 32)
        assert np.array_equal(slot.target.masks, scene.masks)
        assert slot.bboxes.tolist() == scene.bboxes.tolist()


def test_the_mask_loss_guides(proxy, slots):
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images.requires_grad_()
    every = proxy.energy(images, slots)
    proxy.terms = dict(mask=1.)
    try:
        mask = proxy.energy(images, slots)
        alone = torch.cat([proxy.energy(images[i:i + 1], [slot]) for i, slot in enumerate(slots)])
        slope, = torch.autograd.grad(mask.sum(), images)
        flat = slots[0].target.with_parts(masks=np.ones((len(slots[0].labels), 32, 32), bool))
        other = proxy.energy(images[:1], [DistillSlot(0, slots[0].seed, (32, 32), target=flat)])
    finally:
        proxy.terms = TERMS
    torch.testing.assert_close(mask, alone, atol=1e-5, rtol=1e-4)
    assert (mask > 0.1).all() and (every > mask).all() and slope.abs().sum() > 0
    assert abs(float(other) - float(mask[0])) > 1e-4
    boxes = DistillSlot(0, 0, (32, 32), slots[0].labels, slots[0].bboxes)
    with pytest.raises(ValueError, match=r'MaskRCNN learns from masks.*with_mask=True'):
        proxy.energy(images[:1], [boxes])


def test_relabelling_and_merging(proxy, slots):
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    samples = [DistilledSample(slot, target=slot.target) for slot in slots]
    for label in proxy.relabel(images):
        assert isinstance(label, InstanceTarget)
        assert label.masks.shape == (len(label.labels), 32, 32)
        assert label.masks.any((1, 2)).all()
    proxy.relabel_thr = 1.  # sure of nothing: the slot's objects stay, with their masks
    try:
        merged = proxy.merge(images, samples)
    finally:
        proxy.relabel_thr = 0.
    for label, slot in zip(merged, slots):
        assert np.array_equal(label.masks, slot.target.masks)


@pytest.mark.parametrize('labels, words', [
    ('proxy', "labels='proxy' takes labels of the proxy, FasterRCNN, which gives boxes, while "
              '.*has boxes and a mask for each object'), ('merged', "labels='merged'"),
    ('slot', None)])
def test_a_proxy_without_masks_does_not_label_objects_with_them(root, labels, words):
    """Said before it is trained; nothing is written."""
    cfg = Config(tiny.distill_job(root))
    cfg.model.refiners = [dict(type='ProxyRefiner', threshold=0., labels=labels)]
    cfg.train_dataloader.dataset = dataset(root, images=False)
    cfg.train_cfg.writer = dict(type='COCOWriter')
    with pytest.raises(ValueError, match=words) if words else nullcontext():
        check_data(cfg)


def test_a_proxy_with_masks_does_not_merge_them_with_boxes(root):
    boxes = BoxTarget(np.array([1]), np.array([[0, 0, 5, 5]]))
    real = RealAnnotation('a', 'a.jpg', (32, 32), target=boxes)
    proxy = DetectorProxy(proxy_job(root), terms=TERMS)
    with pytest.raises(ValueError, match='MaskRCNN, which gives boxes and a mask for each object'):
        ProxyRefiner(0., labels='merged').check(proxy, real)
    ProxyRefiner(0., labels='proxy').check(proxy, real)


def test_stock_tools_read_the_set_without_mmdd(made):
    done = subprocess.run([sys.executable, '-c', READER, made, compat.__file__],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    journal = Journal(made)
    assert len(found) == 4
    for entry in journal.read_plan():
        slot = DistillSlot.from_dict(entry)
        kept = journal.load_sample(slot, (slot.id, 0)).target
        seen = kept.select(kept.masks.any((1, 2)))
        assert found[str(slot.id)] == [seen.labels.tolist(), seen.codes.areas()]
    with open(osp.join(made, 'annotations/instances_train2017.json')) as f:
        assert 'run-length codes' in json.load(f)['info']['description']


def test_objects_of_several_images_make_a_job(root, tmp_path):
    """Composed, pasted as a collage, written as COCO."""
    cfg = tiny.distill_job(root, total=2, guidance=0)
    cfg['model'].update(
        proxy=None, refiners=[], initializer=dict(type='CollageInitializer', strength=.5),
        label_sampler=dict(type='ComposedLabelSampler', objects=3, overlap=.5))
    cfg['train_dataloader']['dataset'] = dataset(root, images=False)
    cfg['train_cfg']['writer'] = dict(type='COCOWriter')
    folder = distill(cfg, str(tmp_path))
    with open(osp.join(folder, 'annotations/instances_train2017.json')) as f:
        found = json.load(f)['annotations']
    slots = [DistillSlot.from_dict(entry) for entry in Journal(folder).read_plan()]
    assert [entry['area'] for entry in found] == [
        area for slot in slots for area in slot.target.codes.areas()]
    for slot in slots:
        assert isinstance(slot.target, InstanceTarget) and len(slot.sources) > 1
        assert slot.target.masks.sum(0).max() == 1  # no pixel is that of two objects


def test_a_student_is_measured_by_its_masks(root, made, tmp_path):
    from mmdd.apis import evaluate
    job = proxy_job(root)
    test = dataset(root, 'test')
    test.update(test_mode=True)
    protocol = Config(dict(
        job, val_dataloader=None, val_cfg=None, val_evaluator=None, test_cfg=dict(type='TestLoop'),
        test_dataloader=dict(batch_size=4, num_workers=0, dataset=test,
                             sampler=dict(type='DefaultSampler', shuffle=False)),
        test_evaluator=dict(type='CocoMetric', metric=['bbox', 'segm'],
                            ann_file=osp.join(root, 'annotations/instances_test.json')),
        protocol=dict(task='detection', scale=100., full=dict(), metrics=dict(
            segm_AP50='coco/segm_mAP_50', segm_mAP='coco/segm_mAP'))))
    path = str(tmp_path / 'protocol.py')
    protocol.dump(path)
    run, = evaluate(path, dict(made=made), str(tmp_path / 'out'), seeds=[0])['made'].runs
    assert run.images == 4 and set(run.last) == {'segm_AP50', 'segm_mAP'}
    assert all(0 <= value <= 100 for value in run.last.values())
