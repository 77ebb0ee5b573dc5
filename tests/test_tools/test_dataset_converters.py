"""Converters of CIFAR, ImageNet subsets and Tiny ImageNet."""
import os
import os.path as osp
import pickle
import runpy
import sys

import numpy as np
import pytest
from PIL import Image

from mmdd.datasets.class_names import class_names, class_wnids

TOOLS = osp.join(osp.dirname(__file__), '../../tools/dataset_converters')


def convert(monkeypatch, tool, *argv):
    path = osp.join(TOOLS, f'{tool}.py')
    monkeypatch.setattr(sys, 'argv', [path, *map(str, argv)])
    runpy.run_path(path, run_name='__main__')


def release(folder, name, classes=None):
    """The Python release with two images per file."""
    meta, names, key, files = dict(
        cifar10=('batches.meta', b'label_names', b'labels',
                 [f'data_batch_{i}' for i in range(1, 6)] + ['test_batch']),
        cifar100=('meta', b'fine_label_names', b'fine_labels', ['train', 'test']))[name]
    folder.mkdir()
    (folder / meta).write_bytes(pickle.dumps(
        {names: [n.encode() for n in classes or class_names(name)]}))
    rng = np.random.default_rng(0)
    for file in files:
        (folder / file).write_bytes(pickle.dumps({
            b'data': rng.integers(0, 256, (2, 3072), np.uint8), key: [9, 0],
            b'coarse_labels': [1, 1]}))
    return folder


@pytest.mark.parametrize('name, train', [('cifar10', 10), ('cifar100', 2)])
def test_cifar(tmp_path, monkeypatch, name, train):
    from mmpretrain.datasets import CustomDataset
    source = release(tmp_path / 'release', name)
    convert(monkeypatch, 'cifar', source, tmp_path / 'out')
    last = class_names(name)[9]
    files = sorted(p.relative_to(tmp_path / 'out') for p in (tmp_path / 'out').rglob('*.png'))
    assert len(files) == train + 2
    first = pickle.loads((source / ('data_batch_1' if train > 2 else 'train')).read_bytes(),
                         encoding='bytes')[b'data'][0]
    with Image.open(tmp_path / f'out/train/{last}/00000.png') as picture:
        image = np.asarray(picture)
    # red, green and blue planes, row by row
    assert image.shape == (32, 32, 3) and image[3, 5].tolist() == [
        first[3 * 32 + 5], first[1024 + 3 * 32 + 5], first[2048 + 3 * 32 + 5]]
    for folder in class_names(name):
        (tmp_path / 'out/test' / folder).mkdir(exist_ok=True)
    dataset = CustomDataset(data_root=str(tmp_path / 'out/test'), pipeline=[],
                            metainfo=dict(classes=class_names(name)))
    assert [dataset.get_data_info(i)['gt_label'] for i in range(2)] == [0, 9]


def test_bad_cifar(tmp_path, monkeypatch):
    wrong = release(tmp_path / 'wrong', 'cifar10', class_names('cifar10')[::-1])
    with pytest.raises(SystemExit, match='the classes are not those of cifar10 in their order'):
        convert(monkeypatch, 'cifar', wrong, tmp_path / 'out')
    with pytest.raises(SystemExit, match='holds neither batches.meta'):
        convert(monkeypatch, 'cifar', tmp_path, tmp_path / 'out')
    broken = release(tmp_path / 'broken', 'cifar100')
    (broken / 'train').write_bytes(b'no pickle')
    with pytest.raises(SystemExit, match="is no file of CIFAR's Python release"):
        convert(monkeypatch, 'cifar', broken, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_imagenet_subset(tmp_path, monkeypatch):
    source = tmp_path / 'imagenet'
    for split in ('train', 'val'):
        for wnid in (*class_wnids('imagewoof'), 'n01440764'):
            (source / split / wnid).mkdir(parents=True)
            Image.new('RGB', (2, 2)).save(source / split / wnid / 'a.png')
    for _ in range(2):
        convert(monkeypatch, 'imagenet_subset', source, 'imagewoof', tmp_path / 'woof')
    assert sorted(os.listdir(tmp_path / 'woof/val')) == list(class_wnids('imagewoof'))
    assert os.listdir(tmp_path / 'woof/train/n02115641') == ['a.png']
    with pytest.raises(SystemExit, match='n02102040 not found'):
        convert(monkeypatch, 'imagenet_subset', source, 'imagenette', tmp_path / 'nette')
    with pytest.raises(SystemExit, match='is no link to .* nothing was changed'):
        (tmp_path / 'mine/train/n02086240').mkdir(parents=True)
        convert(monkeypatch, 'imagenet_subset', source, 'imagewoof', tmp_path / 'mine')


def test_tiny_imagenet(tmp_path, monkeypatch):
    (tmp_path / 'val').mkdir()
    path = tmp_path / 'val/val_annotations.txt'
    # goldfish comes first in the sorted wnids, the acorn last
    path.write_text('val_0.JPEG\tn12267677\t0\t32\t44\t62\nval_1.JPEG\tn01443537\t0\t0\t63\t63\n')
    convert(monkeypatch, 'tiny_imagenet', tmp_path)
    assert (tmp_path / 'meta/val.txt').read_text() == 'val_0.JPEG 199\nval_1.JPEG 0\n'
    path.write_text('val_0.JPEG\tn01440764\t0\t0\t1\t1\n')
    with pytest.raises(SystemExit, match='val_annotations.txt:1: expected an image name'):
        convert(monkeypatch, 'tiny_imagenet', tmp_path)
    with pytest.raises(SystemExit, match='give the folder of tiny-imagenet-200'):
        convert(monkeypatch, 'tiny_imagenet', tmp_path / 'val')


def test_camvid(tmp_path, monkeypatch, capsys):
    from mmseg.datasets import BaseSegDataset
    source, out = tmp_path / 'CamVid', tmp_path / 'out'
    for split in ('train', 'val', 'test'):
        (source / split).mkdir(parents=True)
        (source / f'{split}annot').mkdir()
        Image.new('RGB', (6, 4), (200, 10, 30)).save(source / split / 'a.png')
        Image.fromarray(np.tile(np.uint8([0, 5, 10, 11, 11, 0]), (4, 1))).save(
            source / f'{split}annot' / 'a.png')
    convert(monkeypatch, 'camvid', source, out)
    assert 'CamVid test: 1 images' in capsys.readouterr().out
    dataset = BaseSegDataset(
        data_root=str(out), data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        metainfo=dict(classes=('sky', )), pipeline=[])
    info, = [dataset.get_data_info(i) for i in range(len(dataset))]
    with Image.open(info['seg_map_path']) as mask, Image.open(info['img_path']) as image:
        assert np.asarray(mask)[3].tolist() == [0, 5, 10, 255, 255, 0]
        assert np.allclose(np.asarray(image.convert('RGB')), (200, 10, 30), atol=3)
    Image.new('L', (6, 4), 255).save(source / 'trainannot' / 'a.png')
    with pytest.raises(SystemExit, match='a.png: masks hold the values 0 to 11'):
        convert(monkeypatch, 'camvid', source, out)
