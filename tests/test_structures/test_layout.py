"""What layouts show."""
import numpy as np

from mmdd.structures import RealAnnotation, decode_mask, encode_mask


def test_what_methods_from_outside_read_of_a_layout():
    mask = np.array([[0, 1], [255, 1]], np.uint8)
    seen = RealAnnotation('a', 'a.png', (2, 2), np.array([1]), mask_png=encode_mask(mask))
    assert decode_mask(seen.mask_png).tolist() == mask.tolist() == seen.mask.tolist()
    assert seen.scaled_mask((4, 2)).tolist() == np.repeat(mask, 2, 0).tolist()
    boxed = RealAnnotation('b', 'b.png', (10, 20), np.array([3]), np.array([[2., 1., 12., 6.]]))
    assert boxed.scaled_bboxes((20, 20)).tolist() == [[2., 2., 12., 12.]]
    assert boxed.mask_png is None and boxed.scaled_mask((20, 20)) is None
