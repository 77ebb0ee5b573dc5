"""Every row of the table of SDXL-Turbo distillation is a config with the paper's settings.

``paper_tables/sdxl_turbo.yml`` holds the table as the paper prints it; configs, metafile and
README are compared with it.
"""
import copy
from fractions import Fraction

import numpy as np
import pytest
import tiny
from config_files import training
from mmpretrain.datasets import CIFAR100
from paper_configs import (
    LEAVES,
    assert_metafile_has,
    assert_readme_has,
    config,
    read_yaml,
    student_network,
)

from mmdd.datasets.class_names import class_names
from mmdd.datasets.views import read_classes
from mmdd.registry import MODELS, TASK_UTILS
from mmdd.structures import RealAnnotation

PAPER = read_yaml('tests/test_configs/paper_tables/sdxl_turbo.yml')
CONSTANTS = PAPER['constants']
ROWS = {row[0]: row for row in PAPER['rows']}


def stage(cfg):
    node, = cfg.model.set_stages
    return TASK_UTILS.build(node)


@pytest.mark.parametrize('leaf', ROWS)
def test_prior(leaf):
    """Section 4.1: one step, no guidance, half precision; the sampler of the model's card."""
    diffusion = config(leaf).model.diffusion
    assert diffusion.type == 'StableDiffusionXL'
    assert diffusion.pretrained == 'stabilityai/sdxl-turbo'
    assert {key: diffusion[key] for key in ('steps', 'cfg_scale', 'dtype')} == {
        key: CONSTANTS[key] for key in ('steps', 'cfg_scale', 'dtype')}
    assert diffusion.scheduler == dict(
        type='EulerAncestralDiscreteScheduler', timestep_spacing='trailing')
    assert not diffusion.get('negative_prompt') and config(leaf).model.image_size == 512
    hook, = (h for h in config(leaf).custom_hooks if h.type == 'TimeBudgetHook')
    assert hook.minutes == CONSTANTS['minutes']


@pytest.mark.parametrize('leaf', ROWS)
def test_budget_and_augmentation(leaf):
    _, real_set, images, generated, _ = ROWS[leaf]
    cfg, (num_images, num_classes, side) = config(leaf), PAPER['real_sets'][real_set]
    budget, augmentation = TASK_UTILS.build(cfg.train_cfg.budget), stage(cfg)
    assert budget.resolve(num_images, num_classes) == images
    assert num_classes * augmentation.slots(budget.n) == generated
    assert augmentation.slots_per_image == Fraction(generated, images)
    assert augmentation.copies == (0 if images == generated else CONSTANTS['copies'])
    assert augmentation.size == (side, side) and not augmentation.resize_first
    steps = augmentation._pipeline(512, 512).transforms
    found = [(type(step).__name__, step.p) for step in steps]
    named = [(node['type'], node['p']) for node in CONSTANTS['transforms']]
    assert found == [('RandomCrop', 1), *named]
    assert steps[4].limit == (-60, 60) and steps[0].height < 512


@pytest.mark.parametrize('leaf', ROWS)
def test_student(leaf):
    _, real_set, *_ = ROWS[leaf]
    wanted, side = CONSTANTS['student'], PAPER['real_sets'][real_set][2]
    protocol = config(leaf).evaluation.protocol
    assert student_network(protocol) == wanted['network']
    cfg = copy.deepcopy(training(protocol))
    TASK_UTILS.build(cfg.protocol.schedule).apply(cfg, 100, cfg.model.head.num_classes)
    assert tuple(cfg.model.backbone.widths) == (wanted['width'], ) * 3
    assert cfg.model.head.in_channels == wanted['width'] * (side // 8)**2
    # DC's loop counts from 0 to the number of epochs, both included
    assert cfg.train_cfg.max_epochs == wanted['epochs'] + 1
    assert cfg.param_scheduler[0].milestones == [502] and cfg.param_scheduler[0].gamma == 0.1
    optimizer = cfg.optim_wrapper.optimizer
    assert [optimizer[key] for key in ('lr', 'momentum', 'weight_decay')] == [
        wanted[key] for key in ('lr', 'momentum', 'weight_decay')]
    assert cfg.train_dataloader.batch_size == 256
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        assert [step.get('scale', step.get('crop_size')) for step in loader.dataset.pipeline[1:3]
                ] == [side, side]
    augment = MODELS.get('mmdd.models.DSA')(**{
        k: v for k, v in cfg.model.train_cfg.augments[0].items() if k != 'type'})
    assert augment.strategy == ('color', 'crop', 'cutout', 'flip', 'scale', 'rotate')


@pytest.mark.parametrize('leaf', ROWS)
def test_prompts_follow_the_label_indices(leaf):
    """The released code's list of CIFAR-100 names is in superclass order: labels were wrong."""
    cfg, (_, real_set, _, generated, _) = config(leaf), ROWS[leaf]
    model = copy.deepcopy(cfg.model)
    model.diffusion = tiny.stable_diffusion_xl()
    distiller = MODELS.build(model)
    distiller.classes = tuple(read_classes(cfg, 'mmdd'))
    assert distiller.classes == class_names(real_set)
    budget = TASK_UTILS.build(cfg.train_cfg.budget)
    distiller.annotations = [
        RealAnnotation(f'{label}/{i}', '', (32, 32), np.array([label]))
        for label in range(len(distiller.classes)) for i in range(budget.n)]
    slots = distiller.plan(budget)
    assert len(slots) == generated
    names = list(CIFAR100.METAINFO['classes']) if real_set == 'cifar100' else class_names(
        'tiny_imagenet')
    assert [slot.prompt for slot in slots] == [
        names[int(slot.labels[0])].replace('_', ' ') for slot in slots]
    if real_set == 'cifar100':
        each = generated // 100
        assert [slot.prompt for slot in slots[:3 * each:each]] == [
            'apple', 'aquarium fish', 'baby']
        superclasses = ('beaver', 'dolphin', 'otter', 'seal', 'whale')
        assert not {slot.prompt for slot in slots[:4 * each]} & set(superclasses)


@pytest.mark.parametrize('leaf', ROWS)
def test_metafile_and_readme_have_the_values(leaf):
    _, _, images, _, value = ROWS[leaf]
    assert_metafile_has(leaf, images, [''], [value])
    assert_readme_has(leaf, [value])


def test_every_published_leaf_is_a_row():
    assert set(ROWS) == {leaf for leaf in LEAVES
                         if leaf.startswith('sdxl_turbo/') and '_digits_' not in leaf}
