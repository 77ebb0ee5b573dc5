"""Labels of slot and proxy together: closed forms, and a second count pixel by pixel."""
import numpy as np
import pytest

from mmdd.models.proxies.merging import (
    box_ious,
    mask_objects,
    merge_boxes,
    merge_masks,
    sure_objects,
)
from mmdd.structures import BoxTarget


def boxes(corners, labels):
    return BoxTarget(np.array(labels, np.int64), np.array(corners, np.float32).reshape(-1, 4))


def test_ious_against_mmdet():
    import torch
    from mmdet.structures.bbox import bbox_overlaps
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 30, (2, 7, 2, 2)).astype(np.float32)
    first, second = (np.concatenate([c.min(1), c.max(1)], 1) for c in corners)
    expected = bbox_overlaps(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    assert box_ious(first, second) == pytest.approx(expected, abs=1e-5)
    assert box_ious(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0]]


def test_merged_boxes():
    """Confirmed, contradicted, unseen, and overlapping by less than half."""
    slot = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [0, 20, 10, 30], [20, 20, 30, 30]])
    proxy = np.array([[1, 0, 10, 10], [20, 0, 29, 10], [26, 20, 36, 30], [40, 40, 45, 45]])
    merged = merge_boxes(boxes(slot, [1, 2, 3, 4]), boxes(proxy, [1, 9, 4, 5]))
    assert merged.labels.tolist() == [1, 9, 4, 5, 3, 4]
    assert merged.bboxes.tolist() == np.concatenate([proxy, slot[2:]]).tolist()
    assert merged.bboxes.dtype == np.float32 and merged.labels.dtype == np.int64


@pytest.mark.parametrize('width, kept', [(5, 0), (4.9, 1)])
def test_half_an_overlap_is_a_match(width, kept):
    merged = merge_boxes(boxes([[0, 0, 10, 10]], [1]), boxes([[0, 0, width, 10]], [2]))
    assert len(merged.labels) == 1 + kept


@pytest.mark.parametrize('slot, proxy', [(0, 2), (2, 0), (0, 0)])
def test_one_side_is_empty(slot, proxy):
    both = [[0, 0, 4, 4], [8, 8, 12, 12]]
    merged = merge_boxes(boxes(both[:slot], range(slot)), boxes(both[:proxy], range(proxy)))
    assert merged.bboxes.tolist() == both[:slot + proxy]
    assert merged.bboxes.shape == (slot + proxy, 4)


def test_objects_of_a_mask():
    """Eight neighbours hold an object together; another class does not."""
    mask = np.array([[1, 0, 2, 2],
                     [0, 1, 1, 0],
                     [255, 0, 0, 1],
                     [2, 0, 0, 0]], np.uint8)
    numbers, count = mask_objects(mask, [0, 255])
    groups = {frozenset(zip(*np.nonzero(numbers == n))) for n in range(1, count + 1)}
    assert count == 3 and groups == {
        frozenset({(0, 0), (1, 1), (1, 2), (2, 3)}), frozenset({(0, 2), (0, 3)}),
        frozenset({(3, 0)})}
    assert (numbers == 0).tolist() == np.isin(mask, [0, 255]).tolist()


def test_sure_objects_by_their_mean():
    mask = np.array([[1, 1, 0, 2, 2]], np.uint8)
    confidence = np.array([[.4, .6, 1., .6, .3]], np.float32)
    assert sure_objects(mask, confidence, .5, [0])[0].tolist() == [1, 1, 0, 0, 0]
    assert sure_objects(mask, confidence, .45, [0])[0].tolist() == [1, 1, 0, 2, 2]
    assert not sure_objects(mask, confidence, .6, [0]).any()


def merged_slowly(slot_mask, mask, sure, leave_out):
    """The definition, object by object."""
    merged, (numbers, count) = slot_mask.copy(), mask_objects(slot_mask, leave_out)
    for n in range(1, count + 1):
        own = numbers == n
        for m in set(sure[sure > 0].tolist()):
            other = sure == m
            if (own & other).sum() / (own | other).sum() >= .5:
                merged[own] = mask[own]
    merged[sure > 0] = mask[sure > 0]
    return merged


@pytest.mark.parametrize('seed', range(5))
def test_merged_masks_equal_their_definition(seed):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 4, (2, 6, 6)).astype(np.uint8)
    slot_mask, mask = (np.kron(one, np.ones((4, 4), np.uint8)) for one in coarse)
    same = rng.random(mask.shape) < .8
    mask = np.where(np.kron(rng.random((6, 6)) < .6, np.ones((4, 4))) * same > 0, slot_mask, mask)
    slot_mask[0, :5] = 255
    sure = sure_objects(mask, rng.random(mask.shape), .5, [0, 255])
    merged = merge_masks(slot_mask, mask, sure, [0, 255])
    assert sure.any() and not np.array_equal(merged, slot_mask) and merged.dtype == np.uint8
    assert np.array_equal(merged, merged_slowly(slot_mask, mask, sure, [0, 255]))
    nothing = np.zeros_like(sure)
    assert np.array_equal(merge_masks(slot_mask, mask, nothing, [0, 255]), slot_mask)
