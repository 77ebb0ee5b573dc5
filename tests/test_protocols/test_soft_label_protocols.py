"""Classification protocols end to end, on a few digits with a tiny network."""
import glob
import json
import os.path as osp

import numpy as np
import pytest
import soft_sets
import tiny
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import find_latest_checkpoint

from mmdd.apis import evaluate, train
from mmdd.datasets.soft_labels import SoftLabelStore
from mmdd.engine.train_job import ensure_checkpoint
from mmdd.models.students.label_settings import read_settings
from mmdd.models.students.teacher import Teacher
from mmdd.protocols.protocol import read_protocol, run_key, student_config
from mmdd.protocols.teacher import ensure_soft_labels, ensure_teacher, teacher_config
from mmdd.protocols.training import prepare_student
from mmdd.utils.progress import Progress
from mmdd.utils.runner import build_runner


@pytest.fixture(scope='module')
def teacher(digits, tmp_path_factory):
    job = tiny.classifier_job(digits)
    path = tmp_path_factory.mktemp('teacher') / 'teacher.pth'
    return dict(cfg=job, checkpoint=ensure_checkpoint(job, str(path)))


@pytest.fixture(scope='module')
def folder(digits, tmp_path_factory):
    return soft_sets.digit_set(digits, tmp_path_factory.mktemp('set') / 'ten')


@pytest.fixture
def options(teacher):
    """Schedules of two epochs."""
    return dict(
        idc_hard=dict(epochs=dict(table={'1': 2})), dc_dsa=dict(epochs=2, written_for=128),
        rded_soft=dict(epochs=2, teacher=teacher, first_validation=0.5),
        fkd_soft=dict(epochs=2, teacher=teacher, batch_size=4))


def student(digits, folder, name, options, seed=0):
    return student_config(
        read_protocol(soft_sets.parts(digits, name, **options[name])), folder, seed)


def weights(runner):
    return {name: value.clone() for name, value in runner.model.state_dict().items()}


@pytest.mark.parametrize('name, updates', [
    ('idc_hard', 2), ('dc_dsa', 3), ('rded_soft', 2), ('fkd_soft', 6)])
def test_a_protocol_trains(digits, folder, tmp_path, options, name, updates):
    """Stock training and test; the same seed gives the same weights."""
    found = []
    for run, seed in (('a', 0), ('b', 0), ('c', 1)):
        cfg = prepare_student(student(digits, folder, name, options, seed), str(tmp_path))
        runner = train(cfg, str(tmp_path / run))
        assert runner.iter == updates
        if name == 'fkd_soft':  # the second epoch reads its own labels
            assert runner.train_dataloader.sampler.epoch == 1
        found.append(weights(runner))
    first, same, other = found
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    assert 'backbone.conv1.weight' in first and not any('teacher' in key for key in first)
    cfg.load_from = find_latest_checkpoint(str(tmp_path / 'a'))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        assert 0 <= build_runner(cfg, str(tmp_path / 'test')).test()['accuracy/top1'] <= 100


def test_the_labels_are_those_of_the_teacher(digits, folder, tmp_path, options, teacher):
    """Replayed images, labelled again, give what is stored; and nothing depends on workers."""
    cfg = prepare_student(student(digits, folder, 'fkd_soft', options), str(tmp_path))
    labels = cfg.train_dataloader.dataset.labels
    assert osp.dirname(labels) == str(tmp_path / 'soft_labels')
    store = SoftLabelStore(labels)
    store.verify()
    assert store.epochs == 2 and store.settings['num_classes'] == 10
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
    network = Teacher(**teacher)
    for epoch in range(2):
        rows = store.rows(epoch)
        for position in range(10):
            item = dataset[epoch * 10 + position]
            image = item['inputs'].flip(0)[None] / 255
            again = network.logits(image)[0].numpy()
            assert np.allclose(again, rows[position]['logits'], atol=2e-3, rtol=2e-3)
            assert np.ptp(again) > 0.01


