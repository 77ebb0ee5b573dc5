"""A protocol in words: what all students share, and what each method has of its own."""
import toy_student
from mmengine.config import Config

from mmdd.protocols.protocol import read_protocol, student_config
from mmdd.protocols.settings import (
    MethodSettings,
    describe_student,
    protocol_settings,
)
from mmdd.protocols.student import plan_runs


def described(tmp_path, **changes):
    cfg = read_protocol(toy_student.protocol(tmp_path / 'real'))
    cfg.merge_from_dict(changes)
    return describe_student(student_config(cfg, toy_student.voc_set(tmp_path / 'a', [1]), 0))


def test_a_plain_student(tmp_path):
    found = described(tmp_path, param_scheduler=[
        dict(type='MultiStepLR', milestones=[2, 3], gamma=0.1, by_epoch=False)])
    assert found['optimizer'] == 'SGD lr 1' and found['length'] == '4 updates'
    assert found['schedule'] == 'MultiStepLR milestones [2, 3] gamma 0.1 by update'
    assert found['select'] == 'by the validation split'
    assert found['validation'] == 'every 2 updates'
    assert (found['loss'], found['teacher'], found['mixing'], found['input']) == (
        'hard', None, None, None)


def test_pipeline_mixing_and_teacher(tmp_path):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(48, 40)),
                dict(type='mmdet.RandomCrop', crop_size=32), dict(type='PackInputs')]
    found = described(tmp_path, **{
        'train_dataloader.dataset.pipeline': pipeline,
        'model': dict(
            _delete_=True, type='mmdd.SoftLabelClassifier', mix=dict(type='CutMix'),
            student=dict(type='ImageClassifier', backbone=dict(
                type='ResNet', depth=18, init_cfg=dict(type='Pretrained', checkpoint='w.pth'))),
            teacher=dict(cfg=dict(model=dict(type='ToyTeacher')), checkpoint='t.pth')),
        'protocol.select': 'test'})
    assert found['augmentation'] == 'Resize, RandomCrop' and found['input'] == '32 x 32'
    assert found['model'] == 'ImageClassifier (ResNet-18)' and found['mixing'] == 'CutMix'
    assert found['teacher'] == 'ToyTeacher, t.pth' and found['loss'] == 'soft'
    assert found['starts_from'] == 'w.pth' and 'optimistic' in found['select']


def test_methods_tell_what_differs(tmp_path):
    real = toy_student.protocol(tmp_path / 'real')
    sets = dict(a=toy_student.voc_set(tmp_path / 'a', [1, 2]), Full='full')
    settings = protocol_settings(plan_runs(sets, real, str(tmp_path), (0, 1)), 'detection')
    assert settings.methods == dict(a=MethodSettings(2, 4, dict(length='4 updates')),
                                    Full=MethodSettings(3, 6, dict(length='6 updates')))
    assert 'length' not in settings.shared
    lines = settings.shared_lines
    assert lines[0] == 'task: detection' and 'batch size: 1' in lines
    assert not any('teacher' in line for line in lines)
    assert settings.methods['a'].line('a', 3) == (
        'a: 3 sets of 2 images, 4 updates, length 4 updates')
    assert settings.lines[-2] == 'a: 2 images, 4 updates, length 4 updates'
    assert MethodSettings().line('b') == 'b: ? images, ? updates'


def test_an_epoch_based_student(tmp_path):
    cfg = Config(toy_student.protocol(tmp_path / 'real'))
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=5)
    cfg.protocol.full = {}
    folder = toy_student.voc_set(tmp_path / 'a', [1, 2, 3])
    run, = plan_runs(dict(a=folder), cfg, str(tmp_path), (0, ))
    settings = protocol_settings([run], 'detection')
    assert settings.shared['length'] == '5 epochs'
    assert settings.methods['a'] == MethodSettings(3, 15)
