"""Targets of every task: found by their parts, moved with their image, kept as plain values."""
import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from mmdd.structures import (
    BoxTarget,
    ClassTarget,
    ComposedLayout,
    DistilledSample,
    DistillSlot,
    MaskTarget,
    RealAnnotation,
    decode_mask,
    encode_mask,
    load_target,
    make_target,
)
from mmdd.structures.target import MaskedBoxTarget

SIZE = (20, 30)
BOXES = np.array([[3, 4, 10, 9], [12, 0, 25, 20]], np.float32)
LABELS = np.array([2, 1])


def label_map():
    """The boxes' pixels, with a rim to ignore."""
    mask = np.zeros(SIZE, np.uint8)
    mask[4:9, 3:10], mask[0:20, 12:25], mask[12] = 2, 1, 255
    return mask


def targets():
    return [ClassTarget(np.array([4])), BoxTarget(LABELS, BOXES), MaskTarget(LABELS, label_map()),
            MaskedBoxTarget(LABELS, BOXES, label_map())]


def every_task():
    return pytest.mark.parametrize('target', targets(), ids=lambda t: type(t).__name__)


def same(first, second):
    names = ('labels', 'bboxes', 'mask')
    pairs = [(getattr(first, name), getattr(second, name)) for name in names]
    return type(first) is type(second) and all(a is b or np.array_equal(a, b) for a, b in pairs)


@every_task()
def test_a_target_is_found_by_its_parts(target):
    parts = {name: getattr(target, name) for name in ('bboxes', 'mask')}
    assert same(make_target(target.labels, **parts), target)
    assert same(load_target(json.loads(json.dumps(target.to_dict()))), target)
    assert same(target.packed(), target)


def test_unknown_parts_are_named():
    class Points(ClassTarget):
        parts = ('points', )

        def __init__(self, labels, points):
            super().__init__(labels)
            self.points = points

    try:
        assert isinstance(make_target(LABELS, points=BOXES), Points)
        with pytest.raises(ValueError, match=r'no target has mask and points.*Points \(points\)'):
            make_target(LABELS, points=BOXES, mask=label_map())
    finally:
        from mmdd.structures.target.base import KINDS
        KINDS.remove(Points)


def test_plain_values():
    """Written down once: plans and journals of published sets hold these."""
    assert ClassTarget(np.array([4])).to_dict() == dict(labels=[4], bboxes=None, mask=None)
    boxes = BoxTarget(np.array([1]), np.array([[1, 2, 3.12345, 4]], np.float32)).to_dict()
    assert list(boxes) == ['labels', 'bboxes', 'mask'] and boxes['mask'] is None
    assert boxes['bboxes'] == np.round(np.array([[1, 2, 3.12345, 4]], np.float32), 3).tolist()
    text = MaskTarget(LABELS, label_map()).to_dict()['mask']
    assert np.array_equal(decode_mask(base64.b64decode(text)), label_map())


@every_task()
def test_flipped_and_resized_as_the_picture(target):
    assert same(target.flipped(SIZE).flipped(SIZE), target)
    assert same(target.resized(SIZE, (40, 60)).resized((40, 60), SIZE), target)
    flipped, large = target.flipped(SIZE), target.resized(SIZE, (40, 90))
    if target.bboxes is not None:
        assert flipped.bboxes.tolist() == [[20, 4, 27, 9], [5, 0, 18, 20]]
        assert large.bboxes.tolist() == [[9, 8, 30, 18], [36, 0, 75, 40]]
        assert large.bboxes.dtype == np.float32
    if target.mask is not None:
        assert np.array_equal(flipped.mask, label_map()[:, ::-1])
        assert np.array_equal(large.mask, label_map().repeat(2, 0).repeat(3, 1))


@every_task()
def test_moved_as_the_picture(target):
    moved = target.moved(SIZE, 1., (.2, -.1), .5)  # 6 right, 2 up: 13 x 18 of 13 x 20 stay
    if target.bboxes is not None:
        assert moved.bboxes.tolist() == [[9, 2, 16, 7], [18, 0, 30, 18]]
    if target.mask is not None:
        assert np.array_equal(moved.mask[:18, 6:], label_map()[2:, :24])
        assert (moved.mask[18:] == 255).all() and (moved.mask[:, :6] == 255).all()
    assert type(moved) is type(target)


@every_task()
def test_small_objects(target):
    left = target.without_small(14., SIZE, (40, 60))
    kept = [1] if target.counts_objects else target.labels.tolist()
    assert left.labels.tolist() == kept and type(left) is type(target)


@every_task()
def test_checks(target):
    target.check(SIZE, 'abcde', 'a.jpg')
    with pytest.raises(ValueError, match=r'^a.jpg: the label has the class index \d, but .* 2 c'):
        replace_labels(target).check(SIZE, 'ab', 'a.jpg')
    if target.bboxes is not None:
        with pytest.raises(ValueError, match=r'^a.jpg: box \[12.*exceeds the 20x20 image'):
            target.check((20, 20), 'abcde', 'a.jpg')
    elif target.mask is not None:
        with pytest.raises(ValueError, match='^a.jpg: the mask is 30x20, its image 20x20'):
            target.check((20, 20), 'abcde', 'a.jpg')


def replace_labels(target):
    return target.with_parts(labels=np.full(len(target.labels), 4))


def test_unknown_ids_of_a_mask():
    with pytest.raises(ValueError, match=r'^a.png: the mask holds the class ids \[2\]'):
        MaskTarget(np.array([1]), label_map()).check(SIZE, 'ab', 'a.png')


def holders():
    slot = DistillSlot(0, 1, SIZE, LABELS, BOXES, 'text')
    return [slot, DistilledSample(slot, labels=LABELS, bboxes=BOXES, score=.5),
            RealAnnotation('a', 'a.jpg', SIZE, LABELS, BOXES),
            ComposedLayout('c', SIZE, LABELS, (), BOXES)]


@pytest.mark.parametrize('index', range(4))
def test_parts_are_read_replaced_and_set(index):
    """As plugins do it that know nothing of targets."""
    held = holders()[index]
    assert held.labels is LABELS and held.bboxes is BOXES and held.mask is None
    other = replace(held, bboxes=BOXES + 1)
    assert np.array_equal(other.bboxes, BOXES + 1) and other.labels is LABELS
    assert {k: v for k, v in vars(other).items() if k != 'target'} == {
        k: v for k, v in vars(held).items() if k != 'target'}
    assert held.bboxes is BOXES
    assert isinstance(replace(held, bboxes=None).target, ClassTarget)
    assert replace(held, target=ClassTarget(np.array([3]))).bboxes is None
    held.labels, held.bboxes, held.mask = np.array([1]), None, label_map()
    assert isinstance(held.target, MaskTarget) and held.labels.tolist() == [1]


def test_masks_of_layouts_are_packed():
    layout = RealAnnotation('a', 'a.jpg', SIZE, LABELS, mask_png=encode_mask(label_map()))
    assert isinstance(layout.target.own_parts()['mask'], bytes)
    assert np.array_equal(layout.mask, label_map())
    assert layout.resized((10, 15)).mask.shape == (10, 15)


def test_a_sample_without_labels():
    sample = DistilledSample(DistillSlot(0, 0, SIZE, np.array([1])))
    assert len(sample.labels) == 0 and sample.labels.dtype == np.int64
    sample.fail('black')
    assert sample.labels.tolist() == [1] and sample.target is sample.slot.target
