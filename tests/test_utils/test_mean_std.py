"""Means and deviations, their difference, their text."""
import math

import pytest

from mmdd.utils.mean_std import MeanStd


def test_mean_and_sample_deviation():
    values = (2., 4., 4., 4., 5., 5., 7., 9.)
    assert MeanStd.of(values) == MeanStd(5., pytest.approx(math.sqrt(32 / 7)))
    assert math.isnan(MeanStd.of([3., math.nan]).std) and math.isnan(MeanStd.of([math.nan]).mean)
    assert MeanStd.of([3.]) == MeanStd(3.) and MeanStd(3.).text == '3.0'
    assert MeanStd(7., 3.) - MeanStd(5., 4.) == MeanStd(2., 5.)
    assert MeanStd(7., 3.) - MeanStd(5.) == MeanStd(2.)
    assert MeanStd(.5, .25).scaled(100).text == '50.0 ± 25.0'
