"""tools/relabel.py: a run, what it prints first, and errors of one line."""
import os.path as osp
import runpy
import sys

import pytest
import soft_sets
import tiny
from mmengine.config import Config

from mmdd.datasets.soft_labels import SoftLabelStore
from mmdd.engine.train_job import ensure_checkpoint

TOOL = osp.join(osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__)))), 'tools',
                'relabel.py')


def run(*argv):
    """Run the tool in this process; what it exits with (None if it does not)."""
    old, sys.argv = sys.argv, [TOOL, *map(str, argv)]
    try:
        runpy.run_path(TOOL, run_name='__main__')
    except SystemExit as stop:
        return stop.code
    finally:
        sys.argv = old


@pytest.fixture
def files(digits, tmp_path):
    """Model and dataset, protocol, and options as config files; and a set."""
    job = tiny.classifier_job(digits)
    teacher = dict(cfg=job, checkpoint=ensure_checkpoint(job, str(tmp_path / 'teacher.pth')))
    base, protocol, options = soft_sets.parts(
        digits, 'fkd_soft', epochs=3, teacher=teacher, batch_size=4)
    paths = [tmp_path / 'base.py', protocol, tmp_path / 'options.py']
    Config(base).dump(str(paths[0]))
    Config(options).dump(str(paths[2]))
    return paths, soft_sets.digit_set(digits, tmp_path / 'ten')


def test_relabel(files, tmp_path, capsys):
    paths, folder = files
    out = tmp_path / 'labels'
    command = (*paths, '--set', folder, '--out', out, '--cfg-options',
               'protocol.schedule.topk=2', 'protocol.schedule.epochs=2')
    assert run(*command, '--dry-run') is None
    told = capsys.readouterr().out
    assert told.endswith('x 39 bytes (10 classes in fp16, top 2 kept) = 0.0 MiB\n')
    assert not osp.exists(out)
    assert run(*command) is None
    store = SoftLabelStore(str(out))
    assert (store.epochs, store.settings['topk'], store.settings['images']) == (2, 2, 10)
    # 29 bytes of augmentation, 3 values and 2 classes in 2 bytes each
    text = capsys.readouterr().out
    size = text.index('10 images x 2 epochs x 39 bytes (10 classes in fp16, top 2 kept)')
    assert size < text.index(f'soft labels: {out}')
    assert store.info['bytes'] == 780
    assert run(*command) is None  # nothing left to do
    error = run(*paths, '--set', folder, '--out', out)
    assert 'differ in topk; give another folder' in error and '\n' not in error


def test_relabel_with_bad_input(files, tmp_path):
    paths, folder = files
    out = ('--out', tmp_path / 'labels')
    assert 'set folder nowhere not found' in run(*paths, '--set', 'nowhere', *out)
    hard = [*paths[:1], 'configs/_base_/protocols/idc_hard.py']
    assert 'its schedule must be FKDSchedule' in run(*hard, '--set', folder, *out)
    assert 'nowhere.py not found' in run('nowhere.py', '--set', folder, *out)
    assert not osp.exists(tmp_path / 'labels')
