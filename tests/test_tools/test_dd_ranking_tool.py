"""DD-Ranking on the toy student, whose scores are known: what it trains, and its command line."""
import json

import dd_ranking
import pytest
import run_tool
import toy_student
from dd_ranking import rank_protocols
from mmengine.config import Config

from mmdd.protocols.protocol import read_protocol
from mmdd.protocols.results import Run
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


def test_the_full_set_is_trained_once_or_known(tmp_path, monkeypatch):
    """Its seeds and rates would cost more than all the others."""
    asked = []

    def train(methods, protocol, work_dir, seeds, jobs=None, lr_grid=None):
        asked.append((tuple(methods), tuple(seeds), lr_grid))
        return [Run(method, method, seed, last=dict(top1=50.))
                for method in methods for seed in seeds]

    monkeypatch.setattr(dd_ranking, 'evaluate_sets', train)
    monkeypatch.setattr(dd_ranking, 'labels_are_soft', lambda protocol: False)
    rank_protocols(dict(A='a'), 'r', 'hard', 'soft', str(tmp_path), 'bare', (0, 1))
    both = ('A', 'random real images')
    assert asked == [(both, (0, 1), dd_ranking.LR_GRID)] * 3 + [
        (('full real set', ), (0, ), None)]
    asked.clear()
    found = rank_protocols(dict(A='a'), 'r', 'hard', 'soft', str(tmp_path), seeds=(0, ), full=80.)
    assert len(asked) == 2 and found['A'].values['HLR'].mean == pytest.approx(0.3)
    with pytest.raises(ValueError, match='in percent, 0 to 100, got 101'):
        rank_protocols(dict(A='a'), 'r', 'hard', 'soft', str(tmp_path), full=101.)


@pytest.mark.parametrize('name, soft', [('cls_digits', False), ('cls_digits_soft', True),
                                        ('cls_digits_noaug', False)])
def test_which_labels_a_protocol_has(name, soft):
    assert dd_ranking.labels_are_soft(f'configs/_base_/protocols/{name}.py') == soft


@pytest.mark.parametrize('name', [
    ['configs/_base_/models/convnet3.py', 'configs/_base_/datasets/cifar10_cls.py',
     'configs/_base_/protocols/dc_dsa_noaug.py'], 'configs/_base_/protocols/cls_digits_noaug.py'])
def test_protocols_without_augmentation(name):
    """Only what is augmented differs from the protocol that they stand beside."""
    cfg = read_protocol(name)
    steps = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert not {'RandomCrop', 'ColorJitter', 'RandomFlip', 'mmdd.RandomAffine',
                'mmdd.RandomChannels'} & set(steps)
    assert not (cfg.model.get('train_cfg') or {}).get('augments')
    last = name[-1] if isinstance(name, list) else name
    other = read_protocol(name[:-1] + [last.replace('_noaug', '')] if isinstance(name, list)
                          else last.replace('_noaug', ''))
    for key in ('optim_wrapper', 'param_scheduler', 'train_cfg', 'test_dataloader', 'protocol'):
        assert cfg[key] == other[key]


def test_protocols_are_run(tmp_path):
    """The toy student reaches 1 minus its error: set 1, random images 0.5, full set 0."""
    real = toy_student.protocol(tmp_path / 'real')
    real['protocol']['full'] = {}
    real['train_cfg']['max_iters'] = real['train_cfg']['val_interval'] = 2
    toy_student.voc_set(tmp_path / 'real', [2], 'train')
    toy_student.voc_set(tmp_path / 'real', [1], 'test')
    sets = dict(mine=toy_student.voc_set(tmp_path / 'mine', [1]))
    random = toy_student.voc_set(tmp_path / 'random', [2])
    scores = rank_protocols(sets, random, real, real, str(tmp_path / 'work'), noaug=real,
                            seeds=(0, ), jobs=0, lr_grid=None)['mine']
    # HLR = 0 - 1, IOR = 1 - 0
    assert scores.values['LRS'].mean == 1 and scores.values['ARS'].mean == 1
    assert scores.values['HLR'].mean == -1 and scores.values['IOR'].mean == 1
