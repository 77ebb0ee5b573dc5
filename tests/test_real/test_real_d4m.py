"""D4M on CIFAR-10 photographs: clusters by a second implementation, soft labels of a teacher."""
import os.path as osp
from glob import glob

import numpy as np
import pytest
import tiny
import torch
from d4m_reference import algorithm_1, ordered
from distilled import manifest
from real_data import (
    CIFAR,
    ROOT,
    compose,
    one_process,
    real,
    real_marks,
    resnet20,
    resnet20_weights,
)

from mmdd.apis import distill
from mmdd.datasets.annotations import load_image
from mmdd.protocols import evaluate_sets
from mmdd.registry import MODELS
from mmdd.utils.config import load_config

pytestmark = real_marks('cifar10', 'weights')
MINI = real('cifar10/mini/')
IPC = 3


@pytest.fixture(scope='module')
def job():
    """The config of CIFAR-10 with a tiny prior at 32 pixels."""
    cfg = load_config(osp.join(ROOT, 'configs/d4m/convnet3_cifar10_ipc10.py'))
    cfg.train_dataloader.dataset.data_root = MINI
    cfg.train_cfg.budget.n = IPC
    cfg.model.update(image_size=32, saved_size=32)
    scheduler = dict(type='PNDMScheduler', skip_prk_steps=True, beta_start=0.00085,
                     beta_end=0.012, beta_schedule='scaled_linear')
    cfg.model.diffusion = tiny.stable_diffusion(
        steps=4, cfg_scale=8., scheduler=scheduler, tokenizer=list(CIFAR))
    return cfg


@pytest.fixture(scope='module')
def folder(job, tmp_path_factory):
    return distill(job, str(tmp_path_factory.mktemp('d4m')))


def test_prototypes_are_the_centres_of_all_photographs_of_a_class(folder, job):
    prior = MODELS.build(job.model.diffusion)
    images = manifest(folder)['images']
    assert [e['prompt'] for e in images] == [name for name in CIFAR for _ in range(IPC)]
    for name, entry in zip(CIFAR, images[::IPC]):
        paths = sorted(glob(osp.join(MINI, 'train', name, '*')))
        pixels = np.stack([load_image(path, (32, 32)) for path in paths])
        with torch.no_grad():
            latents = prior.encode_images(
                torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
        assert entry['classes'] == [name] and entry['prototype']['images'] == len(paths) == 20
        with np.load(osp.join(folder, '_job/statistics',
                              f'{entry["prototype"]["statistics"]}.npz')) as content:
            found = content['centres'].astype(np.float32)
        expected = algorithm_1(latents.flatten(1).numpy(), IPC)
        np.testing.assert_allclose(ordered(found), ordered(expected), atol=2e-3, rtol=2e-3)


def test_students_learn_from_the_soft_labels_of_a_trained_teacher(folder, tmp_path):
    weights = resnet20_weights(tmp_path / 'teacher.pth')
    protocol = one_process(compose(
        'configs/_base_/models/convnet3.py', 'configs/_base_/datasets/cifar10_cls.py',
        'configs/_base_/protocols/fkd_soft.py', dict(
            protocol=dict(schedule=dict(
                image_size=32, epochs=2, batch_size=10,
                teacher=dict(cfg=resnet20(), checkpoint=weights))),
            train_dataloader=dict(dataset=dict(data_root=MINI)),
            val_dataloader=dict(dataset=dict(data_root=MINI)),
            test_dataloader=dict(dataset=dict(data_root=MINI)))))
    row, = evaluate_sets(dict(D4M=folder), protocol, str(tmp_path), seeds=[0], jobs=0)
    assert not row.error, row
    assert row.images == 10 * IPC and row.updates == 6
    assert 0 <= row.last['top1'] <= 100
