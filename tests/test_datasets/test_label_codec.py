"""How logits are packed: errors of the codes, what is kept of them, bytes."""
import numpy as np
import pytest

from mmdd.datasets.label_codec import (
    fill_logits,
    quantize,
    read_logits,
    row_type,
    settings_type,
)


def packed(logits, **settings):
    settings = dict(dict(num_classes=logits.shape[1], topk=None, temperature=20.), **settings)
    rows = np.zeros(len(logits), settings_type(settings))
    fill_logits(rows, logits, settings)
    return rows, np.stack([read_logits(row, logits.shape[1]) for row in rows])


@pytest.mark.parametrize('scale, shift', [(1., 0.), (30., -100.), (1e-3, 5.)])
def test_a_code_is_half_a_step_away_at_most(scale, shift):
    logits = np.random.default_rng(0).normal(shift, scale, (50, 200))
    rows, back = packed(logits, precision='int8')
    step = np.ptp(logits, axis=1) / 255
    assert rows['step'] == pytest.approx(step, rel=1e-3)
    error = np.abs(back - logits).max(1)
    rounding = 4 * np.finfo(np.float32).eps * np.abs(logits).max(1)
    assert (error <= step / 2 + rounding).all()
    # The bound is met, not just kept: 200 logits lie almost everywhere between codes.
    assert (error > 0.45 * step).all()
    ends = np.sort(back, 1)[:, [0, -1]]
    assert np.allclose(ends, np.sort(logits, 1)[:, [0, -1]], rtol=1e-5, atol=1e-6)


def test_equal_logits_stay_equal():
    codes, low, step = quantize(np.full((2, 5), 3.5))
    assert not codes.any() and (low == 3.5).all() and not step.any()
    assert (packed(np.full((2, 5), 3.5), precision='int8')[1] == 3.5).all()


def test_codes_of_the_largest_classes():
    logits = np.random.default_rng(1).normal(0, 4, (20, 30))
    rows, back = packed(logits, topk=5, precision='int8')
    exact = packed(logits, topk=5)[1]
    assert (np.abs(back - exact).max(1) <= rows['step'] / 2 + 4e-3).all()  # fp16: 2^-9 of 8
    for row, values in zip(rows, logits):
        assert set(row['classes']) == set(np.argsort(-values)[:5])


@pytest.mark.parametrize('topk, precision, augmented, size', [
    (None, 'fp16', True, 29 + 2 * 1000), (None, 'int8', True, 29 + 8 + 1000),
    (10, 'fp16', True, 29 + 2 * 11 + 2 * 10), (10, 'int8', True, 29 + 8 + 11 + 2 * 10),
    (None, 'fp16', False, 2 * 1000), (10, 'int8', False, 8 + 11 + 2 * 10)])
def test_bytes_of_a_row(topk, precision, augmented, size):
    assert row_type(1000, topk, precision, augmented).itemsize == size
    settings = dict(num_classes=1000, topk=topk, precision=precision)
    if not augmented:
        settings['regime'] = 'image'
    assert settings_type(settings) == row_type(1000, topk, precision, augmented)
