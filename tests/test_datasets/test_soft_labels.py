"""The store of soft labels: random numbers, compression, files, replay."""
import json
import math
import os

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image

from mmdd.datasets.digit_scenes import CLASSES
from mmdd.datasets.label_codec import compress, row_type
from mmdd.datasets.replay import ReplaySampler, SoftLabelDataset, set_digest
from mmdd.datasets.soft_labels import (
    SoftLabelStore,
    draw_box,
    draw_crop,
    draw_epoch,
    planned_size,
)

SETTINGS = dict(images=10, num_classes=10, classes=list(CLASSES), epochs=2, topk=None,
                temperature=20., seed=1, batch_size=4, image_size=16, crop_area=[0.2, 1.],
                flip_prob=0.5, cutmix=1., set='digest', teacher='hash')
SIZES = np.array([[32, 32], [20, 40]] * 5)


def softmax(x, t):
    e = np.exp((x - x.max(-1, keepdims=True)) / t)
    return e / e.sum(-1, keepdims=True)


def single_digits(root):
    return dict(type='CustomDataset', _scope_='mmpretrain', data_root=str(root),
                data_prefix='single/train', metainfo=dict(classes=CLASSES),
                pipeline=[dict(type='LoadImageFromFile'),
                          dict(type='mmdd.RecordedCrop', scale=16), dict(type='PackInputs')])


def write(folder, settings=SETTINGS, epochs=None, sizes=SIZES):
    store = SoftLabelStore.create(str(folder), settings)
    rng = np.random.default_rng(0)
    for epoch in range(store.epochs, settings['epochs'] if epochs is None else epochs):
        rows = draw_epoch(settings, epoch, sizes, store.dtype)
        rows['logits'] = rng.normal(0, 3, rows['logits'].shape)
        store.write(epoch, rows)
    return store


