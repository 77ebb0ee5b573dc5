"""Dataclasses from plain data: nested ones, what is not finite, what does not fit."""
import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List, Optional

import pytest

from mmdd.utils.io import strict_json
from mmdd.utils.typed_json import from_json


@dataclass
class Inner:
    number: float
    name: Optional[str] = None


@dataclass
class Outer:
    items: List[Inner]
    named: Dict[str, Inner] = field(default_factory=dict)
    anything: Any = None
    flag: bool = False


def test_there_and_back():
    value = Outer([Inner(1.5), Inner(2, 'a')], dict(x=Inner(0.)), anything=[None, 'b'], flag=True)
    assert from_json(Outer, json.loads(json.dumps(asdict(value))), 'here') == value


def test_null_is_a_number_that_was_not_finite():
    content = json.loads(strict_json(asdict(Inner(math.inf))))
    del content['non_finite']
    found = from_json(Inner, content, 'here')
    assert math.isnan(found.number) and found.name is None


@pytest.mark.parametrize('node, words', [
    (5, 'here must be a dict with items, named, anything, flag, got 5'),
    (dict(items=[], named={}, anything=0, flag=0), 'here.flag must be True or False, got 0'),
    (dict(items=[], named={}, anything=0), 'here: flag is missing'),
    (dict(itms=[]), "here.itms: there is no such field; did you mean 'items'?"),
    (dict(items={}, named={}, anything=0, flag=True), 'here.items must be'),
    (dict(items=[1], named={}, anything=0, flag=True),
     'here.items[0] must be a dict with number, name, got 1'),
    (dict(items=[], named=dict(x=dict(number='1', name=None)), anything=0, flag=True),
     "here.named.x.number must be a number, got '1'")])
def test_what_does_not_fit(node, words):
    with pytest.raises(ValueError) as caught:
        from_json(Outer, node, 'here')
    assert words in str(caught.value) and '\n' not in str(caught.value)
