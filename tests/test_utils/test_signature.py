"""Types and ranges of settings, read from constructors, and methods of classes from outside."""
from typing import Any, Dict, List, Literal, Mapping, Optional, Sequence, Tuple, Union

import pytest
from mmengine.config import Config, ConfigDict

from mmdd.structures import BaseBudget
from mmdd.utils.signature import (
    check_overrides,
    check_value,
    describe,
    fits,
    limits_of,
    settings_of,
    shown,
)

NAN, INF = float('nan'), float('inf')


@pytest.mark.parametrize('hint, good, bad', [
    (int, [0, -3], [2.5, 2., True, 'a', None, [1]]),
    (float, [1, 2.5], [True, 'a', None]),
    (bool, [True], [0, 'yes', None]),
    (str, ['', 'a'], [1, None, ['a']]),
    (Optional[int], [1, None], ['a', 1.5]),
    (Literal['a', 1], ['a', 1], ['b', True, 2]),
    (Union[int, Tuple[int, int]], [3, (3, 4), [3, 4]], [(3, ), (3, 4, 5), (3, 'a'), 'a']),
    (Sequence[float], [(), [1, 2.5]], [1., 'ab', ['a']]),
    (Sequence, [[1], ()], ['a', 1]),
    (Sequence[dict], [[{}], (ConfigDict(a=1), )], [{}, ['a']]),
    (Mapping[str, int], [{}, dict(a=1)], [dict(a='b'), 'a', []]),
    (Dict[str, float], [dict(a=1)], [dict(a=None)]),
    (Union[str, Config], ['a', dict(a=1)], [5, []]),
    (int | None, [None, 2], ['a']),
    (Any, [None, 'a', 3, object()], []),
    (list, [[], ()], ['a', 2, {}]),
    (BaseBudget, ['a', {}, object()], [3, True]),
])
def test_values_fit_types(hint, good, bad):
    assert all(fits(value, hint) for value in good)
    assert not any(fits(value, hint) for value in bad)


@pytest.mark.parametrize('hint, limit, words', [
    (int, dict(low=1), 'a whole number, at least 1'),
    (float, dict(above=0, high=1), 'a number, above 0 and at most 1'),
    (Union[int, Tuple[int, int]], None, 'a whole number or 2 whole numbers'),
    (Optional[Sequence[float]], None, 'a list of numbers or None'),
    (str, ('a', 'b'), "one of 'a', 'b'"),
    (Union[str, dict, None], None, 'text or a dict or None'),
    (Mapping[str, int], None, 'a dict'),
])
def test_types_in_words(hint, limit, words):
    assert describe(hint, limit) == words


@pytest.mark.parametrize('value, hint, limit, words', [
    (2.5, int, dict(low=1), 'model.x must be a whole number, at least 1, got 2.5'),
    (NAN, float, None, 'model.x must be a finite number, got nan'),
    ([1., INF], Sequence[float], None, r'model.x\[1\] must be a finite number, got inf'),
    (dict(a=dict(b=NAN)), dict, None, 'model.x.a.b must be a finite number'),
    ([1, 0], List[int], dict(low=1), r'model.x\[1\] must be a whole number, at least 1, got 0'),
    ('c', str, ('a', 'b'), "model.x must be one of 'a', 'b', got 'c'"),
    ('x' * 200, int, None, r'got \'x+\.\.\.$'),
])
def test_bad_values_are_named(value, hint, limit, words):
    with pytest.raises(ValueError, match=words):
        check_value('model.x', value, hint, limit)


@pytest.mark.parametrize('key, value, hint', [
    ('backend.api_key', 'sk-1', None), ('backend.TOKEN', 'sk-1', int),
    ('backend', dict(api_key='sk-1'), str), ('backend', [dict(api_key='sk-1')], str)])
def test_keys_of_services_are_not_told(key, value, hint):
    with pytest.raises(ValueError) as info:
        check_value(key, value, hint)
    assert key in str(info.value) and 'sk-1' not in str(info.value)


def test_what_dicts_hold_is_left_out():
    assert shown({'type': None, 'lr': 1}) == "{'type': ..., 'lr': ...}"


def test_sound_values_pass():
    check_value('x', None, Optional[int], dict(low=1))
    check_value('x', None, Optional[str], ('a', ))
    check_value('x', (32, 64), Union[int, Tuple[int, int]], dict(low=8))
    check_value('x', dict(cfg=dict(a=INF)), dict)  # what a config of others means is theirs


class Base:
    limits = dict(size=dict(low=1), kind=('a', 'b'))

    def __init__(self, size: int, kind: str = 'a', names: Sequence[str] = None) -> None:
        pass


class Child(Base):
    limits = dict(size=dict(low=4))

    def __init__(self, *, depth: float = 1., **kwargs) -> None:
        super().__init__(**kwargs)


class Plain:
    pass


class Documented:
    """A class without hints.

    Args:
        scale (float, optional): How much.
        names (list[str] or str): Which.
        other (torch.Tensor): What.
    """

    def __init__(self, scale=None, names=(), other=None, bare=1):
        pass


def test_settings_are_found_through_the_bases():
    assert settings_of(Child) == dict(depth=float, size=int, kind=str,
                                      names=Optional[Sequence[str]])
    assert limits_of(Child) == dict(size=dict(low=4), kind=('a', 'b'))
    assert settings_of(Plain) == {} and limits_of(Plain) == {}


def test_a_function_of_any_names_has_no_settings():
    def build(**kwargs):
        pass

    assert settings_of(build) is None


def test_types_of_docstrings():
    found = settings_of(Documented)
    assert fits(None, found['scale']) and fits(1, found['scale'])
    assert not fits('a', found['scale'])
    assert fits('a', found['names']) and fits(['a'], found['names']) and not fits(
        3, found['names'])
    assert fits(3, found['other']) and fits('a', found['bare'])


class Renamed(BaseBudget):
    def resolve(self, images, classes, more=None):
        return 1


class Open(BaseBudget):
    def resolve(self, *args):
        return 1


class Short(BaseBudget):
    def resolve(self, num_images):
        return 1


class Greedy(BaseBudget):
    def resolve(self, num_images, num_classes, more):
        return 1


class Grandchild(Short):
    pass


class Still(BaseBudget):
    resolve = 3


@pytest.mark.parametrize('cls', [Renamed, Open, Still, Plain, BaseBudget])
def test_methods_that_can_be_called(cls):
    check_overrides('x', cls)


@pytest.mark.parametrize('cls, takes', [
    (Short, r'\(num_images\)'), (Grandchild, r'\(num_images\)'),
    (Greedy, r'\(num_images, num_classes, more\)')])
def test_methods_that_cannot_be_called(cls, takes):
    with pytest.raises(ValueError, match=(
            r'^train_cfg.budget: (Short|Greedy).resolve must take \(num_images, num_classes\), as '
            rf'BaseBudget says, but takes {takes}$')):
        check_overrides('train_cfg.budget', cls)
