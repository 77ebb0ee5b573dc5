import json
import math

import numpy as np
import pytest

from mmdd.engine.journal import Journal
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.io import atomic_write_json, strict_json
from mmdd.utils.state import load_state, write_state


def refuse(name):
    raise AssertionError(f'{name} is not JSON')


def test_numbers_that_are_not_finite_are_null_and_counted(tmp_path):
    value = dict(a=math.nan, b=[1., (math.inf, 2)], f='x',
                 c=dict(d=-math.inf, e=np.float64('nan')))
    atomic_write_json(str(tmp_path / 'a.json'), value)
    found = json.loads((tmp_path / 'a.json').read_text(), parse_constant=refuse)
    assert found == dict(a=None, b=[1., [None, 2]], c=dict(d=None, e=None), f='x', non_finite=4)
    assert math.isnan(value['a'])


@pytest.mark.parametrize('value', [dict(a=1, b=[.5, True, None]), [1, 'NaN'], 'x'])
def test_finite_values_stay_as_they_are(value):
    assert json.loads(strict_json(value), parse_constant=refuse) == value
    assert strict_json([math.nan]) == '[null]'


def test_statistics_of_a_sample_count_their_nulls(tmp_path):
    journal = Journal(str(tmp_path / 'set'))
    journal.open(dict(fingerprint='x'), resume=False)
    slot = DistillSlot(0, 0, (8, 8), np.array([1]))
    journal.write(DistilledSample(slot, np.zeros((8, 8, 3), np.uint8), labels=slot.labels,
                                  stats=dict(own=math.nan, other=2)))
    text = (tmp_path / 'set/_job/attempts/000000_r0.json').read_text()
    expected = dict(own=None, other=2, non_finite=1)
    assert json.loads(text, parse_constant=refuse)['stats'] == expected
    assert journal.load_sample(slot, (0, 0)).stats == expected


def test_a_failed_attempt_has_a_reason_and_no_image(tmp_path):
    journal = Journal(str(tmp_path / 'set'))
    journal.open(dict(fingerprint='x'), resume=False)
    sample = DistilledSample(DistillSlot(0, 0, (8, 8), np.array([1])),
                             np.zeros((8, 8, 3), np.uint8), labels=np.array([4]))
    sample.fail('black')
    journal.write(sample)
    found = journal.load_sample(sample.slot, (0, 0))
    assert (found.failure, found.accepted, found.image) == ('black', False, None)
    assert found.labels.tolist() == [1]


def test_the_checksum_is_of_what_is_written(tmp_path):
    path = str(tmp_path / 'a.json')
    write_state(path, dict(seconds=math.nan, n=1))
    assert load_state(path) == dict(seconds=None, n=1, non_finite=1)
