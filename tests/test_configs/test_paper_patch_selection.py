"""Every row of the patch selection paper's tables is a config with its settings and values."""
import os.path as osp
import re

import pytest
from config_files import students, training
from paper_configs import (
    LEAVES,
    PUBLISHED,
    assert_metafile_has,
    assert_readme_has,
    config,
    network,
    read_yaml,
    student_network,
)

from mmdd.models.distillers.patch_selection import ScoreSettings
from mmdd.registry import MODELS, TASK_UTILS

PAPER = read_yaml('tests/test_configs/paper_tables/patch_selection.yml')
CONSTANTS = PAPER['constants']
ROWS = {f'{table["name"]}: {row[0]}': (table, row) for table in PAPER['tables']
        for row in table['rows']}
OWN = [leaf for leaf in PUBLISHED if leaf.startswith('patch_selection/')]
NETWORKS = {name: name.lower().replace('resnet-', 'resnet') for name in (
    'ResNet-18', 'ResNet-50', 'ResNet-101', 'MobileNet-V2', 'EfficientNet-B0', 'Swin-T')}
LOW = ('cifar10', 'cifar100', 'tiny_imagenet')
TEACHER = re.compile(r'_([a-z0-9-]+)-teacher$')
# RDED's batch by images per class; twice as large for 100 and 1,000 classes, fixed for 200.
BATCH = {10: 50, 50: 100, 100: 100}


def settings(leaf):
    """What decides the scores of a config, defaults of the model included."""
    model = config(leaf).model
    return ScoreSettings(**{key: model[key] for key in (
        'resize', 'window', 'num_draws', 'prompt', 'null_prompt') if key in model},
        timestep_range=tuple(model.timestep_range))


@pytest.mark.parametrize('name', ROWS)
def test_budget_and_composition(name):
    _, (leaf, real_set, images, composition, *_) = ROWS[name]
    cfg = config(leaf)
    budget = TASK_UTILS.build(cfg.train_cfg.budget)
    assert budget.resolve(*PAPER['real_sets'][real_set]) == images
    kind = MODELS.get('PatchSelection')
    stub = kind.__new__(kind)
    stub.__dict__['composition'] = cfg.model.composition
    assert stub.choose_composition(budget.n) == composition
    assert cfg.train_cfg.writer.get('folders') == (
        None if real_set.startswith('cifar') else 'wnid')


@pytest.mark.parametrize('leaf', OWN)
def test_constants(leaf):
    cfg = config(leaf)
    model, found = cfg.model, settings(leaf)
    assert model.type == 'PatchSelection'
    assert 'stable-diffusion-v1-5' in model.diffusion.pretrained
    for key in ('num_clusters', 'top_clusters'):
        assert model[key] == CONSTANTS[key]
    for key in ('resize', 'prompt', 'null_prompt'):
        assert getattr(found, key) == CONSTANTS[key]
    assert list(found.timestep_range) == CONSTANTS['timestep_range']
    low = any(name in leaf.replace('-', '_') for name in LOW)
    assert found.window == (None if low else CONSTANTS['window'])
    assert model.image_size == (
        {'convnet3': 32, 'convnet4': 64}[osp.basename(leaf).split('_')[0]]
        if low else CONSTANTS['image_size'])
    # four patches per image and 100 images per class take more photographs than 300
    assert model.num_images == (None if leaf.endswith('_ipc100_concatenated')
                                else CONSTANTS['num_images'])


def test_methods_of_table_5_differ_in_what_is_clustered_alone():
    methods = [leaf for leaf in OWN if leaf.endswith(('_clip', '_no-clusters'))]
    assert len(methods) == 12
    for leaf in methods:
        cfg, base = config(leaf), config(leaf.rpartition('_')[0])
        method = cfg.model.cluster_features
        assert method is None if leaf.endswith('_no-clusters') else method.type == 'CLIPFeatures'
        assert {k: v for k, v in cfg.model.items() if k != 'cluster_features'} == base.model
        assert (cfg.evaluation, cfg.train_cfg) == (base.evaluation, base.train_cfg)


def test_configs_share_their_scores():
    """What is in the scores, and their folder, is the same for all high-resolution configs."""
    for low in (False, True):
        leaves = [leaf for leaf in OWN if osp.basename(leaf).startswith('convnet') == low]
        found = {(config(leaf).model.score_dir, settings(leaf)) for leaf in leaves}
        assert len(found) == 1 and len(leaves) > 5


@pytest.mark.parametrize('name', ROWS)
def test_students_and_their_labels(name):
    table, (leaf, real_set, images, *_) = ROWS[name]
    measured = students(config(leaf))
    assert set(table['students'][1:]) <= set(measured)
    for student, protocol in measured.items():
        found = training(protocol)
        rule = found.protocol.schedule
        assert rule.type == 'FKDSchedule' and (rule.temperature, rule.epochs) == (20., 300)
        student = student or table['students'][0]
        if student in NETWORKS:
            assert student_network(protocol) == NETWORKS[student]
        if student == 'ConvNet':
            assert student_network(protocol) == (
                'convnet4' if real_set == 'tiny_imagenet' else 'convnet3')
        classes = PAPER['real_sets'][real_set][1]
        batch = BATCH[images // classes] * (2 if classes >= 100 else 1)
        assert rule.batch_size == (100 if classes == 200 else batch)
        if real_set in LOW:
            assert rule.teacher == {}  # the same network
        else:
            teacher = TEACHER.search(leaf)
            assert network(training(rule.teacher.cfg).model) == (
                teacher[1] if teacher else 'resnet18')


@pytest.mark.parametrize('name', ROWS)
def test_metafile_has_the_values(name):
    table, (leaf, _, images, _, *values) = ROWS[name]
    assert_metafile_has(leaf, images, table['students'], values)


@pytest.mark.parametrize('name', ROWS)
def test_readme_has_the_values(name):
    _, (leaf, _, _, _, *values) = ROWS[name]
    assert_readme_has(leaf, values)


def test_every_config_is_a_row():
    assert {leaf for leaf in OWN if not leaf.endswith('-sweep')} == {
        row[0] for _, row in ROWS.values()}
    assert 'patch_selection/convnet_digits_ipc10' in LEAVES