def test_labels_are_written_once(digits, folder, tmp_path, options, capsys):
    cfg = student(digits, folder, 'fkd_soft', options)
    first = prepare_student(cfg, str(tmp_path)).train_dataloader.dataset.labels
    index = osp.join(first, 'labels.json')
    begin = osp.getmtime(index)
    # Another student of the same set, teacher and settings reads the same labels.
    other = student(digits, folder, 'fkd_soft', options, seed=3)
    other.model.student.backbone.base_channels = 4
    assert prepare_student(other, str(tmp_path)).train_dataloader.dataset.labels == first
    assert osp.getmtime(index) == begin
    # Other settings: other labels.
    options['fkd_soft']['topk'] = 3
    cfg = student(digits, folder, 'fkd_soft', options)
    assert prepare_student(cfg, str(tmp_path)).train_dataloader.dataset.labels != first
    text = json.dumps(read_settings(cfg))
    assert str(tmp_path) not in text and str(folder) not in text


def test_a_pool_is_repeated(digits, folder, tmp_path, options):
    options['fkd_soft'].update(epochs=3, pool=1)
    cfg = prepare_student(student(digits, folder, 'fkd_soft', options), str(tmp_path))
    assert SoftLabelStore(cfg.train_dataloader.dataset.labels).epochs == 1
    assert train(cfg, str(tmp_path / 'run')).iter == 9


def test_an_interrupted_writing_goes_on(digits, folder, tmp_path, options, monkeypatch):
    protocol = soft_sets.parts(digits, 'fkd_soft', **options['fkd_soft'])
    whole = ensure_soft_labels(protocol, folder, str(tmp_path / 'whole'))
    write = SoftLabelStore.write

    def stop(self, epoch, rows):
        write(self, epoch, rows)
        raise KeyboardInterrupt

    monkeypatch.setattr(SoftLabelStore, 'write', stop)
    with pytest.raises(KeyboardInterrupt):
        ensure_soft_labels(protocol, folder, str(tmp_path / 'part'))
    monkeypatch.setattr(SoftLabelStore, 'write', write)
    assert SoftLabelStore(str(tmp_path / 'part')).epochs == 1
    counted = []
    monkeypatch.setattr(Progress, 'add', lambda self, number: counted.append(
        (self.title, self.done, self.total, number)))
    part = ensure_soft_labels(protocol, folder, str(tmp_path / 'part'))
    assert SoftLabelStore(part).info == SoftLabelStore(whole).info
    number = SoftLabelStore(part).settings['images']
    assert counted == [('soft labels', number, 2 * number, number)]  # of the second epoch


def test_labels_that_do_not_fit(digits, folder, tmp_path, options):
    protocol = soft_sets.parts(digits, 'fkd_soft', **options['fkd_soft'])
    labels = ensure_soft_labels(protocol, folder, str(tmp_path / 'labels'))

    def check(message, error=ValueError, folder=folder, **changes):
        settings = dict(options['fkd_soft'], **dict(dict(labels=labels), **changes))
        cfg = student(digits, folder, 'fkd_soft', dict(fkd_soft=settings))
        with pytest.raises(error, match=message) as caught:
            train(prepare_student(cfg, str(tmp_path)), str(tmp_path / 'run'))
        assert '\n' not in str(caught.value)

    check(r'of 2 epochs, the schedule needs 3; write more .*\.pool=2', epochs=3)
    check(r'no soft labels in .*gone.*; write them with python tools/relabel.py PROTOCOL '
          f'--set {folder} --out {tmp_path / "gone"}', FileNotFoundError,
          labels=str(tmp_path / 'gone'))
    check(r'crop_area \[0.08, 1.0\], the protocol \[0.5, 1.0\], flip_prob 0.5, the protocol 0.0; '
          r'set protocol.schedule.crop_area=\[0.08,1.0\] protocol.schedule.flip_prob=0.5 or',
          crop_area=(0.5, 1.), flip_prob=0.)
    check('with cutmix 1.0, the protocol 0', cutmix=0)
    check('with topk None, the protocol 3; set protocol.schedule.topk=None', topk=3)
    check('with image_size 32, the protocol 16; set .*image_size=32 or', image_size=16)
    other = dict(options['fkd_soft']['teacher'])
    other['checkpoint'] = ensure_checkpoint(
        tiny.classifier_job(digits, max_iters=1), str(tmp_path / 'other.pth'))
    check('soft labels of another teacher', teacher=other)
    check('has soft labels of 10 images, the set has 9',
          folder=soft_sets.digit_set(digits, tmp_path / 'nine', 9))
    changed = soft_sets.digit_set(digits, tmp_path / 'changed')
    with open(osp.join(changed, 'train', '3', 'train_000003.png'), 'ab') as f:
        f.write(b'x')
    check('a set with other images', folder=changed)


