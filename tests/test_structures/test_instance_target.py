"""Objects with masks of their own: moved with their image, kept and written without loss."""
import json

import numpy as np
import pytest

from mmdd.structures import BoxTarget, DistilledSample, DistillSlot, load_target, make_target
from mmdd.structures.target import InstanceTarget
from mmdd.utils.picture import Tile, class_colour, draw_tile

SIZE = (20, 30)
BOXES = np.array([[3, 4, 10, 9], [12, 0, 25, 20], [28, 1, 29, 2]], np.float32)
LABELS = np.array([2, 1, 0])


def masks():
    """The pixels of the boxes, but for one corner each; nothing of the third."""
    found = np.zeros((3, *SIZE), bool)
    found[0, 4:9, 3:10], found[1, 0:20, 12:25] = True, True
    found[0, 8, 9] = found[1, 0, 12] = False
    return found


@pytest.fixture
def target():
    return InstanceTarget(LABELS, BOXES, masks())


def test_found_by_its_parts_and_kept_without_loss(target):
    assert isinstance(make_target(LABELS, bboxes=BOXES, masks=masks()), InstanceTarget)
    entry = json.loads(json.dumps(DistillSlot(0, 1, SIZE, target=target).to_dict()))
    assert entry['mask'] is None and entry['masks']['size'] == [20, 30]
    slot = DistillSlot.from_dict(entry)
    assert np.array_equal(slot.target.masks, masks()) and slot.bboxes.tolist() == BOXES.tolist()
    none = target.select(np.zeros(3, bool))
    again = load_target(json.loads(json.dumps(none.to_dict())))
    assert again.masks.shape == (0, *SIZE) and len(again.joined(target).labels) == 3


def test_moved_with_the_picture(target):
    assert np.array_equal(target.flipped(SIZE).masks, masks()[:, :, ::-1])
    large = target.resized(SIZE, (40, 90))
    assert np.array_equal(large.masks, masks().repeat(2, 1).repeat(3, 2))
    assert large.bboxes[0].tolist() == [9, 8, 30, 18]
    moved = target.moved(SIZE, 1., (.2, -.1), .5)  # 6 right, 2 up; the third leaves
    assert moved.labels.tolist() == [2, 1]
    assert np.array_equal(moved.masks[:, :18, 6:], masks()[:2, 2:, :24])
    assert not moved.masks[:, 18:].any() and not moved.masks[:, :, :6].any()
    assert target.without_small(2., SIZE, SIZE).masks.shape == (2, *SIZE)


def test_checks(target):
    target.check(SIZE, 'abc', 'a.jpg')
    with pytest.raises(ValueError, match='^a.jpg: 3 masks of 30x20 for 3 boxes of a 40x20 image'):
        target.check((20, 40), 'abc', 'a.jpg')
    with pytest.raises(ValueError, match=r'with_mask=True'):
        target.joined(BoxTarget(LABELS, BOXES))


def test_coco_entries(target):
    """Objects without a pixel are left out; areas are those of the masks."""
    from pycocotools import mask as coco
    first, second = target.coco_entries(SIZE)
    assert (first['label'], first['bbox'], first['area']) == (2, [3, 4, 7, 5], 34)
    assert (second['label'], second['area']) == (1, 259)
    assert np.array_equal(coco.decode(second['segmentation']), masks()[1])
    with pytest.raises(ValueError, match='the masks are 30x20, their image 40x20'):
        target.coco_entries((20, 40))


def test_drawn(target):
    """Kept masks are 45 % of their colour, asked ones an outline."""
    image = np.full((*SIZE, 3), 100, np.uint8)
    plain = draw_tile(Tile(image, target.select([0, 1])), 'abc', 30).astype(int)
    mixed = [round(.55 * 100 + .45 * c) for c in class_colour(1)]
    assert np.abs(plain[15, 20] - mixed).max() <= 1 and plain[2, 3].tolist() == [100] * 3
    asked = draw_tile(Tile(image, asked=target), 'abc', 30).astype(int)
    assert asked[4, 5].tolist() == [255] * 3 and asked[6, 6].tolist() == [100] * 3


def test_parts_of_a_sample(target):
    sample = DistilledSample(DistillSlot(0, 1, SIZE, target=target), target=target)
    sample.labels = LABELS + 1
    assert isinstance(sample.target, InstanceTarget) and sample.labels.tolist() == [3, 2, 1]
    assert sample.slot.labels.tolist() == [2, 1, 0]
