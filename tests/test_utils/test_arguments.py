"""Arguments of the command lines."""
import argparse

import pytest

from mmdd.utils.arguments import CfgOptions, ToolParser, real, seed, whole


@pytest.fixture
def parser():
    parser = ToolParser()
    parser.add_argument('--sets', type=whole(1))
    parser.add_argument('--seeds', type=seed, nargs='+')
    parser.add_argument('--lr', type=real(above=0))
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions)
    return parser


def test_sound_arguments(parser):
    args = parser.parse_args('--sets 2 --seeds 0 4294967295 --lr 1e-3 --cfg-options a.b=1 c=x=y'
                             .split())
    assert vars(args) == dict(sets=2, seeds=[0, 2**32 - 1], lr=1e-3,
                              cfg_options={'a.b': 1, 'c': 'x=y'})


@pytest.mark.parametrize('line, words', [
    ('--sets 0', 'argument --sets: must be a whole number, at least 1, got 0'),
    ('--sets 1.5', "--sets: must be a whole number, at least 1, got '1.5'"),
    ('--seeds 1 -1', '--seeds: must be a whole number, at least 0 and at most 4294967295, got -1'),
    ('--lr nan', '--lr: must be a finite number, above 0, got nan'),
    ('--cfg-options model.seed', "--cfg-options: write KEY=VALUE, got 'model.seed'"),
    ('--cfg-options a.b=[dict(type="X",c=0.)]',
     '--cfg-options: the value of a.b cannot be read: write lists of plain values as [a,b]'),
    ('--colour red', 'unrecognized arguments: --colour red'),
])
def test_bad_arguments_are_one_line(parser, line, words):
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(line.split())
    assert stop.value.code == f'error: {words} (--help shows the usage)' or (
        words in stop.value.code and '\n' not in stop.value.code)


def test_types_raise_what_argparse_reads():
    with pytest.raises(argparse.ArgumentTypeError, match='^must be a whole number, at least 3'):
        whole(3)('2')
