"""Steps of tools/setup_venv.py that need no installation."""
import importlib.metadata
import os.path as osp
import subprocess
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


def test_the_tested_torch_and_torchvision_belong_together(wheel, monkeypatch):
    """torchvision's minor version is torch's plus 15; its patch is torch's."""
    monkeypatch.undo()
    monkeypatch.syspath_prepend(TOOLS)
    from setup_steps.common import pins
    torch, vision = (tuple(map(int, pins()[name].split('.'))) for name in ('torch', 'torchvision'))
    assert vision == (torch[0] - 2, torch[1] + 15, torch[2])


def test_torchvision_is_imported_without_help():
    """In the versions that are tested, without what mmdd does for others."""
    torch, vision = (importlib.metadata.version(name) for name in ('torch', 'torchvision'))
    if torch.partition('+')[2] != vision.partition('+')[2] and 'cpu' in torch:
        pytest.skip('torch and torchvision are of different builds here')
    code = ('import torch, torchvision; '
            'print(torchvision.ops.nms(torch.zeros(2, 4), torch.ones(2), .5).tolist())')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.strip() == '[0, 1]', done.stderr[-500:]


@pytest.fixture
def steps(monkeypatch):
    """The step about mmcv's wheel."""
    monkeypatch.syspath_prepend(TOOLS)
    from setup_steps import mmcv_wheel
    yield mmcv_wheel
    for name in [name for name in sys.modules if name.partition('.')[0] == 'setup_steps']:
        del sys.modules[name]


@pytest.mark.parametrize('torch, wanted', [
    ('2.6.0', False), ('2.13.0+cpu', False), ('2.14.1+cu130', True), ('3.0.0', True)])
def test_which_torch_has_headers_in_cpp20(steps, torch, wanted):
    assert steps.needs_cpp20(f'cp311-torch{torch}-mmcv2.1.0') is wanted


def test_the_compiler_of_new_torch_takes_cpp20_whatever_setup_says(steps, tmp_path):
    if not steps.compiler():
        pytest.skip('no C++ compiler here')
    source = tmp_path / 'standard.cpp'
    source.write_text('static_assert(__cplusplus >= 202002L);\n')
    env = steps.build_env('cp311-torch2.14.1-mmcv2.1.0', str(tmp_path))
    command = ['-std=c++17', '-c', str(source), '-o', str(tmp_path / 'standard.o')]
    assert subprocess.run([steps.compiler(), *command], capture_output=True).returncode
    subprocess.run([env['CXX'], *command], check=True)
    assert env['NVCC_APPEND_FLAGS'] == '-std=c++20'
    assert 'NVCC_APPEND_FLAGS' not in steps.build_env('cp311-torch2.13.0-mmcv2.1.0', str(tmp_path))
