"""The networks of configs/_base_/models, and the proxy schedules on top of them."""
import glob
import os.path as osp
import re

import pytest
import tiny
import torch
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope

from mmdd.apis import train
from mmdd.datasets.views import read_classes
from mmdd.engine.train_job import last_metrics
from mmdd.models import ClassifierProxy, SegmentorProxy
from mmdd.models.proxies.base import strip_init_cfg
from mmdd.utils.config import load_config

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
FOLDER = 'configs/_base_/models'
PROXY_CLS = 'configs/_base_/schedules/proxy_cls.py'
PROXY_SEG = 'configs/_base_/schedules/proxy_seg.py'


def parts(name, **model):
    """A fragment and what a dataset says about the model."""
    return [f'{FOLDER}/{name}.py', dict(model=model)]


def build(*cfg, device='meta'):
    """The model of a composed config; on 'meta' it has shapes and no numbers."""
    cfg = load_config(list(cfg))
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        return ROOT_MODELS.build(strip_init_cfg(cfg.model)).eval().to(device), cfg


# Parameters with 1,000 classes: those of torchvision where it has the network; of ResNet_CIFAR
# and of the stem of 3x3 instead of 7x7; of ConvNet-D 3,840 + (D - 1) 147,840 + classifier.
CLASSIFIERS = [
    ('resnet18', 224, 11689512), ('resnet50', 224, 25557032), ('resnet101', 224, 44549160),
    ('resnet18_cifar', 32, 11689512 - 64 * 3 * (49 - 9)), ('resnet18_in', 224, 11689512),
    ('convnet3', 32, 3840 + 2 * 147840 + 2049000), ('convnet4', 64, 3840 + 3 * 147840 + 2049000),
    ('convnet5', 128, 3840 + 4 * 147840 + 2049000), ('convnet6', 224, 3840 + 5 * 147840 + 1153000),
    ('convnet3_small', 32, 480 + 4704 + 18624 + 65000),
    ('convnet3_bn', 32, 3840 + 2 * 147840 + 2049000), ('resnetap10', 224, 4905792 + 513000),
    ('resnet50_cifar', 32, 25557032 - 64 * 3 * (49 - 9)),
    ('resnet101_cifar', 32, 44549160 - 64 * 3 * (49 - 9)), ('mobilenet-v2', 224, 3504872),
    ('efficientnet-b0', 224, 5288548), ('swin-t', 224, 28288354), ('vit-b16', 224, 86567656)]


@pytest.mark.parametrize('name, size, parameters', CLASSIFIERS)
def test_classifier(name, size, parameters):
    # The number of classes comes from the dataset, and more only from the proxy's schedule.
    model, cfg = build(*parts(name, head=dict(num_classes=7)), PROXY_CLS)
    assert model(torch.zeros(2, 3, size, size, device='meta'), mode='tensor').shape == (2, 7)
    missing = (model.head.in_channels + 1) * (1000 - 7)
    assert sum(p.numel() for p in model.parameters()) + missing == parameters
    assert cfg.default_scope == 'mmpretrain'
    fragment = load_config(f'{FOLDER}/{name}.py').model
    assert fragment.head.num_classes == 1000 and 'init_cfg' not in fragment.backbone


def test_every_fragment_is_tested():
    names = {osp.basename(path)[:-3] for path in glob.glob(osp.join(ROOT, FOLDER, '*.py'))}
    assert names == {name for name, _, _ in CLASSIFIERS} | {
        'lraspp_mobilenet-v3-l', 'faster-rcnn_r50', 'faster-rcnn_r18_small', 'fcn_r18_small',
        'resnet20_cifar', 'imagenet_colours'}


def test_the_resnet_of_cifar():
    """0.27 million parameters with 10 classes, as its paper says."""
    model, _ = build(f'{FOLDER}/resnet20_cifar.py')
    assert sum(p.numel() for p in model.parameters()) == 269722
    assert model(torch.zeros(2, 3, 32, 32, device='meta'), mode='tensor').shape == (2, 10)


def test_small_networks_for_cpus():
    """Nothing pretrained is fetched; their features have the stated strides."""
    small = 'configs/_base_/models/faster-rcnn_r18_small.py'
    assert load_config(small).model.backbone.init_cfg is None
    detector, _ = build(small)
    levels = detector.extract_feat(torch.zeros(1, 3, 128, 128, device='meta'))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (64, side, side) for side in (32, 16, 8, 4, 2)]
    segmentor, cfg = build('configs/_base_/models/fcn_r18_small.py')
    assert cfg.model.backbone.get('init_cfg') is None
    scores = segmentor(torch.zeros(1, 3, 128, 128, device='meta'), mode='tensor')
    assert tuple(scores.shape) == (1, 21, 8, 8)