def test_labels_of_another_pipeline(digits, folder, tmp_path, options):
    protocol = soft_sets.parts(digits, 'fkd_soft', **options['fkd_soft'])
    options['fkd_soft']['labels'] = ensure_soft_labels(protocol, folder, str(tmp_path / 'labels'))
    cfg = student(digits, folder, 'fkd_soft', options)
    assert prepare_student(cfg, str(tmp_path)).to_dict() == cfg.to_dict()
    cfg.train_dataloader.dataset.dataset.pipeline[0]['color_type'] = 'grayscale'
    with pytest.raises(ValueError, match='another train_dataloader.dataset.pipeline'):
        prepare_student(cfg, str(tmp_path))


def test_students_of_two_architectures_read_one_file(digits, folder, tmp_path, options):
    """The labels are the teacher's: nothing of a student is in them."""
    first = student(digits, folder, 'fkd_soft', options)
    other = Config(first.to_dict())
    other.model.student.backbone = dict(
        type='mmdd.ConvNet', widths=(4, 8), norm_cfg=dict(type='BN'))
    other.model.student.neck = dict(type='GlobalAveragePooling')
    other.model.student.head = dict(type='LinearClsHead', num_classes=10, in_channels=8)
    trained, folders = [], []
    for name, cfg in (('one', first), ('two', other)):
        cfg = prepare_student(cfg, str(tmp_path))
        folders.append(cfg.train_dataloader.dataset.labels)
        before = {path: osp.getmtime(path) for path in glob.glob(osp.join(folders[0], '*'))}
        trained.append(train(cfg, str(tmp_path / name)))
        again = {path: osp.getmtime(path) for path in glob.glob(osp.join(folders[0], '*'))}
        assert before == again
    assert folders[0] == folders[1] and [runner.iter for runner in trained] == [6, 6]
    one, two = (runner.model.student.backbone for runner in trained)
    assert type(one) is not type(two)
    # Both saw the same images with the same logits.
    first, second = (list(runner.train_dataloader) for runner in trained)
    for a, b in zip(first, second):
        assert torch.equal(torch.stack(a['inputs']), torch.stack(b['inputs']))
        assert all(torch.equal(x.soft_logits, y.soft_logits)
                   for x, y in zip(a['data_samples'], b['data_samples']))


def test_a_teacher_of_other_classes(digits, folder, tmp_path, options):
    job = tiny.classifier_job(digits)
    job['model'] = tiny.classifier(7)
    job['train_dataloader']['dataset'].pop('metainfo')
    options['fkd_soft']['teacher'] = dict(
        cfg=job, checkpoint=options['fkd_soft']['teacher']['checkpoint'])
    with pytest.raises(ValueError, match='the teacher has 7 classes, the set 10'):
        prepare_student(student(digits, folder, 'fkd_soft', options), str(tmp_path))


