"""Command lines of evaluation and training: a run each, and errors of one line."""
import os.path as osp
import runpy
import sys

import pytest
import toy_student
from mmengine.config import Config

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))


def run(tool, *argv):
    """Run a tool in this process; what it exits with (None if it does not)."""
    old = sys.argv
    sys.argv = [tool, *map(str, argv)]
    try:
        runpy.run_path(osp.join(ROOT, 'tools', tool), run_name='__main__')
    except SystemExit as stop:
        return stop.code
    finally:
        sys.argv = old


@pytest.fixture
def protocol(tmp_path):
    path = tmp_path / 'toy_protocol.py'
    Config(toy_student.protocol(tmp_path / 'real')).dump(str(path))
    return path


def test_evaluate(protocol, tmp_path, capsys):
    folder = toy_student.voc_set(tmp_path / 'a', [1])
    assert run('evaluate.py', protocol, '--sets', f'a={folder}', '--full', '--seeds', 0, 1,
               '--jobs', 0, '--work-dir', tmp_path / 'w') is None
    table = (tmp_path / 'w' / 'results.md').read_text()
    assert '| a | 1 | 4 | 0 | 2 | 100.0 ± 0.0 | 100.0 ± 0.0 |' in table
    assert '| Full * | 3 | 6 |' in table
    assert 'a: 1 images, 4 updates of batch 1, SGD lr 1' in capsys.readouterr().out


@pytest.mark.parametrize('arguments, message', [
    ([], 'nothing to evaluate'),
    (['--sets', 'folder'], '--sets folder: write NAME=FOLDER'),
    (['--sets', 'a=x', 'a=y'], "the name 'a' is given twice"),
    (['--sets', 'a=nowhere'], 'set folder nowhere not found'),
])
def test_evaluate_with_bad_input(protocol, tmp_path, arguments, message):
    error = run('evaluate.py', protocol, *arguments, '--work-dir', tmp_path / 'w')
    assert isinstance(error, str) and message in error and '\n' not in error


def test_evaluate_without_a_protocol():
    error = run('evaluate.py', 'configs/_base_/proxies/faster-rcnn_digits.py', '--full')
    assert 'has neither a field protocol' in error and '\n' not in error
    assert 'nowhere.py not found' in run('evaluate.py', 'nowhere.py', '--full')


def test_train(tmp_path, protocol):
    work_dir = tmp_path / 'w'
    assert run('train.py', protocol, '--work-dir', work_dir, '--cfg-options',
               'train_cfg.max_iters=2') is None
    assert osp.isfile(work_dir / 'iter_2.pth')
    assert run('train.py', protocol, '--work-dir', work_dir, '--resume') is None
    assert osp.isfile(work_dir / 'iter_4.pth')


def test_train_with_bad_input(tmp_path, protocol):
    assert 'nowhere.py not found' in run('train.py', 'nowhere.py')
    error = run('train.py', protocol, '--work-dir', tmp_path / 'w', '--resume', 'lost.pth')
    assert 'cannot resume: lost.pth not found' in error and '\n' not in error
