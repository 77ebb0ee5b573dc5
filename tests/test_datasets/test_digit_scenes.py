"""Digit scenes: deterministic, disjoint, readable by stock tools."""
import itertools
import os
import os.path as osp

import numpy as np
import pytest
import tiny
from PIL import Image

from mmdd.datasets import digit_scenes
from mmdd.datasets.digit_scenes import (
    CLASSES,
    HANDWRITING,
    DigitScenes,
    render_scene,
    scene_stream,
)
from mmdd.utils.io import sha256


def tree(root):
    """sha256 of every file below a folder."""
    return {osp.relpath(osp.join(base, name), root): sha256(osp.join(base, name))
            for base, _, names in os.walk(root) for name in names}


def build(root, train, seed=0, **kwargs):
    return DigitScenes(str(root), dict(train=train, val=2), dict(train=train), size=32, seed=seed,
                       **kwargs).build()


def test_scene_depends_on_seed_and_index_alone(tmp_path):
    small, large = tree(build(tmp_path / 'a', 3)), tree(build(tmp_path / 'b', 6))
    again, other = tree(build(tmp_path / 'c', 3)), tree(build(tmp_path / 'd', 3, seed=1))
    assert small == again
    pictures = [path for path in small if path.endswith(('.jpg', '.png', '.xml'))]
    assert len(pictures) == 3 * 5 + 3  # (3 train + 2 val) jpg, xml, mask; 3 singles
    assert all(small[path] == large[path] for path in pictures)
    assert not any(small[path] == other[path] for path in pictures if path.endswith('.jpg'))


def test_building_twice_changes_nothing(tmp_path):
    root = build(tmp_path / 'a', 2)
    times = {path: os.stat(osp.join(root, path)).st_mtime_ns for path in tree(root)}
    build(root, 2)
    assert times == {path: os.stat(osp.join(root, path)).st_mtime_ns for path in tree(root)}
    with pytest.raises(ValueError, match='other settings'):
        build(root, 3)
    with pytest.raises(ValueError, match='other settings'):
        build(root, 2, seed=1)


@pytest.mark.parametrize('stamp', [b'', b'\xff\xfe', b'scenes [(', b'{"a": 1}'])
def test_a_damaged_stamp_is_made_again(tmp_path, stamp):
    root = build(tmp_path / 'a', 2)
    whole = tree(root)
    path = tmp_path / 'a/digit_scenes.txt'
    path.write_bytes(stamp)
    build(root, 2)
    found = tree(root)
    del found['digit_scenes.txt.damaged']
    assert found == whole


def test_an_interrupted_build_goes_on(tmp_path, monkeypatch):
    whole = tree(build(tmp_path / 'whole', 3))
    calls = itertools.count()
    original = DigitScenes._write_scene

    def stop(self, split, index):
        if next(calls) == 2:
            raise KeyboardInterrupt
        original(self, split, index)

    monkeypatch.setattr(DigitScenes, '_write_scene', stop)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / 'part', 3)
    monkeypatch.undo()
    assert tree(build(tmp_path / 'part', 3)) == whole


def test_a_foreign_voc_folder_is_not_written_to(tmp_path):
    lists = tmp_path / 'VOC2007' / 'ImageSets' / 'Main'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('000012\n')
    before = tree(tmp_path)
    with pytest.raises(ValueError, match='give another root'):
        build(tmp_path, 2)
    assert tree(tmp_path) == before


def test_handwriting_of_splits_is_disjoint(monkeypatch):
    used = {split: set() for split in HANDWRITING}
    original = digit_scenes._glyph
    for split in HANDWRITING:
        monkeypatch.setattr(digit_scenes, '_glyph', lambda index, height, rows=used[split]: (
            rows.add(index) or original(index, height)))
        for i in range(25):
            render_scene(np.random.default_rng(i), 32, split)
    assert all(len(rows) > 20 for rows in used.values())
    for a, b in itertools.combinations(used.values(), 2):
        assert not a & b
    from sklearn.datasets import load_digits
    rows = sorted(row for low, high in HANDWRITING.values() for row in range(low, high))
    assert rows == list(range(len(load_digits().target)))


@pytest.mark.parametrize('seed', range(20))
def test_boxes_are_tight_around_single_digits(seed):
    scene = render_scene(np.random.default_rng(seed), 64, num_digits=1)
    ys, xs = np.nonzero(scene.mask)
    tight = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    assert np.abs(scene.bboxes[0] - tight).max() <= 1
    assert set(np.unique(scene.mask)) == {0, scene.labels[0] + 1}


@pytest.mark.parametrize('seed', range(20))
def test_scenes_of_several_digits(seed):
    scene = render_scene(np.random.default_rng(seed), 64)
    assert 1 <= len(scene.bboxes) == len(scene.labels) <= 4
    assert scene.image.shape == (64, 64, 3) and scene.image.dtype == np.uint8
    assert (scene.bboxes >= 0).all() and (scene.bboxes <= 64).all()
    outside = scene.mask.copy()
    for x1, y1, x2, y2 in scene.bboxes.astype(int):
        outside[y1:y2, x1:x2] = 0
    assert not outside.any()
    assert set(np.unique(scene.mask)) - {0} <= set(scene.labels + 1)


def test_stream_does_not_depend_on_its_start():
    first = list(itertools.islice(scene_stream(3, 32), 4))
    later = next(scene_stream(3, 32, start=3))
    assert np.array_equal(first[3].image, later.image)
    assert not np.array_equal(first[2].image, later.image)


def test_stock_mmdet_reads_the_boxes_that_were_drawn(digits):
    infos = tiny.read_stock(digits)
    assert len(infos) == 12
    for i in range(12):
        scene = render_scene(digit_scenes.scene_rng(0, 'train', 0, i), 32, 'train')
        expected = [(box, label) for box, label in zip(
            (scene.bboxes - [0, 0, 1, 1]).tolist(), scene.labels.tolist())]
        assert [(list(map(float, box)), label)
                for box, label in infos[f'train_{i:06d}.jpg']] == expected


def test_masks_are_class_indices_to_any_reader(digits):
    for i in range(4):
        scene = render_scene(digit_scenes.scene_rng(0, 'train', 0, i), 32, 'train')
        path = osp.join(digits, 'VOC2007', 'SegmentationClass', f'train_{i:06d}.png')
        with Image.open(path) as picture:
            assert picture.mode == 'P'
            assert np.array_equal(np.asarray(picture), scene.mask)
        import mmcv
        stock = mmcv.imread(path, flag='unchanged', backend='pillow')
        assert np.array_equal(stock, scene.mask)


def test_single_folders_hold_their_class(digits):
    for i in range(10):
        folder = osp.join(digits, 'single', 'train', CLASSES[i])
        assert os.listdir(folder) == [f'train_{i:06d}.png']


@pytest.mark.parametrize('kwargs', [
    dict(size=16), dict(num_scenes=dict(training=3)), dict(num_scenes=dict(train=-1)),
    dict(num_singles=dict(test=-1))])
def test_bad_settings(tmp_path, kwargs):
    with pytest.raises(ValueError, match='DigitScenes'):
        DigitScenes(str(tmp_path), **kwargs)