def test_the_teacher_is_trained_where_it_is_missing(digits, tmp_path, monkeypatch):
    protocol = soft_sets.parts(digits, 'rded_soft', epochs=1, teacher=dict())
    cfg = teacher_config(read_protocol(protocol))
    assert cfg.train_cfg.max_epochs == 100 and cfg.optim_wrapper.optimizer.type == 'SGD'
    steps = cfg.train_dataloader.dataset.pipeline
    assert steps[1].type == 'RandomResizedCrop' and steps[1].scale == 32
    short = tmp_path / 'short.py'
    short.write_text(
        "_base_ = 'SCHEDULE'\nmax_epochs = 1\ntrain_cfg = dict(max_epochs=1)\n"
        "param_scheduler = []\ntrain_dataloader = dict(num_workers=0)\n"
        "val_dataloader = dict(num_workers=0)\ntest_dataloader = dict(num_workers=0)\n".replace(
            'SCHEDULE', osp.abspath('configs/_base_/schedules/teacher_cls.py')))
    monkeypatch.setattr('mmdd.protocols.teacher.TEACHER_SCHEDULE', str(short))
    complete = ensure_teacher(protocol, str(tmp_path / 'work')).protocol.schedule.teacher
    assert osp.isfile(complete.checkpoint)
    begin = osp.getmtime(complete.checkpoint)
    again = ensure_teacher(protocol, str(tmp_path / 'work')).protocol.schedule.teacher
    assert again.checkpoint == complete.checkpoint
    assert osp.getmtime(complete.checkpoint) == begin
    # A protocol without a teacher stays.
    hard = read_protocol(soft_sets.parts(digits, 'idc_hard'))
    assert ensure_teacher(hard, str(tmp_path)).to_dict() == hard.to_dict()


@pytest.mark.parametrize('name', ['rded_soft', 'fkd_soft'])
def test_the_student_is_looked_at_before_its_teacher_is_trained(digits, folder, tmp_path,
                                                                monkeypatch, name):
    protocol = soft_sets.parts(digits, name, epochs=1,
                               teacher=dict(cfg=tiny.classifier_job(digits)))
    protocol.append(dict(model=dict(head=dict(in_channels=8))))
    monkeypatch.setattr('mmdd.protocols.teacher.ensure_checkpoint',
                        lambda *args: pytest.fail('a teacher is trained first'))
    with pytest.raises(ValueError, match='^no student can be trained: its network does not take'):
        evaluate(protocol, dict(mine=folder), str(tmp_path / 'w'), random=False, jobs=0)
    assert not osp.exists(tmp_path / 'w')


def test_a_run_is_named_by_teacher_and_set(digits, folder, tmp_path, options):
    cfg = student(digits, folder, 'fkd_soft', options)
    key = run_key(cfg, 'content', 0)
    filled = Config(cfg.to_dict())
    assert run_key(filled, 'content', 0) == key
    options['fkd_soft']['temperature'] = 4.
    assert run_key(student(digits, folder, 'fkd_soft', options), 'content', 0) != key


def test_students_may_have_any_batch(digits, folder, tmp_path, options):
    """The labels fix the images, not the student's batch (4 here, 5 there)."""
    cfg = prepare_student(student(digits, folder, 'fkd_soft', options), str(tmp_path))
    cfg.train_dataloader.batch_size = 5
    assert train(cfg, str(tmp_path / 'run')).iter == 4


@pytest.mark.parametrize('name', ['rded_soft', 'fkd_soft'])
def test_a_report(digits, folder, tmp_path, options, name):
    """From a set to a table: labels are written once, for both seeds."""
    protocol = soft_sets.parts(digits, name, **options[name])
    methods = evaluate(protocol, dict(ten=folder), str(tmp_path), seeds=(0, 1), jobs=0)
    assert list(methods) == ['ten'] and len(methods['ten'].finished) == 2
    assert 0 <= methods['ten'].mean('top1').mean <= 100
    stores = glob.glob(str(tmp_path / 'soft_labels' / '*' / 'labels.json'))
    assert len(stores) == (name == 'fkd_soft')


def test_a_protocol_without_stored_labels(digits, folder, tmp_path, options):
    cfg = student(digits, folder, 'rded_soft', options)
    assert prepare_student(cfg, str(tmp_path)).to_dict() == cfg.to_dict()
    with pytest.raises(ValueError, match='stores no soft labels: its schedule must be FKD'):
        ensure_soft_labels(soft_sets.parts(digits, 'rded_soft', **options['rded_soft']), folder,
                           str(tmp_path / 'labels'))