def test_normalisations():
    kinds = {}
    for name in ('resnet18_in', 'convnet3', 'resnetap10'):
        model, _ = build(f'{FOLDER}/{name}.py')
        kinds[name] = {type(m).__name__ for m in model.modules() if 'Norm' in type(m).__name__}
        assert all(m.affine for m in model.modules() if 'Norm' in type(m).__name__)
    assert set(map(tuple, kinds.values())) == {('InstanceNorm2d', )}


@pytest.mark.parametrize('depth', [18, 50])
def test_official_weights_fit(depth):
    """torchvision's weights, which the proxy starts from, cover the whole backbone."""
    torchvision = pytest.importorskip('torchvision')
    with torch.device('meta'):
        official = getattr(torchvision.models, f'resnet{depth}')().state_dict()
    model, _ = build(f'{FOLDER}/resnet{depth}.py')
    mine = model.backbone.state_dict()
    assert {key: value.shape for key, value in mine.items()} == {
        key: value.shape for key, value in official.items() if not key.startswith('fc.')}
    cfg = load_config([f'{FOLDER}/resnet18.py', PROXY_CLS])
    assert cfg.model.backbone.init_cfg == dict(
        type='Pretrained', checkpoint='torchvision://resnet18')


def test_segmentor():
    """One map at stride 8 and the pooled one; any size of input, also less than 385 pixels."""
    model, cfg = build(f'{FOLDER}/lraspp_mobilenet-v3-l.py', device='cpu')
    head = model.decode_head
    assert type(head).__name__ == 'LRASPPHead' and (head.num_classes, head.channels) == (21, 128)
    assert not any(isinstance(m, torch.nn.SyncBatchNorm) for m in model.modules())
    with torch.no_grad():
        maps = model.extract_feat(torch.rand(1, 3, 64, 96))
        assert [tuple(m.shape) for m in maps] == [
            (1, 16, 32, 48), (1, 24, 16, 24), (1, 960, 8, 12)]
        assert model(torch.rand(1, 3, 64, 96)).shape == (1, 21, 32, 48)
    assert cfg.model.backbone.get('init_cfg') is None  # stripped
    init = load_config(f'{FOLDER}/lraspp_mobilenet-v3-l.py').model.backbone.init_cfg
    assert init == dict(type='Pretrained', checkpoint='open-mmlab://contrib/mobilenet_v3_large')
    # The stock head has the same weights and the same answer where its one window sees the map.
    stock, _ = build(*parts('lraspp_mobilenet-v3-l', decode_head=dict(type='LRASPPHead')),
                     device='cpu')
    stock.load_state_dict(model.state_dict())
    maps = [torch.rand(1, 16, 98, 98), torch.rand(1, 24, 49, 49), torch.rand(1, 960, 49, 49)]
    with torch.no_grad():
        torch.testing.assert_close(head(maps), stock.decode_head(maps))


