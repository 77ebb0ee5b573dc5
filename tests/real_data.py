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
from PIL import Image

from mmdd.utils.config import load_config
from mmdd.utils.convert_checkpoint import convert_checkpoint

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


def resnet20():
    """mmpretrain training config of the published CIFAR-10 ResNet-20."""
    return compose('configs/_base_/models/resnet20_cifar.py',
                   'configs/_base_/datasets/cifar10_cls.py',
                   'configs/_base_/models/imagenet_colours.py',
                   dict(default_scope='mmpretrain')).to_dict()


def resnet20_weights(path):
    """The published weights under the names of :func:`resnet20`; returns ``path``."""
    convert_checkpoint(real('weights/cifar_resnet/resnet20-12fca82f.th'), str(path),
                       rename=[('^linear', 'head.fc'), ('^', 'backbone.')])
    return str(path)
