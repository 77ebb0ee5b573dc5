"""Pipeline steps: patches, lighting, colours, turns, crops with given numbers."""
import itertools
import math

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.registry import TRANSFORMS

from mmdd.datasets.transforms import (
    PatchShuffle,
    PCALighting,
    RandomAffine,
    RandomChannels,
    RecordedCrop,
    cached_steps,
)


def image(height=6, width=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize('shape, factor', [((6, 8), 2), ((9, 9), 3), ((7, 9), 2), ((8, 8), 1)])
def test_patch_shuffle_permutes_columns_then_rows(shape, factor):
    """The arrangements of RDED's released code: (factor!) ** 2 of them, no others."""
    picture = image(*shape)
    np.random.seed(1)
    step = PatchShuffle(factor)
    found = {step(dict(img=picture))['img'].tobytes() for _ in range(400)}
    for shuffled in found:
        shuffled = np.frombuffer(shuffled, np.uint8).reshape(picture.shape)
        h, w = shape[0] // factor * factor, shape[1] // factor * factor
        assert (shuffled[h:] == picture[h:]).all() and (shuffled[:, w:] == picture[:, w:]).all()
    inner = picture[:shape[0] // factor * factor, :shape[1] // factor * factor]
    wanted = released_arrangements(inner, factor)
    assert len(wanted) == math.factorial(factor)**2
    assert {np.frombuffer(one, np.uint8).reshape(picture.shape)[
        :inner.shape[0], :inner.shape[1]].tobytes() for one in found} == wanted


def released_arrangements(picture, factor):
    """All that cutting into columns, joining them anew, and the same with rows can give."""
    found = set()
    for columns in itertools.permutations(np.split(picture, factor, 1)):
        for rows in itertools.permutations(np.split(np.concatenate(columns, 1), factor, 0)):
            found.add(np.concatenate(rows, 0).tobytes())
    return found


def test_patch_shuffle_refuses():
    with pytest.raises(ValueError, match='factor must be at least 1, got 0'):
        PatchShuffle(0)


def test_lighting_adds_one_colour_along_the_principal_axes():
    np.random.seed(0)
    step = TRANSFORMS.build(dict(type='mmdd.PCALighting', std=0.1))
    picture = np.concatenate([np.zeros((2, 2, 3)), np.full((2, 2, 3), 255)]).astype(np.uint8)
    shifts = []
    for _ in range(4000):
        changed = step(dict(img=picture))['img']
        difference = changed - picture.astype(np.float32)
        assert changed.dtype == np.float32 and np.ptp(difference, (0, 1)).max() < 1e-4
        shifts.append(difference[0, 0, ::-1])  # RGB
    # Values below 0 and above 255 are kept, not wrapped around.
    assert min(s.min() for s in shifts) < -5 and max(s.max() for s in shifts) > 5
    # The covariance's axes are those of ImageNet: greyish first, with std 0.1 * 55.46.
    values, vectors = np.linalg.eigh(np.cov(np.array(shifts).T))
    assert np.sqrt(values[::-1]) == pytest.approx([5.546, 0.4794, 0.1148], rel=0.05)
    assert abs(vectors[:, -1] @ [0.5675, 0.5808, 0.5836]) > 0.999
    assert abs(vectors[:, -2] @ [0.7192, -0.0045, -0.6948]) > 0.999


def test_lighting_of_rgb_images():
    shifts = []
    for bgr in (True, False):
        np.random.seed(3)
        shifts.append(PCALighting(bgr=bgr)(dict(img=np.zeros((1, 1, 3), np.uint8)))['img'][0, 0])
    assert (shifts[0] == shifts[1][::-1]).all() and shifts[0][0] != shifts[1][0]


def test_channels_take_48_colourings_and_no_others():
    picture = image()
    wanted = {np.where(inverted, 255 - picture[..., order], picture[..., order]).tobytes()
              for order in itertools.permutations(range(3))
              for inverted in itertools.product([False, True], repeat=3)}
    np.random.seed(0)
    step, before = TRANSFORMS.build(dict(type='mmdd.RandomChannels')), picture.copy()
    assert {step(dict(img=picture))['img'].tobytes() for _ in range(600)} == wanted
    assert len(wanted) == 48 and (picture == before).all()
    assert sorted(RandomChannels(1.)(dict(img=picture))['img'].sum((0, 1))) == sorted(
        (255 - picture).sum((0, 1), dtype=np.int64))
    with pytest.raises(ValueError, match=r'invert must be in \[0, 1\], got 1.5'):
        RandomChannels(1.5)


def drawn(step, *values):
    """The image that ``step`` makes of a 9 x 9 one with given random numbers."""
    step.draw = lambda: values
    return step(dict(img=image(9, 9)))['img']


def test_an_affine_change_turns_zooms_and_moves():
    picture, step = image(9, 9), TRANSFORMS.build(dict(type='mmdd.RandomAffine'))
    assert (drawn(step, 0., 1., 0., 0.) == picture).all()
    assert (drawn(step, 90., 1., 0., 0.) == np.rot90(picture)).all()
    moved = drawn(step, 0., 1., 2 / 9, -1 / 9)
    assert (moved[:-1, 2:] == picture[1:, :-2]).all()
    # the border is reflected, without the outermost pixel twice
    assert (moved[:-1, :2] == picture[1:, 2:0:-1]).all()
    assert (moved[-1, 2:] == picture[-2, :-2]).all()
    assert (drawn(step, 0., 2., 0., 0.)[::2, ::2] == picture[2:7, 2:7]).all()


def test_what_an_affine_change_draws():
    np.random.seed(0)
    step = RandomAffine(15., (0.5, 2.), 0.1)
    draws = np.array([step.draw() for _ in range(4000)])
    assert np.abs(draws).max(0) == pytest.approx([15, 2, 0.1, 0.1], rel=0.01)
    assert draws[:, 1].min() == pytest.approx(0.5, rel=0.01)
    assert np.median(draws[:, 1]) == pytest.approx(1, abs=0.05)
    for wrong in (dict(zoom=(1.2, 0.8)), dict(zoom=(0, 1)), dict(rotate=-1), dict(shift=-0.1)):
        with pytest.raises(ValueError, match='RandomAffine: rotate and shift must be at least 0'):
            RandomAffine(**wrong)


def test_recorded_crop_takes_the_given_box():
    picture = image(10, 12)
    step = RecordedCrop(4)
    out = step(dict(img=picture, crop_box=np.array([3, 2, 4, 4], np.uint16), crop_flip=False))
    assert (out['img'] == picture[2:6, 3:7]).all() and out['img_shape'] == (4, 4)
    flipped = step(dict(img=picture, crop_box=(3, 2, 4, 4), crop_flip=True))['img']
    assert (flipped == picture[2:6, 3:7][:, ::-1]).all()
    with pytest.raises(ValueError, match=r'crop \(10, 2, 4, 4\) exceeds the 12x10 image a.png'):
        step(dict(img=picture, crop_box=(10, 2, 4, 4), img_path='a.png'))
    assert step(dict(img=np.full((9, 5, 3), 7, np.uint8)))['img'].tolist() == [[[7] * 3] * 4] * 4


def test_recorded_crop_resizes_as_pillow():
    from PIL import Image
    picture = image(40, 30)
    out = RecordedCrop((6, 8))(dict(img=picture, crop_box=(2, 4, 20, 30)))['img']
    expected = Image.fromarray(picture[4:34, 2:22]).resize((8, 6), Image.BILINEAR)
    assert (out == np.array(expected)).all()


def test_cached_steps_are_those_of_the_pipeline(tmp_path, monkeypatch):
    """The second time nothing is read; what follows may write into its image."""
    monkeypatch.setattr(cached_steps, '_KEPT', {})
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, image(seed=1))
    steps = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(4, 4))]
    expected = Compose(steps)(dict(img_path=path, label=1))
    cached = TRANSFORMS.build(dict(type='mmdd.CachedSteps', steps=steps))
    reads = []
    original = cv2.imdecode
    monkeypatch.setattr(cv2, 'imdecode', lambda *args: reads.append(1) or original(*args))
    for label in (1, 2, 3):
        found = cached(dict(img_path=path, label=label))
        assert found.keys() == expected.keys() and found['label'] == label
        assert (found['img'] == expected['img']).all()
        assert found['img_shape'] == expected['img_shape'] == (4, 4)
        found['img'][:] = 7
    assert len(reads) == 1
    # another file of the same name, and other steps, are read
    cv2.imwrite(path, image(9, 9, seed=2))
    assert cached(dict(img_path=path))['ori_shape'] == (9, 9)
    half = TRANSFORMS.build(dict(type='mmdd.CachedSteps', steps=steps[:1]))
    assert half(dict(img_path=path))['img'].shape == (9, 9, 3)
    assert len(reads) == 3
    with pytest.raises(ValueError, match='steps is empty'):
        TRANSFORMS.build(dict(type='mmdd.CachedSteps', steps=[]))