@pytest.fixture
def labels(digits, tmp_path):
    """A store that fits the single digits."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        from mmengine.registry import DATASETS
        digest = set_digest(DATASETS.build(single_digits(digits)))
    sizes = np.full((10, 2), 32)
    return write(tmp_path / 'labels', dict(SETTINGS, set=digest), sizes=sizes)


def open_set(digits, labels, **kwargs):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return SoftLabelDataset(single_digits(digits), labels, **kwargs)


def test_crops_have_the_asked_area_and_shape():
    rng = np.random.default_rng(0)
    crops = np.array([draw_crop(rng, (60, 80), (0.08, 1.)) for _ in range(3000)])
    x, y, w, h = crops.T
    assert (x >= 0).all() and (y >= 0).all() and (x + w <= 80).all() and (y + h <= 60).all()
    area, ratio = w * h / 4800, w / h
    assert area.min() < 0.1 and area.max() > 0.85 and area.min() > 0.07
    assert 0.7 < ratio.min() < 0.8 and 1.25 < ratio.max() < 1.4
    # Small areas always fit, so their logarithmic ratio stays uniform: mean 0.
    assert abs(np.log(ratio[area < 0.4]).mean()) < 0.02
    # Nothing of aspect 3/4 to 4/3 and this area fits into a strip: the largest central crop.
    assert draw_crop(rng, (10, 100), (0.9, 1.)) == (43, 0, 13, 10)


def test_boxes_have_the_area_that_cutmix_asks_for():
    rng = np.random.default_rng(0)
    boxes = np.array([draw_box(rng, 100, 1.) for _ in range(4000)])
    x1, y1, x2, y2 = boxes.T
    assert boxes.min() >= 0 and boxes.max() <= 100 and (x2 >= x1).all() and (y2 >= y1).all()
    # Uniform ratio r**2 and centre: the mean of r(1 - r/4) each way is squared over r.
    r = np.sqrt(np.linspace(0, 1, 100001))
    assert ((x2 - x1) * (y2 - y1)).mean() / 1e4 == pytest.approx(
        ((r - r**2 / 4)**2).mean(), abs=0.02)


def test_an_epoch_is_a_function_of_its_seed():
    dtype = row_type(10)
    first = draw_epoch(SETTINGS, 0, SIZES, dtype)
    assert (first == draw_epoch(SETTINGS, 0, SIZES, dtype)).all()
    assert sorted(first['image']) == list(range(10))
    other = draw_epoch(SETTINGS, 1, SIZES, dtype)
    assert list(other['image']) != list(first['image'])
    for start, stop in ((0, 4), (4, 8), (8, 10)):
        batch = first[start:stop]
        assert sorted(batch['partner']) == list(range(start, stop))
        assert len({tuple(box) for box in batch['box']}) == 1
        x1, y1, x2, y2 = (int(v) for v in batch['box'][0])
        assert batch['share'] == pytest.approx(1 - (x2 - x1) * (y2 - y1) / 256)
    # The crop of an image does not depend on the batches.
    wide = draw_epoch(dict(SETTINGS, batch_size=10), 0, SIZES, dtype)
    assert (wide['crop'] == first['crop']).all() and (wide['flip'] == first['flip']).all()
    plain = draw_epoch(dict(SETTINGS, cutmix=0.), 0, SIZES, dtype)
    assert not plain['box'].any() and (plain['share'] == 1).all()


def test_topk_keeps_the_mass(tmp_path):
    logits = np.random.default_rng(0).normal(0, 4, (6, 10))
    for temperature in (1., 20.):
        store = SoftLabelStore.create(
            str(tmp_path / str(temperature)), dict(SETTINGS, topk=3, temperature=temperature))
        rows = np.zeros(6, store.dtype)
        rows['logits'], rows['classes'] = compress(logits, 3, temperature)
        back = np.stack([store.logits(row) for row in rows]).astype(np.float64)
        full, kept = softmax(logits, temperature), softmax(back, temperature)
        top = np.argsort(-logits, 1)[:, :3]
        for one, two, best in zip(full, kept, top):
            assert two[best] == pytest.approx(one[best], rel=2e-3)
            rest = np.delete(two, best)
            assert np.ptp(rest) < 1e-12
            assert rest.sum() == pytest.approx(1 - one[best].sum(), rel=2e-3)
    values, _ = compress(np.array([[0., math.log(2), math.log(4)]]), 1, 1.)
    assert values[0] == pytest.approx([math.log(4), math.log(1.5)])


def test_the_size_is_estimated_up_front(tmp_path):
    big = dict(SETTINGS, images=1000, num_classes=1000, epochs=300)
    # 4 + 4 + 8 + 1 + 8 + 4 bytes of augmentation, 2 per class
    assert row_type(1000).itemsize == 29 + 2000
    assert planned_size(big).endswith(
        f'300 epochs x 2029 bytes (1000 classes in fp16) = {1000 * 300 * 2029 / 2**20:.1f} MiB')
    assert row_type(1000, 10).itemsize == 29 + 2 * 11 + 2 * 10
    store = write(tmp_path / 'a')
    written = sum(f.stat().st_size for f in (tmp_path / 'a').glob('*.npy'))
    assert store.info['bytes'] == 10 * 2 * row_type(10).itemsize
    assert written - store.info['bytes'] < 2 * 1024  # NumPy's headers


def test_finished_epochs_are_kept(tmp_path):
    whole = write(tmp_path / 'whole')
    write(tmp_path / 'part', epochs=1)
    before = (tmp_path / 'part' / 'epoch_0000.npy').stat().st_mtime_ns
    store = SoftLabelStore.create(str(tmp_path / 'part'), SETTINGS)
    assert store.epochs == 1
    with pytest.raises(ValueError, match='labels of 1 epochs, epoch 2 is asked for'):
        store.rows(1)
    write(tmp_path / 'part')
    assert (tmp_path / 'part' / 'epoch_0000.npy').stat().st_mtime_ns == before
    again = SoftLabelStore(str(tmp_path / 'part'))
    assert again.epochs == 2 and again.info['settings'] == whole.info['settings']
    again.verify()
    # Epochs may be added; fewer are there already.
    longer = write(tmp_path / 'part', dict(SETTINGS, epochs=3))
    assert longer.epochs == 3 and longer.info['bytes'] == again.info['bytes'] * 3 // 2
    assert (longer.rows(1) == again.rows(1)).all()
    assert SoftLabelStore.create(str(tmp_path / 'part'), SETTINGS).info == longer.info
    assert isinstance(again.rows(0), np.memmap)


@pytest.mark.parametrize('name', ['epoch_0001.npy', 'labels.json', 'epoch_0000.npy'])
def test_damaged_labels_are_written_again(tmp_path, name):
    """What is undamaged is kept; the folder is then the same as before."""
    settings = dict(SETTINGS, epochs=3)
    for number, spoil in enumerate((b'', b'\x93NUMPY half', None)):
        folder = tmp_path / str(number)
        write(folder, settings)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        content = bytearray(before[name])
        content[-40] ^= 1
        (folder / name).write_bytes(content if spoil is None else spoil)
        os.utime(folder / name, (1, 1))
        store = SoftLabelStore.create(str(folder), settings)
        assert store.missing == ([0, 1, 2] if name == 'labels.json' else [int(name[9])])
        rng = np.random.default_rng(0)
        for epoch in range(3):
            rows = draw_epoch(settings, epoch, SIZES, store.dtype)
            rows['logits'] = rng.normal(0, 3, rows['logits'].shape)
            if epoch in store.missing:
                store.write(epoch, rows)
        assert (folder / f'{name}.damaged').exists()
        assert before == {path.name: path.read_bytes() for path in folder.iterdir()
                          if path.suffix != '.damaged'}
        SoftLabelStore(str(folder)).verify()


def test_unusable_stores(tmp_path):
    def check(message, error=ValueError, call=SoftLabelStore, *args):
        with pytest.raises(error, match=message) as caught:
            call(str(tmp_path / 'a'), *args)
        assert '\n' not in str(caught.value)

    check('no soft labels in .*: labels.json not found; write them', FileNotFoundError)
    store = write(tmp_path / 'a')
    check('differ in seed, teacher; give another folder', ValueError, SoftLabelStore.create,
          dict(SETTINGS, seed=2, teacher='x'))
    path = tmp_path / 'a' / 'epoch_0001.npy'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match='epoch_0001.npy is missing or changed'):
        store.verify()
    np.save(path, np.zeros(3))
    with pytest.raises(ValueError, match='does not belong to these soft labels'):
        store.rows(1)
    for content in (b'nothing', b''):
        path.write_bytes(content)
        with pytest.raises(ValueError, match='epoch_0001.npy cannot be read'):
            store.rows(1)
    path.unlink()
    for call in (lambda: store.rows(1), store.verify):
        with pytest.raises(ValueError, match='epoch_0001.npy .*write the labels again') as caught:
            call()
        assert '\n' not in str(caught.value)
    index = tmp_path / 'a' / 'labels.json'
    for content in (dict(settings={}), dict(settings=SETTINGS), []):
        index.write_text(json.dumps(content))
        check('labels.json is damaged')


def test_replay_shows_what_is_stored(digits, labels):
    """Against a second implementation on the files themselves."""
    dataset = open_set(digits, labels.folder)
    assert len(dataset) == 10 and dataset.metainfo['classes'] == CLASSES
    sampler = ReplaySampler(dataset)
    mixed = 0
    for epoch in range(2):
        sampler.set_epoch(epoch)
        rows = labels.rows(epoch)

        def view(row, dataset=dataset):
            path = dataset.dataset.get_data_info(int(row['image']))['img_path']
            x, y, w, h = row['crop'].tolist()
            picture = Image.open(path).convert('RGB').crop((x, y, x + w, y + h))
            pixels = np.array(picture.resize((16, 16), Image.BILINEAR))[:, :, ::-1]
            return pixels[:, ::-1] if row['flip'] else pixels

        for position, index in enumerate(sampler):
            item, row = dataset[index], rows[position]
            expected = view(row).copy()
            x1, y1, x2, y2 = row['box'].tolist()
            expected[y1:y2, x1:x2] = view(rows[row['partner']])[y1:y2, x1:x2]
            mixed += not np.array_equal(expected, view(row))
            assert np.array_equal(item['inputs'].numpy().transpose(1, 2, 0), expected)
            logits = item['data_samples'].soft_logits
            assert logits.dtype == torch.float32 and logits.tolist() == row['logits'].tolist()
            assert item['data_samples'].gt_label.item() == row['image']  # one digit a class
    assert mixed > 5


def test_labels_can_be_used_again(digits, labels):
    dataset = open_set(digits, labels.folder, reuse=labels.epochs)
    assert torch.equal(dataset[4 * 10 + 3]['inputs'], dataset[3]['inputs'])
    # A pool that is smaller than what the folder holds.
    dataset = open_set(digits, labels.folder, reuse=2)
    assert torch.equal(dataset[2 * 10 + 3]['inputs'], dataset[3]['inputs'])
    with pytest.raises(ValueError, match='epoch 5 is asked for'):
        open_set(digits, labels.folder)[4 * 10 + 3]


@pytest.mark.parametrize('change, message', [
    (dict(images=9), 'soft labels of 9 images, the set has 10'),
    (dict(classes=list(CLASSES[::-1])), 'has the classes of the set in another order: class 0 is'),
    (dict(set='other'), 'a set with other images'),
])
def test_labels_of_another_set(digits, labels, tmp_path, change, message):
    SoftLabelStore.create(str(tmp_path / 'other'), dict(labels.settings, **change))
    with pytest.raises(ValueError, match=message):
        open_set(digits, str(tmp_path / 'other'))


def test_no_labels(digits, tmp_path):
    with pytest.raises(FileNotFoundError, match='write them with tools/relabel.py'):
        open_set(digits, str(tmp_path))
    with pytest.raises(ValueError, match='set protocol.schedule.labels'):
        open_set(digits, None)


def test_ranks_share_an_epoch(digits, labels, monkeypatch):
    dataset = open_set(digits, labels.folder)
    found = []
    for rank in range(3):
        monkeypatch.setattr('mmdd.datasets.replay.get_dist_info', lambda rank=rank: (rank, 3))
        sampler = ReplaySampler(dataset)
        sampler.set_epoch(1)
        assert len(list(sampler)) == len(sampler) == 4
        found.append(list(sampler))
    # In step i the ranks hold the neighbours 3i, 3i + 1, 3i + 2; the last ones begin again.
    assert [i for step in zip(*found) for i in step] == [10 + i % 10 for i in range(12)]
