"""A student that is killed and resumed: the result of one that was not."""
import os.path as osp

import pytest
import soft_sets
import torch
import toy_student
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmdd.engine.hooks import resume_hook
from mmdd.models.students.soft_label_classifier import SoftLabelClassifier  # noqa: F401
from mmdd.protocols.protocol import read_protocol
from mmdd.protocols.student import plan_runs
from mmdd.protocols.training import train_student
from mmdd.utils.checkpoint import read_checkpoint


@HOOKS.register_module()
class Killer(Hook):
    """Ends the process, so to say, after so many updates."""
    armed = False

    def __init__(self, at):
        self.at = at

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if Killer.armed and runner.iter + 1 == self.at:
            raise KeyboardInterrupt


def by_epochs(digits):
    """Crops, flips, CutMix and validations: everything that draws random numbers."""
    base, name, options = soft_sets.parts(digits, 'idc_hard', epochs=dict(table={'1': 6}),
                                          validations=3)
    return [base, name, options, dict(train_dataloader=dict(batch_size=4))]


def by_updates(digits):
    """The same, with a sampler that never ends and gradients of two batches."""
    return by_epochs(digits)[:2] + [dict(
        protocol=dict(schedule=None), log_level='WARNING',
        train_cfg=dict(_delete_=True, type='IterBasedTrainLoop', max_iters=18, val_interval=4),
        param_scheduler=[dict(type='CosineAnnealingLR', T_max=18, by_epoch=False)],
        optim_wrapper=dict(accumulative_counts=2),
        default_hooks=dict(checkpoint=dict(by_epoch=False, interval=6)),
        **{f'{split}_dataloader': dict(num_workers=0, persistent_workers=False)
           for split in ('train', 'val', 'test')}),
        dict(train_dataloader=dict(batch_size=4, sampler=dict(
            _delete_=True, type='InfiniteSampler', shuffle=True)))]


def run_of(protocol, folder, work_dir, at):
    cfg = read_protocol(protocol)
    cfg.custom_hooks = [dict(type='Killer', at=at)]
    cfg.protocol.select = 'test'
    run, = plan_runs(dict(a=folder), cfg, str(work_dir), [3])
    return run


def outcome(run):
    result = train_student(run)
    last = read_checkpoint(osp.join(run.work_dir, open(
        osp.join(run.work_dir, 'last_checkpoint')).read()))
    return {k: v for k, v in result.items() if 'seconds' not in k}, last['state_dict']


@pytest.mark.parametrize('protocol, at', [(by_epochs, 11), (by_updates, 11)])
def test_a_killed_student_goes_on(digits, tmp_path, monkeypatch, protocol, at):
    monkeypatch.setattr(resume_hook, 'EVERY', 0.)
    folder = soft_sets.digit_set(digits, tmp_path / 'ten')
    whole, weights = outcome(run_of(protocol(digits), folder, tmp_path / 'whole', at))
    run = run_of(protocol(digits), folder, tmp_path / 'part', at)
    monkeypatch.setattr(Killer, 'armed', True)
    with pytest.raises(KeyboardInterrupt):
        train_student(run)
    assert osp.isfile(run.resume_file) and not osp.isfile(run.result_file)
    begun = read_checkpoint(run.resume_file)
    assert begun['meta']['iter'] == dict(by_epochs=9, by_updates=10)[protocol.__name__]
    monkeypatch.setattr(Killer, 'armed', False)
    steps = []
    monkeypatch.setattr(Killer, 'before_train_iter', lambda self, runner, **_: steps.append(
        runner.iter), raising=False)
    again, same = outcome(run)
    assert steps[0] == begun['meta']['iter']  # not from the first one
    assert again == whole and again['updates'] in (18, 9)
    assert all(torch.equal(weights[key], same[key]) for key in weights)
    assert not osp.isfile(run.resume_file)


def test_a_short_training_writes_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(resume_hook.ResumeHook, '_save', lambda self, runner: 1 / 0)
    protocol = toy_student.protocol(tmp_path / 'real')
    run, = plan_runs(dict(a=toy_student.voc_set(tmp_path / 'a', [1])), protocol,
                     str(tmp_path / 'work'), [0])
    assert train_student(run)['last'] == dict(score=100.)
