"""Post data augmentation: copies by slot and number, the crop, the transforms of the paper."""
import os.path as osp
import sys
from importlib.metadata import distributions

import albumentations
import cv2
import numpy as np
import pytest
from PIL import Image

from mmdd.models.set_stages import PostAugmentation, SetStages
from mmdd.registry import TASK_UTILS
from mmdd.structures import DistilledSample, DistillSlot


def sample(seed=3, side=64, image=None):
    if image is None:
        image = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    slot = DistillSlot(id=5, seed=seed, size=image.shape[:2], labels=np.array([1]))
    return DistilledSample(slot, image=image, labels=slot.labels, seconds=2.,
                           stats=dict(denoiser_passes=1))


def build(**kwargs):
    return TASK_UTILS.build(dict(type='PostAugmentation', **{'size': 32, **kwargs}))


def images(samples):
    return np.stack([each.image for each in samples])


def test_the_original_comes_first_then_its_copies():
    made = build().expand(sample())
    assert [each.image.shape for each in made] == [(32, 32, 3)] * 5
    assert {each.image.dtype for each in made} == {np.dtype('uint8')}
    for a in range(5):
        for b in range(a):
            assert (made[a].image != made[b].image).any()
    assert all((each.labels == [1]).all() for each in made)


def test_copies_cost_nothing_in_the_manifest():
    made = build(copies=2).expand(sample())
    assert [each.seconds for each in made] == [2., 0., 0.]
    assert [each.stats for each in made] == [
        dict(denoiser_passes=1), dict(copy=1), dict(copy=2)]


def test_copies_depend_on_the_seed_of_the_slot_and_their_number_alone():
    four = images(build().expand(sample()))
    np.random.seed(0)
    stage = build(copies=7)
    stage.expand(sample(9))  # another sample before it
    assert (images(stage.expand(sample()))[:5] == four).all()
    image = sample().image
    other = images(build().expand(sample(4, image=image)))
    assert (other[0] == four[0]).all() and (other[1:] != four[1:]).any((1, 2, 3)).all()


def test_chain_numbers_ids_and_counts_slots():
    chain = SetStages([build()])
    assert (chain.slots(50), chain.slots(100), chain.copies) == (10, 20, 5)
    assert [each.slot.id for each in chain.expand(sample())] == [25, 26, 27, 28, 29]
    with pytest.raises(ValueError, match='PostAugmentation: 12 images take 2.4 samples; make the '
                                         'budget a multiple of 5'):
        chain.slots(12)
    only_scales = SetStages([build(copies=0)])
    assert only_scales.slots(20) == 20 and len(only_scales.expand(sample())) == 1


def test_the_transforms_are_those_of_the_paper():
    """Section 4.1, name by name; limits that the paper leaves out are the library's."""
    steps = build(size=32)._pipeline(512, 512).transforms
    crop, horizontal, vertical, light, rotate, gamma = steps
    assert [type(step).__name__ for step in steps] == [
        'RandomCrop', 'HorizontalFlip', 'VerticalFlip', 'RandomBrightnessContrast', 'Rotate',
        'RandomGamma']
    assert [step.p for step in steps] == [1, 0.8, 0.8, 0.5, 0.8, 0.5]
    assert (crop.height, crop.width) == (448, 448)
    assert rotate.limit == (-60, 60) and rotate.border_mode == cv2.BORDER_REFLECT_101
    assert light.brightness_limit == (-0.2, 0.2) == light.contrast_limit
    assert gamma.gamma_limit == (80, 120)


def shares(stage, image, test):
    """Share of 400 copies that pass a test."""
    stage = build(copies=400, **stage)
    return np.mean([test(each.image) for each in stage.expand(sample(image=image))[1:]])


@pytest.mark.parametrize('name, axis', [('HorizontalFlip', 1), ('VerticalFlip', 0)])
def test_probability_of_flips(name, axis):
    image = np.zeros((64, 64, 3), np.uint8)
    image[(slice(None), ) * axis + (slice(0, 32), )] = 255
    stage = dict(transforms=[dict(type=name, p=0.8)])
    flipped = shares(stage, image, lambda found: found.mean(1 - axis)[-1].mean() > 128)
    assert flipped == pytest.approx(0.8, abs=0.08)  # four standard deviations


