"""Steps of tools/setup_venv.py that need no installation."""
import os.path as osp
import sys

import pytest

TOOLS = osp.join(osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__)))), 'tools')


@pytest.fixture
def wheel(monkeypatch):
    """The step about torchvision; what it asks pip for and says is in ``calls``."""
    monkeypatch.syspath_prepend(TOOLS)
    from setup_steps import torchvision_wheel
    torchvision_wheel.calls = []
    monkeypatch.setattr(torchvision_wheel, 'pip',
                        lambda what, *args: torchvision_wheel.calls.append(args))
    monkeypatch.setattr(torchvision_wheel, 'say', torchvision_wheel.calls.append)
    monkeypatch.setattr(torchvision_wheel, 'pins', lambda: dict(torchvision='0.28.0'))
    yield torchvision_wheel
    for name in [name for name in sys.modules if name.partition('.')[0] == 'setup_steps']:
        del sys.modules[name]


def answers(wheel, monkeypatch, operators, torch):
    monkeypatch.setattr(wheel, 'ask', lambda code: operators if code == wheel.NMS else torch)


def test_a_torchvision_that_works_is_kept(wheel, monkeypatch):
    answers(wheel, monkeypatch, '', '2.13.0+cpu')
    wheel.match_torchvision()
    assert wheel.calls == []


def test_the_build_of_torchs_kind_is_asked_for(wheel, monkeypatch):
    answers(wheel, monkeypatch, None, '2.13.0+cpu')
    wheel.match_torchvision()
    assert wheel.calls == [
        ('install', '--no-deps', '--force-reinstall', 'torchvision==0.28.0+cpu')]


def test_without_such_a_build_the_setup_goes_on_and_says_so(wheel, monkeypatch):
    def no_wheel(*args):
        raise wheel.SetupError('No matching distribution')
    answers(wheel, monkeypatch, None, '2.13.0+cpu')
    monkeypatch.setattr(wheel, 'pip', no_wheel)
    wheel.match_torchvision()
    (line, ) = wheel.calls
    assert 'finds no torchvision 0.28.0+cpu' in line and 'the fix: ' in line and '\n' not in line
