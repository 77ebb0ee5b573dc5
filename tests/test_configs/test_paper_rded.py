"""Every row of RDED's table 2 is a config with its settings and values."""
import os.path as osp

import pytest
from config_files import ROOT, students, training
from paper_configs import (
    LEAVES,
    PUBLISHED,
    assert_metafile_has,
    assert_readme_has,
    config,
    network,
    read_yaml,
    ruled,
    student_network,
)

from mmdd.benchmark.report.paper_values import paper_values
from mmdd.models.distillers.rded.rded import crop_settings
from mmdd.registry import TASK_UTILS
from mmdd.utils.config import plain

PAPER = read_yaml('tests/test_configs/paper_tables/rded.yml')
CONSTANTS = PAPER['constants']
ROWS = {row[0]: (table, row) for table in PAPER['tables'] for row in table['rows']}
OWN = [leaf for leaf in PUBLISHED if leaf.startswith('rded/')]
NETWORKS = {'ResNet-18': 'resnet18', 'ResNet-101': 'resnet101', 'ConvNet': 'convnet3'}
# Batches of the released code by images per class; twice as large for 100 and 1,000 classes,
# 25 for the ConvNet on CIFAR-100.
BATCH = {1: 10, 10: 50, 50: 100}
LOW = ('cifar10', 'cifar100')
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)


@pytest.mark.parametrize('leaf', ROWS)
def test_budget_and_crops(leaf):
    _, (_, real_set, images, *_) = ROWS[leaf]
    cfg = config(leaf)
    model, budget = cfg.model, TASK_UTILS.build(cfg.train_cfg.budget)
    assert budget.resolve(*PAPER['real_sets'][real_set]) == images
    assert model.type == 'RDED'
    for key in ('crops', 'images_per_class'):
        assert model[key] == CONSTANTS[key]
    for key in ('crop_scale', 'crop_ratio'):
        assert list(model[key]) == CONSTANTS[key]
    found = crop_settings(model.image_size, model.factor, model.crops, model.crop_scale,
                          model.crop_ratio, 0)
    low = real_set in LOW
    assert (found.canvas, found.cell) == (
        ((32, 32), (32, 32)) if low else ((224, 224), (112, 112)))
    assert cfg.train_cfg.writer.get('folders') == (None if low else 'wnid')


@pytest.mark.parametrize('leaf', ROWS)
def test_the_observer_is_the_teacher_and_sees_crops_as_they_are(leaf):
    table, (_, real_set, *_) = ROWS[leaf]
    cfg = config(leaf)
    proxy, rule = cfg.model.proxy, training(cfg.evaluation.protocol).protocol.schedule
    assert (proxy.type, proxy.input_scale) == ('ClassifierProxy', None)
    assert plain(proxy.cfg) == plain(rule.teacher.cfg)
    assert proxy.checkpoint == rule.teacher.checkpoint
    observer = training(proxy.cfg)
    assert network(observer.model) == NETWORKS[table['students'][0]]
    for key, value in IMAGENET.items():
        assert observer.model.data_preprocessor[key] == value
    if real_set in LOW:
        pipeline = observer.train_dataloader.dataset.pipeline
        assert 'RandomCrop' in [step.type for step in pipeline]  # 32 pixels, not 224


def test_configs_share_their_scores():
    assert {config(leaf).model.score_dir for leaf in OWN} == {'work_dirs/rded/scores'}


@pytest.mark.parametrize('leaf', ROWS)
def test_soft_students(leaf):
    table, (_, real_set, images, *_) = ROWS[leaf]
    measured = students(config(leaf))
    assert set(measured) == {'', *table['students'][1:], 'Hard labels'}
    classes = PAPER['real_sets'][real_set][1]
    own = table['students'][0] == 'ConvNet' and real_set == 'cifar100'
    batch = BATCH[images // classes] * (2 if classes >= 100 else 1)
    for i, name in enumerate(table['students']):
        protocol = measured[name if i else '']
        assert student_network(protocol) == NETWORKS[name]
        cfg = ruled(protocol, images, classes)
        assert (cfg.model.temperature, cfg.model.mix.type) == (20., 'CutMix')
        assert cfg.train_dataloader.batch_size == (25 if own else batch)
        assert cfg.optim_wrapper.optimizer.lr == (2e-3 if own else 1e-3)
        steps = {step.type.rpartition('.')[2]: step
                 for step in cfg.train_dataloader.dataset.pipeline}
        assert steps['PatchShuffle'].factor == (1 if real_set in LOW else 2)
        assert steps['RandomResizedCrop'].scale == (32 if real_set in LOW else 224)
    norm = training(measured['']).model.backbone.get('norm_cfg', dict(type='BN'))
    assert norm.get('type') == 'BN'


@pytest.mark.parametrize('leaf', ROWS)
def test_hard_student(leaf):
    table, (_, real_set, images, *_) = ROWS[leaf]
    protocol = students(config(leaf))['Hard labels']
    assert student_network(protocol) == NETWORKS[table['students'][0]]
    cfg = training(protocol)
    assert cfg.protocol.schedule.type == 'IDCSchedule'
    classes = PAPER['real_sets'][real_set][1]
    trained = ruled(protocol, images, classes)
    assert 'teacher' not in trained.model
    sides = [step.scale for step in trained.train_dataloader.dataset.pipeline
             if step.type == 'RandomResizedCrop']
    assert sides == [32 if real_set in LOW else 224]


@pytest.mark.parametrize('leaf', ROWS)
def test_metafile_has_the_values(leaf):
    table, (_, _, images, *values) = ROWS[leaf]
    assert_metafile_has(leaf, images, table['students'], values)
    path = osp.join(ROOT, f'configs/{leaf}.py')
    assert paper_values(path, ['Top-1'], 'Hard labels') == {}


@pytest.mark.parametrize('leaf', ROWS)
def test_readme_has_the_values(leaf):
    assert_readme_has(leaf, ROWS[leaf][1][3:])


def test_every_config_is_a_row():
    assert set(OWN) == set(ROWS)
    assert {'rded/convnet_digits_ipc1', 'rded/convnet_digits_ipc10'} <= set(LEAVES)
