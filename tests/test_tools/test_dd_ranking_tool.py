"""The command line of DD-Ranking on the toy student, whose scores are known."""
import json

import pytest
import run_tool
import toy_student
from mmengine.config import Config

from mmdd.utils import pool


@pytest.mark.slow
def test_scores_of_the_toy_student(tmp_path, monkeypatch, capsys):
    """The set reaches 1, random images 0.5, the full set 0: LRS and ARS are at their maximum.

    All in this process, as ``--jobs 0`` asks.
    """
    monkeypatch.setattr(pool, 'worker_context', None)
    real = toy_student.protocol(tmp_path / 'real')
    real['protocol']['full'] = {}
    real['train_cfg']['max_iters'] = real['train_cfg']['val_interval'] = 2
    toy_student.voc_set(tmp_path / 'real', [2], 'train')
    toy_student.voc_set(tmp_path / 'real', [1], 'test')
    protocol = str(tmp_path / 'protocol.py')
    real['custom_imports'] = dict(imports=['toy_student'], allow_failed_imports=False)
    Config(real).dump(protocol)
    mine = toy_student.voc_set(tmp_path / 'mine', [1])
    random = toy_student.voc_set(tmp_path / 'random', [2])
    assert not run_tool.run(
        'analysis_tools/dd_ranking.py', '--sets', f'mine={mine}', '--random', random,
        '--hard', protocol, '--soft', protocol, '--noaug', protocol, '--seeds', '0', '--jobs', '0',
        '--no-lr-grid', '--work-dir', tmp_path / 'work')
    with open(tmp_path / 'work' / 'scores.json') as f:
        scores = json.load(f)['mine']
    assert scores['LRS']['mean'] == 1 and scores['ARS']['mean'] == 1
    out = capsys.readouterr().out
    assert '100.0' in out and 'LRS' in out
