"""The regimes of labels end to end: one per image, a pool, several teachers, averaged weights."""
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
from mmengine.runner.checkpoint import load_checkpoint

from mmdd.apis import evaluate, train
from mmdd.datasets.soft_labels import SoftLabelStore
from mmdd.engine.train_job import ensure_checkpoint
from mmdd.models.students.label_regimes import REGIMES, label_mib, label_regime
from mmdd.models.students.teacher import Teacher
from mmdd.protocols.protocol import read_protocol, student_config
from mmdd.protocols.recipes.lengths import num_updates
from mmdd.protocols.settings import describe_student
from mmdd.protocols.teacher import describe_soft_labels, ensure_soft_labels, ensure_teacher
from mmdd.protocols.training import prepare_student
from mmdd.registry import TASK_UTILS

SHORT = dict(train_cfg=dict(max_epochs=2, val_interval=1), train_dataloader=dict(batch_size=5))


@pytest.fixture(autouse=True)
def plain_dumps(monkeypatch):
    """Configs are saved without being formatted, which takes longer than these trainings."""
    monkeypatch.setattr(Config, 'pretty_text', property(lambda self: repr(self._to_lazy_dict())))


@pytest.fixture(scope='module')
def teachers(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp('teachers')
    jobs = [tiny.classifier_job(digits, **more) for more in ({}, dict(max_iters=1))]
    return [dict(cfg=job, checkpoint=ensure_checkpoint(job, str(folder / f'{i}.pth')))
            for i, job in enumerate(jobs)]


@pytest.fixture(scope='module')
def folder(digits, tmp_path_factory):
    return soft_sets.digit_set(digits, tmp_path_factory.mktemp('set') / 'ten')


def student(digits, folder, name, more=None, **schedule):
    parts = soft_sets.parts(digits, name, **schedule)
    return student_config(read_protocol([*parts, more or {}]), folder, 0)


def opened(cfg):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return DATASETS.build(cfg.train_dataloader.dataset)


def test_one_label_for_each_image(digits, folder, tmp_path, teachers):
    """It is the teacher's of the image as the test set shows it; views of it differ."""
    cfg = student(digits, folder, 'image_soft', SHORT, teacher=teachers[0])
    cfg = prepare_student(cfg, str(tmp_path))
    store = SoftLabelStore(cfg.train_dataloader.dataset.labels)
    assert (store.epochs, len(store.rows(0)), store.dtype.names) == (1, 10, ('logits', ))
    plain = Config(cfg.train_dataloader.dataset.dataset.to_dict())
    plain.pipeline = cfg.test_dataloader.dataset.pipeline
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        plain = DATASETS.build(plain.to_dict())
    network, dataset = Teacher(**teachers[0]), opened(cfg)
    different = 0
    for index in range(10):
        seen = network.logits(plain[index]['inputs'].flip(0)[None] / 255)[0].numpy()
        assert np.allclose(store.rows(0)[index]['logits'], seen, atol=2e-3, rtol=2e-3)
        one, two = dataset[index], dataset[index]
        assert torch.equal(one['data_samples'].soft_logits, two['data_samples'].soft_logits)
        different += not torch.equal(one['inputs'], two['inputs'])
    assert different == 10
    assert train(cfg, str(tmp_path / 'run')).iter == 4


def test_labels_of_images_are_mixed_by_area(digits, folder, tmp_path, teachers):
    cfg = prepare_student(student(digits, folder, 'image_soft', SHORT, teacher=teachers[0]),
                          str(tmp_path))
    dataset = opened(cfg)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        from mmengine.registry import MODELS
        model = MODELS.build(cfg.model)
    items = [dataset[index] for index in range(10)]
    data = model.data_preprocessor(dict(
        inputs=[item['inputs'] for item in items],
        data_samples=[item['data_samples'] for item in items]), training=True)
    seen = {}
    mix, loss = model.mix, model.criterion
    model.mix = lambda images, labels: seen.setdefault('mixed', mix(images, labels))
    model.student.backbone.register_forward_pre_hook(lambda m, x: seen.setdefault('input', x[0]))
    np.random.seed(0)
    torch.manual_seed(0)
    found = model(**data, mode='loss')['loss']
    images, labels = seen['mixed']
    assert torch.equal(images, seen['input']) and not torch.equal(images, data['inputs'])
    own = loss.target(torch.stack([item['data_samples'].soft_logits for item in items]))
    assert not torch.allclose(labels, own) and torch.allclose(labels.sum(1), torch.ones(10))
    with torch.no_grad():
        assert found.item() == pytest.approx(loss(model.student(images), labels).item(), rel=1e-5)


def test_a_pool_of_batches(digits, folder, tmp_path, teachers, capsys):
    options = dict(teacher=teachers[0], batch_size=4, epochs=4, keep=0.5, precision='int8')
    cfg = student(digits, folder, 'lpld_soft', **options)
    assert (cfg.soft_labels.batches, cfg.soft_labels.epochs) == (4, 2)  # 8 in all, 2 per epoch
    assert num_updates(cfg, 10) == 8
    ready = prepare_student(cfg, str(tmp_path))
    assert '4 batches x 4 images' in capsys.readouterr().out
    store = SoftLabelStore(ready.train_dataloader.dataset.labels)
    assert store.epochs == 2 and len(store.rows(0)) == len(store.rows(1)) == 8
    runner = train(ready, str(tmp_path / 'run'))
    assert runner.iter == 8 and type(runner.train_dataloader.sampler).__name__ == 'PoolSampler'
    # A student reads labels that are given only where they are those of its pool.
    given = dict(options, labels=store.folder)
    prepare_student(student(digits, folder, 'lpld_soft', **given), str(tmp_path))
    for change, message in (
            (dict(keep=0.3), r'of the regime pool \(4 batches of 4 images\), the '
             r'protocol is of pool \(2 batches'),
            (dict(precision='fp16'), 'with precision int8, the protocol fp16; set '
             'protocol.schedule.precision=int8'),
            (dict(keep=None, epochs=2), 'of the regime pool .*, the protocol is of epoch')):
        with pytest.raises(ValueError, match=message):
            prepare_student(student(digits, folder, 'lpld_soft', **dict(given, **change)),
                            str(tmp_path))


def test_pools_that_cannot_be():
    build = TASK_UTILS.build
    with pytest.raises(ValueError, match='set one of them to None'):
        build(dict(type='FKDSchedule', keep=0.1, pool=3))
    rule = build(dict(type='FKDSchedule', keep=0.1))
    with pytest.raises(ValueError, match='schedule.keep is no number of batches'):
        rule.stored(None)
    assert rule.stored(10_000) == dict(epochs=30, batches=270)  # 9 full batches of 1024
    assert build(dict(type='FKDSchedule', keep=1e-6)).stored(10) == dict(epochs=1, batches=1)
    with pytest.raises(ValueError, match="set protocol.schedule.combine='mean'"):
        build(dict(type='ImageLabels', combine='sample'))


def test_the_mean_of_teachers_is_stored(digits, folder, tmp_path, teachers):
    cfg = prepare_student(student(digits, folder, 'fkd_soft', teacher=teachers, epochs=1,
                                  batch_size=4), str(tmp_path))
    store, dataset = SoftLabelStore(cfg.train_dataloader.dataset.labels), opened(cfg)
    assert store.settings['combine'] == 'mean' and len(store.settings['teacher']) == 2
    networks = [Teacher(**teacher) for teacher in teachers]
    for position in range(10):
        image = dataset[position]['inputs'].flip(0)[None] / 255
        one, two = (network.logits(image)[0].numpy() for network in networks)
        assert np.abs(one - two).max() > 0.01
        assert np.allclose(store.rows(0)[position]['logits'], (one + two) / 2, atol=3e-3)
    check = student(digits, folder, 'fkd_soft', teacher=teachers[::-1], epochs=1, batch_size=4,
                    labels=store.folder)
    with pytest.raises(ValueError, match='soft labels of another teacher than'):
        prepare_student(check, str(tmp_path))


def test_a_teacher_is_drawn_for_each_batch(digits, folder, tmp_path, teachers):
    cfg = prepare_student(student(digits, folder, 'fkd_soft', teacher=teachers, epochs=6,
                                  batch_size=4, combine='sample'), str(tmp_path))
    store, dataset = SoftLabelStore(cfg.train_dataloader.dataset.labels), opened(cfg)
    networks, drawn = [Teacher(**teacher) for teacher in teachers], []
    for epoch in range(6):
        for start in range(0, 10, 4):
            images = torch.stack([dataset[10 * epoch + row]['inputs'].flip(0)
                                  for row in range(start, min(start + 4, 10))]) / 255
            rows = store.rows(epoch)[start:start + 4]['logits']
            fits = [np.allclose(rows, network.logits(images).numpy(), atol=3e-3)
                    for network in networks]
            assert sum(fits) == 1
            drawn.append(fits.index(True))
    assert 4 <= sum(drawn) <= 14  # of 18


def test_online_teachers(digits, folder, tmp_path, teachers):
    found = {}
    for combine in ('mean', 'sample'):
        cfg = student(digits, folder, 'rded_soft', teacher=teachers, combine=combine)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            from mmengine.registry import MODELS
            model = MODELS.build(cfg.model)
        images = torch.randn(4, 3, 32, 32)
        one, two = (teacher.logits_for(images, model.data_preprocessor, model.takes_rgb)
                    for teacher in model.teachers.load('cpu'))
        asked = [model._ask(images) for _ in range(20)]
        if combine == 'mean':
            assert all(torch.allclose(each, (one + two) / 2) for each in asked)
        else:
            found = {tuple(torch.equal(each, known) for known in (one, two)) for each in asked}
            assert found == {(True, False), (False, True)}
        assert len(model.state_dict()) == len(model.student.state_dict())


def test_missing_teachers_are_all_planned(digits, tmp_path, teachers):
    protocol = soft_sets.parts(digits, 'fkd_soft', teacher=teachers)
    complete = ensure_teacher(protocol, str(tmp_path)).protocol.schedule.teacher
    assert [teacher.checkpoint for teacher in complete] == [
        teacher['checkpoint'] for teacher in teachers]


def test_the_average_of_weights_is_tested(digits, folder, tmp_path, teachers):
    """EDC's preset: the checkpoint holds the average, and a test reads it."""
    cfg = prepare_student(student(digits, folder, 'edc_soft', dict(
        custom_hooks=[dict(type='EMAHook', momentum=0.5)]), teacher=teachers[0], epochs=2,
        batch_size=4), str(tmp_path))
    steps = []

    class Recorder:
        def __call__(self, module, args):
            steps.append(module.weight.detach().clone())

    runner = None
    from mmdd.models.students import SoftLabelClassifier
    build = SoftLabelClassifier.__init__

    def watched(self, *args, **kwargs):
        build(self, *args, **kwargs)
        self.student.backbone.conv1.register_forward_pre_hook(Recorder())

    SoftLabelClassifier.__init__ = watched
    try:
        runner = train(cfg, str(tmp_path / 'run'))
    finally:
        SoftLabelClassifier.__init__ = build
    saved = load_checkpoint(torch.nn.Linear(1, 1), find_latest_checkpoint(str(tmp_path / 'run')),
                            map_location='cpu')
    raw = saved['ema_state_dict']['module.backbone.conv1.weight']
    average = saved['state_dict']['backbone.conv1.weight']
    assert runner.iter == 6 and not torch.allclose(raw, average)
    assert torch.allclose(raw, dict(runner.model.named_parameters())[
        'student.backbone.conv1.weight'])
    assert describe_student(cfg)['average'] == 'exponential, decay 0.5'


def test_presets(digits, folder, teachers):
    cfg = student(digits, folder, 'edc_soft', teacher=teachers[0])
    assert describe_student(cfg)['average'] == 'exponential, decay 0.99'
    assert describe_student(cfg)['criterion'] == (
        'squared error of logits + 0.025 cross-entropy with hard labels')
    assert (cfg.train_dataloader.batch_size, cfg.param_scheduler[0].T_max,
            cfg.train_cfg.max_epochs) == (100, 600, 300)
    cfg = student(digits, folder, 'rd3_soft', teacher=teachers)
    found = describe_student(cfg)
    assert found['criterion'] == (
        'cross-entropy at T 20 + 0.025 cross-entropy with hard labels')
    assert found['teacher'].startswith('mean of ImageClassifier') and found['average'] is None
    cfg = student(digits, folder, 'lpld_soft', teacher=teachers[0])
    assert cfg.soft_labels.batches == 300 // 40 and cfg.train_dataloader.drop_last is False


@pytest.mark.parametrize('name, schedule, regime, row', [
    ('idc_hard', dict(), 'hard', 0), ('rded_soft', dict(), 'online', 0),
    ('image_soft', dict(), 'image', 10 * 20), ('fkd_soft', dict(epochs=4), 'epoch', 40 * 49),
    ('fkd_soft', dict(epochs=4, pool=2), 'pool', 20 * 49),
    ('lpld_soft', dict(epochs=4, batch_size=5, keep=0.25), 'pool', 10 * 49)])
def test_a_regime_and_its_size(digits, folder, teachers, name, schedule, regime, row):
    if name != 'idc_hard':
        schedule['teacher'] = teachers[0]
    cfg = student(digits, folder, name, **schedule)
    assert (label_regime(cfg), label_mib(cfg, 10, 10)) == (regime, row / 2**20)
    assert regime in REGIMES
    assert label_mib(cfg, None, 10) == (None if row else 0)


def test_a_report_says_what_the_labels_are(digits, folder, tmp_path, teachers, capsys):
    protocol = soft_sets.parts(digits, 'fkd_soft', teacher=teachers[0], epochs=2, batch_size=5)
    methods = evaluate(protocol, dict(ten=folder), str(tmp_path), seeds=(0, ), jobs=0)
    run, = methods['ten'].finished
    assert (run.regime, run.label_mib, run.updates) == ('epoch', 20 * 49 / 2**20, 4)
    text = (tmp_path / 'results.md').read_text()
    assert '| updates | labels | label MiB |' in text and '| 4 | epoch | 0.00 |' in text
    assert 'epoch labels (a stored soft label for every augmented image' in text
    row, = json.loads((tmp_path / 'results.json').read_text())['methods']
    assert (row['regime'], row['label_mib']) == ('epoch', run.label_mib)


def test_labels_of_images_by_hand(digits, folder, tmp_path, teachers):
    """tools/relabel.py writes them too; of another regime they are refused."""
    options = dict(teacher=teachers[0])
    protocol = soft_sets.parts(digits, 'image_soft', **options)
    assert describe_soft_labels(protocol, folder).startswith('soft labels: 10 images x 20 bytes')
    labels = ensure_soft_labels(protocol, folder, str(tmp_path / 'labels'))
    size = osp.getsize(osp.join(labels, 'epoch_0000.npy'))
    assert size == 10 * 20 + 128  # NumPy's header
    ready = student(digits, folder, 'image_soft', labels=labels, **options)
    assert prepare_student(ready, str(tmp_path)).train_dataloader.dataset.labels == labels
    wrong = student(digits, folder, 'fkd_soft', labels=labels, epochs=1, **options)
    with pytest.raises(ValueError, match='of the regime image, the protocol is of epoch'):
        prepare_student(wrong, str(tmp_path))