def test_detector():
    """mmdet's own model for VOC; another dataset changes the number of classes."""
    stock = load_config('mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py').model
    mine = load_config(f'{FOLDER}/faster-rcnn_r50.py').model
    assert mine.to_dict() == dict(stock.to_dict(), _scope_='mmdet')
    model, _ = build(*parts('faster-rcnn_r50', roi_head=dict(bbox_head=dict(num_classes=7))))
    assert model.roi_head.bbox_head.fc_cls.out_features == 8
    assert model.roi_head.bbox_head.fc_reg.out_features == 28
    maps = model.extract_feat(torch.zeros(1, 3, 128, 128, device='meta'))
    assert [tuple(m.shape[1:]) for m in maps] == [(256, 128 // s, 128 // s)
                                                  for s in (4, 8, 16, 32, 64)]


def datasets(task):
    """Dataset fragments for the students of a task."""
    paths = glob.glob(osp.join(ROOT, f'configs/_base_/datasets/*_{task}.py'))
    return sorted(osp.relpath(path, ROOT) for path in paths if '_real_' not in path)


@pytest.mark.parametrize('dataset, model, schedule', [
    *((path, 'resnet18', PROXY_CLS) for path in datasets('cls')),
    # CamVid has a proxy of its own, which names the number of classes.
    *((path, 'lraspp_mobilenet-v3-l', PROXY_SEG) for path in datasets('seg')
      if 'camvid' not in path)])
def test_a_proxy_and_its_real_set_agree(dataset, model, schedule):
    """Model, dataset and schedule make a whole training config, about the same classes."""
    cfg = load_config([f'{FOLDER}/{model}.py', dataset, schedule])
    real = load_config(re.sub(r'_(cls|seg)\.py$', r'_real_\1.py', dataset))
    classes = read_classes(cfg, cfg.default_scope)
    assert classes is not None and classes == read_classes(real, cfg.default_scope)
    head = cfg.model.get('head') or cfg.model.decode_head
    assert head.num_classes == len(classes)
    for name in ('train', 'val', 'test'):
        assert cfg[f'{name}_dataloader'].dataset.pipeline == load_config(schedule)[
            f'{name}_dataloader'].dataset.pipeline
    assert {'val_evaluator', 'test_evaluator', 'optim_wrapper', 'train_cfg', 'val_cfg',
            'test_cfg', 'param_scheduler', 'default_hooks'} <= set(cfg)


def small_loaders(dataset, evaluator):
    """A dataset fragment of the digit scenes and what makes a schedule short."""
    loaders = {f'{split}_dataloader': dict(dataset=dataset(split if split != 'test' else 'val'))
               for split in ('train', 'val', 'test')}
    fragment = dict(loaders, val_evaluator=evaluator, test_evaluator=evaluator)
    short = {name: dict(num_workers=0, batch_size=2) for name in loaders}
    return fragment, short


def test_proxy_cls_is_a_stock_training(digits, tmp_path):
    fragment, short = small_loaders(lambda split: tiny.class_folders(digits, 'train'),
                                    dict(type='Accuracy', topk=(1, )))
    fragment['model'] = dict(head=dict(num_classes=10))
    cfg = [f'{FOLDER}/resnet18.py', fragment, PROXY_CLS, dict(
        short, train_cfg=dict(max_epochs=1, val_interval=1),
        model=dict(backbone=dict(init_cfg=None, base_channels=8, stem_channels=8),
                   head=dict(in_channels=64)))]
    runner = train(cfg, str(tmp_path))
    assert runner.iter == 5 and set(last_metrics(runner)) == {'accuracy/top1'}
    optimizer = runner.optim_wrapper.optimizer
    # Cosine over 30 epochs, step by step: after 5 of 150 updates.
    assert optimizer.param_groups[0]['lr'] == pytest.approx(
        .005 * (1 + torch.tensor(5 / 150 * torch.pi).cos().item()), rel=1e-2)
    proxy = ClassifierProxy(cfg, str(tmp_path / 'epoch_1.pth'))
    assert proxy.classes == tiny.CLASSES
    assert proxy._inputs(torch.rand(1, 3, 32, 48)).shape == (1, 3, 224, 224)


def test_proxy_seg_is_a_stock_training(digits, tmp_path):
    fragment, short = small_loaders(
        lambda split: dict(tiny.mask_dataset(digits, split), indices=2 if split == 'train' else 1),
        dict(type='IoUMetric', iou_metrics=['mIoU']))
    fragment['model'] = dict(decode_head=dict(num_classes=11))
    # A quarter of the size: 128 pixels.
    schedule = load_config(PROXY_SEG)
    schedule.train_dataloader.dataset.pipeline[2].scale = (512, 128)
    schedule.train_dataloader.dataset.pipeline[3].crop_size = (128, 128)
    schedule.test_dataloader.dataset.pipeline[1].scale = (512, 128)
    schedule.val_dataloader = schedule.test_dataloader
    cfg = [f'{FOLDER}/lraspp_mobilenet-v3-l.py', fragment, schedule, dict(
        short, train_cfg=dict(max_iters=1, val_interval=1),
        default_hooks=dict(checkpoint=dict(interval=1)),
        model=dict(backbone=dict(arch='small', out_indices=(0, 1, 12), init_cfg=None),
                   data_preprocessor=dict(size=(128, 128)),
                   decode_head=dict(in_channels=(16, 16, 576), channels=8)))]
    runner = train(cfg, str(tmp_path))
    assert runner.iter == 1 and set(last_metrics(runner)) == {'mIoU', 'mAcc', 'aAcc'}
    proxy = SegmentorProxy(cfg, str(tmp_path / 'iter_1.pth'))
    assert proxy.classes == tiny.SEG_CLASSES
    assert proxy._inputs(torch.rand(1, 3, 64, 96))[1] == (128, 192)