def test_the_crop_cuts_off():
    """The mistake of the released code: scaled to the size first, its crop changes nothing."""
    still = [dict(type='NoOp')]
    crop_first = images(build(transforms=still).expand(sample()))
    assert (crop_first[1:] != crop_first[0]).any((1, 2, 3)).all()
    resize_first = images(build(transforms=still, resize_first=True).expand(sample()))
    assert (resize_first[1:] == resize_first[0]).all()
    steps = build(resize_first=True)._pipeline(32, 32).transforms
    assert (steps[0].height, steps[0].width) == (32, 32) and len(steps) == 6


@pytest.mark.parametrize('resize_first', [False, True])
def test_images_are_scaled_as_in_the_released_code(resize_first):
    """``PIL.Image.resize`` without a filter, which is bicubic."""
    original = build(resize_first=resize_first).expand(sample())[0]
    expected = np.asarray(Image.fromarray(sample().image).resize((32, 32)))
    np.testing.assert_array_equal(original.image, expected)


def test_a_crop_has_its_size_and_lies_inside():
    """Each pixel holds its place, so that the corner of the crop can be read off."""
    image = np.zeros((64, 48, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(64)[:, None], np.arange(48)
    stage = build(size=(40, 30), crop_size=(40, 30), copies=60, transforms=[])
    corners = set()
    for each in stage.expand(sample(image=image))[1:]:
        top, left = int(each.image[0, 0, 0]), int(each.image[0, 0, 1])
        assert (each.image == image[top:top + 40, left:left + 30]).all()
        corners.add((top, left))
    assert len(corners) > 40


@pytest.mark.parametrize('settings, words', [
    (dict(copies=-1), 'copies must be at least 0, got -1'),
    (dict(size=0), 'size must be pixels above 0, got 0'),
    (dict(crop_size=(3, )), r'crop_size must be pixels above 0, got \(3,\)'),
    (dict(crop_size=30, resize_first=True), 'leave crop_size out'),
    (dict(transforms=[dict(type='HorizontlFlip')]),
     "no transform 'HorizontlFlip'; did you mean 'HorizontalFlip'"),
    (dict(transforms=[dict(type='Rotate', limits=3)]),
     "Rotate of albumentations has no setting 'limits'; did you mean 'limit'"),
    (dict(transforms=[dict(type='Rotate', p=3.)]), 'PostAugmentation: Rotate: .*p'),
    (dict(transforms=[dict(type='Rotate', border_mode='wrap')]), 'border_mode must be one of')])
def test_bad_settings_are_one_line(settings, words):
    with pytest.raises(ValueError, match=words) as caught:
        build(**settings)
    assert '\n' not in str(caught.value)


def test_a_plan_that_it_cannot_work_on_is_refused_before_it_is_made():
    slot = DistillSlot(id=0, seed=0, size=(64, 64), labels=np.array([0]))
    chain = SetStages([build(crop_size=65)])
    with pytest.raises(ValueError, match=r'a crop of \(65, 65\) does not fit into images of '
                                         r'\(64, 64\); lower crop_size'):
        chain.check([slot])
    SetStages([build(crop_size=64)]).check([slot])
    boxed = DistillSlot(id=0, seed=0, size=(64, 64), labels=np.array([0]),
                        bboxes=np.zeros((1, 4), np.float32))
    with pytest.raises(ValueError, match='PostAugmentation is for classification'):
        SetStages([build()]).check([boxed])


def test_missing_library_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, 'albumentations', None)
    with pytest.raises(ValueError, match='needs albumentations .*the fix: pip install') as caught:
        build()
    path = osp.join(osp.dirname(__file__), '../../requirements/nodeps.txt')
    with open(path, encoding='utf-8') as f:
        pins = [line.strip() for line in f if not line.startswith('#')]
    assert sorted(str(caught.value).split('--no-deps ')[1].split()) == pins


def test_there_is_one_opencv():
    """albumentations asks for a second one, whose files would overwrite the first."""
    found = sorted({d.name.lower() for d in distributions() if d.name.startswith('opencv')})
    assert len(found) == 1, found
    assert albumentations.__version__.startswith('2.')


def test_the_stage_is_registered():
    assert TASK_UTILS.get('PostAugmentation') is PostAugmentation
