"""Run-length codes: without loss, as pycocotools reads them."""
import numpy as np
import pytest

from mmdd.structures.rle import RunLengths


@pytest.mark.parametrize('num, size', [(0, (5, 7)), (1, (5, 7)), (4, (20, 3))])
def test_round_trip(num, size):
    masks = np.random.default_rng(num).random((num, *size)) > 0.5
    codes = RunLengths.encode(masks)
    assert len(codes) == num and codes.size == size
    assert np.array_equal(codes.decode(), masks) and codes.decode().dtype == bool
    assert codes.areas() == masks.sum((1, 2)).tolist()
    keep = np.arange(num) % 2 == 0
    assert np.array_equal(codes[keep].decode(), masks[keep])
    assert np.array_equal(codes[keep].joined(codes).decode(), np.concatenate([masks[keep], masks]))


def test_what_coco_files_hold():
    mask = np.zeros((2, 3), bool)
    mask[:, 1] = True
    entry, = RunLengths.encode(mask[None]).entries()
    assert entry == dict(size=[2, 3], counts='222')  # column by column: two off, on, off
