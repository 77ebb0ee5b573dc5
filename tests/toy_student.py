"""A stock Runner job without images: the student learns one number from file names."""
import os
import os.path as osp

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from PIL import Image
from torch.utils.data import Dataset

from mmdd.datasets.formats.voc_xml import write_image_set, write_voc_xml

BUILT = []


@MODELS.register_module()
class ToyStudent(BaseModel):
    """Predicts its only weight, which is fitted to the targets."""

    def __init__(self, start=0.):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(float(start)))
        BUILT.append(self)

    def forward(self, inputs, mode='tensor'):
        if mode == 'loss':
            return dict(loss=0.5 * (self.weight - torch.stack(inputs)).square().mean())
        return [self.weight.detach() - target for target in inputs]


@DATASETS.register_module()
class ToySet(Dataset):
    """One number per image: the digits of its name."""

    def __init__(self, data_root, ann_file, data_prefix=None, metainfo=None, pipeline=()):
        self.metainfo = metainfo
        with open(osp.join(data_root, ann_file)) as f:
            self.targets = [float(name.strip('x')) for name in f.read().split()]
        if 13. in self.targets:
            raise ValueError('the toy set refuses 13')
        if 666. in self.targets:
            os._exit(9)  # as if the system had killed the process

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return dict(inputs=torch.tensor(self.targets[index]))


@METRICS.register_module()
class ToyMetric(BaseMetric):
    """1 minus the mean absolute error; 1 for a perfect student."""

    default_prefix = 'toy'

    def process(self, data_batch, data_samples):
        self.results += [abs(float(error)) for error in data_samples]

    def compute_metrics(self, results):
        return dict(score=1 - sum(results) / len(results))


def voc_set(root, targets, split='train', names=('0', )):
    """A VOC folder whose images are named after numbers."""
    voc = osp.join(str(root), 'VOC2007')
    images = [f'x{target}' for target in targets]
    for image in images:
        write_voc_xml(osp.join(voc, 'Annotations', f'{image}.xml'), f'{image}.jpg', (9, 9, 3),
                      [[0, 0, 4, 4]] * len(names), names)
        path = osp.join(voc, 'JPEGImages', f'{image}.jpg')
        os.makedirs(osp.dirname(path), exist_ok=True)
        Image.new('RGB', (9, 9)).save(path)
    write_image_set(osp.join(voc, 'ImageSets', 'Main', f'{split}.txt'), images)
    return str(root)


def loader(root, split, shuffle):
    """Config of a dataloader on :func:`voc_set`."""
    return dict(
        batch_size=1, num_workers=0,
        sampler=dict(type='InfiniteSampler' if shuffle else 'DefaultSampler', shuffle=shuffle),
        dataset=dict(type='ToySet', data_root=str(root), metainfo=dict(classes=('0', '1')),
                     ann_file=f'VOC2007/ImageSets/Main/{split}.txt'))


def training(root, lr=1., iters=4):
    """Training config; with lr 1 every update sets the weight to its target."""
    return dict(
        default_scope='mmengine', log_level='WARNING', custom_imports=dict(imports='toy_student'),
        model=dict(type='ToyStudent'), train_dataloader=loader(root, 'train', True),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=lr)),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=iters, val_interval=2),
        val_dataloader=loader(root, 'val', False), val_cfg=dict(),
        val_evaluator=dict(type='ToyMetric'),
        test_dataloader=loader(root, 'test', False), test_cfg=dict(),
        test_evaluator=dict(type='ToyMetric'),
        default_hooks=dict(checkpoint=dict(
            type='CheckpointHook', by_epoch=False, interval=2, save_best='toy/score',
            rule='greater')))


def protocol(root):
    """Student protocol on the real set at ``root``."""
    for split, targets in (('train', [3, 4, 5]), ('val', [1]), ('test', [1])):
        voc_set(root, targets, split)
    return dict(training(root), protocol=dict(
        task='detection', metrics=dict(score='toy/score'), scale=100.,
        full=dict(train_cfg=dict(max_iters=6))))
