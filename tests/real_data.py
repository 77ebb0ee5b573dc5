"""Real photographs and weights for tests, and configs of the repository pointed at them.

The data does not come with mmdd. It is looked for in ``../shared/data`` beside the
repository, or in the folder that MMDD_REAL_DATA names.
"""
import hashlib
import os
import os.path as osp

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from PIL import Image
from torch import nn

from mmdd.utils.config import load_config

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
DATA = os.environ.get('MMDD_REAL_DATA', osp.join(osp.dirname(ROOT), 'shared', 'data'))
CIFAR = ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck')
BLOOD = ('RBC', 'WBC', 'Platelets')
STREET = ('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'signsymbol', 'fence', 'car',
          'pedestrian', 'bicyclist')


def real_marks(*names):
    """Marks of a test file that needs these parts of the real data."""
    missing = [name for name in names if not osp.exists(real(name))]
    return [pytest.mark.real, pytest.mark.slow, pytest.mark.skipif(
        bool(missing), reason=f'no {", ".join(missing)} at {DATA}; set MMDD_REAL_DATA')]


def real(*parts):
    """A path inside of the real data."""
    return osp.join(DATA, *parts)


def compose(*parts):
    """Configs of the repository and dicts, merged left to right."""
    return load_config([osp.join(ROOT, p) if isinstance(p, str) else p for p in parts])


def squeezenet(size=None):
    """Config of SqueezeNet features with its ImageNet weights."""
    return dict(
        type='BackboneFeatures', cfg=dict(type='torchvision', name='squeezenet1_0'),
        checkpoint=real('weights/squeezenet/squeezenet1_0_imagenet_fp16.safetensors'),
        input_size=size)


def lines(*parts):
    """The lines of a text file of the real data."""
    with open(real(*parts), encoding='utf-8') as f:
        return f.read().split()


def short_list(root, source, split, names, kind):
    """A VOC folder with the files of ``source`` and a list of its own.

    Args:
        root: Folder to make, or to add a list to.
        source: ``VOC2012`` or another folder of that layout.
        split: Name of the list.
        names: What the list names.
        kind: 'Main' or 'Segmentation'.
    """
    folder = osp.join(root, 'ImageSets', kind)
    os.makedirs(folder, exist_ok=True)
    for part in ('JPEGImages', 'Annotations', 'SegmentationClass'):
        if not osp.exists(osp.join(root, part)) and osp.isdir(osp.join(source, part)):
            os.symlink(osp.join(source, part), osp.join(root, part))
    with open(osp.join(folder, f'{split}.txt'), 'w') as f:
        f.write(''.join(f'{name}\n' for name in names))


def shrink_unidd(cfg, size, proxy, **diffusion):
    """A UniDD config with a tiny diffusion and a proxy of its own; every image passes."""
    cfg.model.update(image_size=size, min_box=4)
    cfg.model.diffusion = tiny.stable_diffusion(**{'steps': 2, **diffusion})
    cfg.model.proxy = proxy
    for refiner in cfg.model.refiners:
        refiner.threshold = 0.
    cfg.train_cfg.update(max_rounds=1)
    return cfg


def one_process(cfg):
    """Dataloaders without worker processes, of batches that fit a few images."""
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(name):
            cfg[name].update(num_workers=0, persistent_workers=False,
                             batch_size=min(cfg[name].get('batch_size', 1), 20))
    return cfg


def digest(path):
    """SHA-256 of a file."""
    with open(path, 'rb') as f:
        return hashlib.sha256(f.read()).hexdigest()


def pixels(path, size=None):
    """A photograph as (1, 3, H, W) RGB in [0, 1], stretched to (height, width)."""
    with Image.open(path) as image:
        image = image.convert('RGB')
        if size is not None:
            image = image.resize((size[1], size[0]), Image.BILINEAR)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


class Block(nn.Module):
    """Two convolutions and a shortcut without weights."""

    def __init__(self, before, width):
        super().__init__()
        self.stride = 1 if before == width else 2
        self.conv1 = nn.Conv2d(before, width, 3, self.stride, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x):
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        more = out.shape[1] - x.shape[1]
        return F.relu(out + F.pad(x[..., ::self.stride, ::self.stride],
                                  (0, 0, 0, 0, more // 2, more // 2)))


@MODELS.register_module()
class RealResNet20(nn.Module):
    """The ResNet-20 of He et al., section 4.2, as a backbone of mmpretrain."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        for i, (before, width) in enumerate([(16, 16), (16, 32), (32, 64)], 1):
            self.add_module(f'layer{i}', nn.Sequential(
                Block(before, width), Block(width, width), Block(width, width)))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return (self.layer3(self.layer2(self.layer1(x))), )


def resnet20():
    """mmpretrain training config of the published CIFAR-10 ResNet-20."""
    return compose('configs/_base_/datasets/cifar10_cls.py', dict(
        default_scope='mmpretrain',
        model=dict(
            type='ImageClassifier', _scope_='mmpretrain',
            data_preprocessor=dict(type='ClsDataPreprocessor', mean=[123.675, 116.28, 103.53],
                                   std=[58.395, 57.12, 57.375], to_rgb=True),
            backbone=dict(type='mmengine.RealResNet20'),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', in_channels=64)))).to_dict()


def resnet20_weights(path):
    """The published weights under the names of :func:`resnet20`; returns ``path``."""
    content = torch.load(real('weights/cifar_resnet/resnet20-12fca82f.th'), weights_only=True,
                         map_location='cpu')['state_dict']
    names = {key: key.removeprefix('module.') for key in content}
    torch.save(dict(state_dict={
        f'head.fc.{name[7:]}' if name.startswith('linear.') else f'backbone.{name}': content[key]
        for key, name in names.items()}), path)
    return str(path)
