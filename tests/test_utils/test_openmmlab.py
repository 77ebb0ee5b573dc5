"""A missing package of OpenMMLab ends in one line with the fix."""
import importlib.util
import os
import os.path as osp
import re
import subprocess
import sys
from importlib.machinery import ModuleSpec

import pytest

from mmdd.utils.openmmlab import REQUIREMENTS, MissingPackage, missing, require_openmmlab

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))


def test_the_requirements_are_those_of_the_files():
    lines = set()
    for name in ('mminstall', 'runtime'):
        with open(osp.join(ROOT, f'requirements/{name}.txt')) as f:
            lines |= {line.strip() for line in f if line.startswith('mm')}
    assert set(REQUIREMENTS.values()) == lines and len(REQUIREMENTS) == 5


def test_nothing_is_missing_here():
    assert missing() == {}
    assert require_openmmlab() is None


@pytest.fixture
def found(monkeypatch):
    """Specs that replace those of the installed packages; None is a missing one."""
    specs = {}
    original = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name, *args: (
        specs[name] if name in specs else original(name, *args)))
    monkeypatch.setattr(sys, 'excepthook', sys.excepthook)
    return specs


def test_a_missing_model_library_is_installed_as_it_is(found):
    found['mmseg'] = None
    with pytest.raises(MissingPackage) as caught:
        require_openmmlab()
    assert str(caught.value) == ("not installed: mmseg; the fix: pip install "
                                 "'mmsegmentation>=1.2.2,<1.3' (docs/install.md)")


def test_all_that_is_missing_is_one_command(found):
    found.update(dict.fromkeys(REQUIREMENTS))
    with pytest.raises(MissingPackage) as caught:
        require_openmmlab()
    text = str(caught.value)
    assert text.startswith('not installed: mmcv, mmdet, mmengine, mmpretrain, mmseg; the fix: ')
    assert text.count('pip install') == 2 and all(
        f"'{requirement}'" in text for requirement in REQUIREMENTS.values())


def test_mmcv_without_operators_is_told_from_a_missing_one(found, tmp_path):
    (tmp_path / '__init__.py').write_text('')
    found['mmcv'] = ModuleSpec('mmcv', None, origin=str(tmp_path / '__init__.py'))
    with pytest.raises(MissingPackage, match='without its operators .*pip uninstall -y mmcv'):
        require_openmmlab()
    (tmp_path / '_ext.cpython-311-x86_64-linux-gnu.so').write_text('')
    assert missing() == {}


HIDE = """
import importlib.util, runpy, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *args: None if name == 'mmcv' else find(name, *args)
"""
LINE = re.compile(
    r"error: not installed: mmcv; the fix: pip install 'setuptools<82' wheel ninja psutil, then "
    r"pip install --no-build-isolation 'mmcv>=2.0.0,<2.2.0' \(docs/install.md\)\n")


@pytest.mark.parametrize('what', [
    'import mmdd', "sys.argv = ['mmdd', '--help']; runpy.run_module('mmdd', run_name='__main__')",
    f"runpy.run_path({osp.join(ROOT, 'tools/distill.py')!r}, run_name='__main__')"])
def test_without_mmcv_there_is_one_line_and_no_traceback(what, tmp_path):
    done = subprocess.run([sys.executable, '-c', HIDE + what], cwd=tmp_path, text=True,
                          capture_output=True, env=dict(os.environ, PYTHONPATH=ROOT))
    assert done.returncode == 1 and done.stdout == ''
    assert LINE.fullmatch(done.stderr)
