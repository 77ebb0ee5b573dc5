"""The sdist holds the whole project, and the wheel all that an installed mmdd needs."""
import os
import os.path as osp
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser

import pytest

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
FOLDERS = ('mmdd', 'configs', 'tools', 'projects', 'docker', 'docs', 'tests', 'requirements')
FILES = ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'model-index.yml', 'README.md', 'LICENSE',
         'CHANGELOG.md', 'Makefile', 'requirements.txt')
LEFTOVERS = shutil.ignore_patterns('__pycache__', '*.pyc', '.mim', '.DS_Store')

pytestmark = pytest.mark.slow


def files_below(folder):
    """All files of a folder, relative to it."""
    return {osp.relpath(osp.join(base, name), folder)
            for base, _, names in os.walk(folder) for name in names}


def build(what, source, target):
    """Build with setuptools, as ``python -m build --no-isolation`` does; the path of the file."""
    code = ('import sys; from setuptools import build_meta; '
            f'print(build_meta.build_{what}(sys.argv[1]))')
    done = subprocess.run([sys.executable, '-c', code, str(target)], cwd=source, text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return osp.join(target, done.stdout.split()[-1])


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    """A copy of the project without what git ignores."""
    folder = tmp_path_factory.mktemp('tree')
    for name in FOLDERS:
        shutil.copytree(osp.join(ROOT, name), folder / name, ignore=LEFTOVERS)
    for name in FILES:
        shutil.copy2(osp.join(ROOT, name), folder)
    return folder


@pytest.fixture(scope='module')
def sdist(tree, tmp_path_factory):
    """The unpacked source distribution."""
    folder = tmp_path_factory.mktemp('sdist')
    before = files_below(tree)
    with tarfile.open(build('sdist', tree, folder)) as archive:
        archive.extractall(folder, filter='data')
    (unpacked, ) = (entry for entry in folder.iterdir() if entry.is_dir())
    return unpacked, before


@pytest.fixture(scope='module')
def installed(sdist, tmp_path_factory):
    """What the wheel made of the sdist puts into site-packages."""
    folder = tmp_path_factory.mktemp('wheel')
    site = folder / 'site'
    with zipfile.ZipFile(build('wheel', sdist[0], folder)) as archive:
        archive.extractall(site)
    return site


def run(installed, cwd, *command):
    """Run Python in a folder with nothing but the installed mmdd; its output."""
    done = subprocess.run([sys.executable, *command], cwd=cwd, text=True, capture_output=True,
                          env=dict(os.environ, PYTHONPATH=str(installed), OMP_NUM_THREADS='1'))
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_sdist_holds_every_file(sdist):
    unpacked, source = sdist
    assert {'docs/guidance.md', 'projects/README.md', 'tests/test_packaging.py',
            'requirements/mminstall.txt', 'configs/benchmarks/digits.yml'} <= source
    assert source - files_below(unpacked) == set()


def test_the_wheel_holds_the_package_and_what_it_reads(installed, tree):
    assert files_below(tree / 'mmdd') - files_below(installed / 'mmdd') == set()
    shipped = installed / 'mmdd/.mim'
    assert sorted(os.listdir(shipped)) == ['configs', 'model-index.yml', 'projects', 'tools']
    for name in ('configs', 'projects', 'tools'):
        assert files_below(shipped / name) == files_below(tree / name)
    assert not any((installed / name).exists() for name in FOLDERS if name != 'mmdd')


def test_everything_that_a_suite_names_is_in_the_wheel(installed):
    shipped = installed / 'mmdd/.mim'
    suites = list((shipped / 'configs/benchmarks').glob('*.yml'))
    named = {path for suite in suites for path in re.findall(r'[\w./-]+\.py', suite.read_text())}
    assert len(suites) >= 10 and any(path.startswith('projects/') for path in named)
    assert [path for path in named if not (shipped / path).is_file()] == []


def test_the_wheel_states_command_and_extras(installed):
    (info, ) = installed.glob('mmdd-*.dist-info')
    scripts = (info / 'entry_points.txt').read_text()
    assert '[console_scripts]\nmmdd = mmdd.__main__:main' in scripts
    metadata = Parser().parsestr((info / 'METADATA').read_text())
    needs = metadata.get_all('Requires-Dist')
    plain = {re.match(r'[\w-]+', line)[0] for line in needs if 'extra ==' not in line}
    assert {'torch', 'diffusers', 'mmengine'} <= plain and 'mmcv' not in plain
    extras = {extra: {re.match(r'[\w-]+', line)[0] for line in needs
                      if f'extra == "{extra}"' in line.replace("'", '"')}
              for extra in metadata.get_all('Provides-Extra')}
    assert extras['mim'] == {'mmcv', 'mmdet', 'mmpretrain', 'mmsegmentation'}
    assert {'albumentations', 'openai', 'peft'} <= extras['optional']
    assert extras['all'] == extras['mim'] | extras['optional'] | extras['tests']


READ = """
from mmengine.config import Config
import mmdd
from mmdd.utils.config import load_config
from mmengine.hub import get_config
for name in 'unidd/faster-rcnn_voc_1pct.py', 'coreset/random_faster-rcnn_voc_0.5pct.py':
    name = f'mmdd::{name}'
    for cfg in get_config(name), Config.fromfile(name), load_config(name):
        print(cfg.filename, cfg.model.type)
print(load_config('projects/cao2_selection/convnet_digits_ipc10.py').model.type)
"""
# In the same process: what it has imported takes long.
HELP = """
import contextlib, runpy, sys
for arguments in ['--help'], ['benchmark', '--help']:
    print('=====')
    sys.argv = ['mmdd', *arguments]
    with contextlib.suppress(SystemExit):
        runpy.run_module('mmdd', run_name='__main__', alter_sys=True)
"""


def test_an_installed_mmdd_works_in_an_empty_folder(installed, tmp_path):
    read, commands, benchmark = run(installed, tmp_path, '-c', READ + HELP).split('=====\n')
    lines = read.splitlines()
    configs = installed / 'mmdd/.mim/configs'
    assert lines[:3] == [f'{configs}/unidd/faster-rcnn_voc_1pct.py UniDD'] * 3
    assert lines[3:6] == [f'{configs}/coreset/random_faster-rcnn_voc_0.5pct.py RandomCoreset'] * 3
    assert len(lines) == 7
    assert '\n  benchmark ' in commands and 'usage: benchmark.py ' in benchmark
