"""Patch selection on real CIFAR photographs, and real features of patches."""
import os.path as osp
from glob import glob

import numpy as np
import tiny
from distilled import manifest
from mmpretrain.datasets import CustomDataset
from PIL import Image
from real_data import CIFAR, compose, real, real_marks, squeezenet

from mmdd.apis import distill

pytestmark = real_marks('cifar10', 'weights')
MINI = real('cifar10/mini/')


def redirect(name, **model):
    """A config of the repository on 20 photographs a class, with a tiny diffusion."""
    cfg = compose(f'configs/patch_selection/{name}.py', dict(
        train_dataloader=dict(dataset=dict(data_root=MINI))))
    cfg.model.update(dict(resize=32, num_draws=2, num_clusters=5, top_clusters=4, score_dir=None),
                     **model)
    cfg.model.diffusion = tiny.stable_diffusion()
    return cfg


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert('RGB'))


def test_low_resolution_sets_are_photographs_of_their_classes(tmp_path):
    folder = distill(redirect('convnet3_cifar10_ipc10'), work_dir=str(tmp_path))
    dataset = CustomDataset(data_root=folder, data_prefix='train', pipeline=[])
    labels = {osp.relpath(info['img_path'], folder): int(info['gt_label']) for info in map(
        dataset.get_data_info, range(len(dataset)))}
    assert sorted(labels.values()) == sorted(list(range(10)) * 10)
    entries = manifest(folder)['images']
    for entry in entries:
        file, = entry['files']
        crop, = entry['prototype']['crops']
        assert CIFAR[labels[file]] == osp.dirname(entry['source']) == osp.dirname(crop['source'])
        assert (pixels(osp.join(folder, file)) == pixels(
            osp.join(MINI, 'train', entry['source']))).all()
        assert entry['prompt'] == f'An image of {CIFAR[labels[file]]}'
    assert len({entry['source'] for entry in entries}) == 100
    # 10 // 4 of each cluster, where it has two; the others by R
    ranks = [entry['prototype']['crops'][0]['cluster'] for entry in entries[:10]]
    assert all(ranks.count(rank) <= 2 for rank in range(4)) and ranks.count(-1) >= 2


def test_clusters_of_real_features(tmp_path):
    folder = distill(redirect('convnet3_cifar10_ipc10', cluster_features=squeezenet()),
                     work_dir=str(tmp_path))
    features = []
    for label in range(10):
        with np.load(osp.join(folder, f'_job/features/{label}/000000.npz')) as content:
            features.append(content['features'])
    assert all(own.shape == (20, 512) for own in features)
    # photographs of one class are nearer to each other than to those of another
    centres = np.stack([own.mean(0) for own in features])
    nearest = [np.linalg.norm(own[:, None] - centres, axis=2).argmin(1) for own in features]
    assert np.mean([found == k for k, own in enumerate(nearest) for found in own]) > 0.4
    assert not glob(osp.join(folder, '_job/features/10'))
