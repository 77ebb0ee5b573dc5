"""Every row of UniDD's tables is a config with the paper's settings and values.

``paper_tables/unidd.yml`` holds the tables as the paper prints them; configs, metafiles and
READMEs are compared with it.
"""
import copy
import os.path as osp
import re

import pytest
from config_files import ROOT, students, training
from paper_configs import (
    LEAVES,
    assert_readme_has,
    assert_top1_is,
    config,
    entries,
    mean_std,
    network,
    read_yaml,
    student_network,
)

from mmdd.benchmark.report.paper_values import metric_key, paper_values
from mmdd.registry import TASK_UTILS

CORESETS = dict(random='RandomCoreset', uniform='UniformCoreset', kcenter='KCenterCoreset',
                herding='HerdingCoreset', densest='DensestCoreset', el2n='EL2NCoreset',
                grand='GraNdCoreset', forgetting='ForgettingCoreset',
                entropy='UncertaintyCoreset', margin='UncertaintyCoreset',
                leastconf='UncertaintyCoreset', facility='FacilityLocationCoreset',
                craig='CRAIGCoreset')
WRITERS = dict(imagenet='ClassFolderWriter', voc0712='VOCWriter', coco='COCOWriter',
               voc2012='SegMapWriter')
# What `--cfg-options` of a sweep change, and the paper's choice.
SWEEPS = dict(scale=('custom_hooks.1.scale', 100.), steps=('model.diffusion.steps', 250))
METHOD = re.compile(r'_(prior|proxy|context|gpt-4o|composed)$')

PAPER = read_yaml('tests/test_configs/paper_tables/unidd.yml')
CONSTANTS = PAPER['constants']
MINIMAX = read_yaml('tests/test_configs/paper_tables/minimax.yml')  # has rows of coresets too
ROWS = {f'{table["name"]}: {row[0]}': (table, row) for table in PAPER['tables']
        for row in table['rows']}


def guidance(cfg):
    return [hook for hook in cfg.custom_hooks if hook.type == 'TaskGuidanceHook']


@pytest.mark.parametrize('name', ROWS)
def test_budget_and_loop(name):
    table, (leaf, real_set, images, *_) = ROWS[name]
    cfg = config(leaf)
    budget = TASK_UTILS.build(cfg.train_cfg.budget)
    assert budget.resolve(*PAPER['real_sets'][real_set]) == images
    assert type(budget).__name__ == ('IPC' if table['task'] == 'classification' else 'Ratio')
    kind = 'imagenet' if table['task'] == 'classification' else real_set
    assert cfg.train_cfg.writer.type == WRITERS[kind]


@pytest.mark.parametrize('name', ROWS)
def test_student(name):
    table, (leaf, *_) = ROWS[name]
    protocol = config(leaf).evaluation.protocol
    assert student_network(protocol) == table['student']
    settings = training(protocol).protocol
    assert settings.task == table['task']
    columns = {metric_key(column) for column in settings.metrics}
    assert {metric_key(metric) for metric in table['metrics']} <= columns


@pytest.mark.parametrize('name', [n for n, (_, row) in ROWS.items() if 'unidd/' in row[0]])
def test_constants_of_unidd(name):
    """Sections 4.1 and 4.4; a method of table 5 lacks what its name says."""
    table, (leaf, *_) = ROWS[name]
    cfg, method, task = config(leaf), METHOD.search(leaf), table['task']
    method = method[1] if method else 'full'
    assert cfg.model.type == 'UniDD'
    assert cfg.model.image_size == CONSTANTS['image_size'][task]
    diffusion = cfg.model.diffusion
    assert diffusion.steps == CONSTANTS['steps']
    assert diffusion.scheduler.type == 'DDIMScheduler'
    assert 'stable-diffusion-v1-5' in diffusion.pretrained
    assert network(training(cfg.model.proxy.cfg).model) == table['proxy']
    assert [(hook.scale, hook.wrt) for hook in guidance(cfg)] == (
        [] if method == 'prior' else [(CONSTANTS['scale'], 'latent')])
    assert [(refiner.type, refiner.threshold) for refiner in cfg.model.refiners] == (
        [('ProxyRefiner', CONSTANTS['threshold'][task])] if method in ('full', 'gpt-4o') else [])
    vlm = method == 'gpt-4o' or (method == 'context' and task == 'classification')
    assert cfg.model.prompter.type == (
        'ClassPrompter' if method in ('prior', 'proxy') else
        'VLMPrompter' if vlm else 'AnnotationPrompter')
    if vlm:
        assert cfg.model.prompter.backend == dict(type='OpenAIBackend', model='gpt-4o')


# A coreset of a set that UniDD has no config for has no twin.
@pytest.mark.parametrize('leaf', [
    leaf for leaf in LEAVES if leaf.startswith('coreset/')
    and f'unidd/{osp.basename(leaf).partition("_")[2]}' in LEAVES])
def test_a_coreset_differs_from_the_method_in_model_and_loop_alone(leaf):
    rule, _, rest = osp.basename(leaf).partition('_')
    twin, method = config(leaf), config(f'unidd/{rest}')
    assert twin.model.type == CORESETS[rule]
    assert twin.train_dataloader == method.train_dataloader
    assert twin.evaluation.protocol == method.evaluation.protocol
    for key in ('budget', 'writer'):
        assert twin.train_cfg[key] == method.train_cfg[key]
    if twin.model.get('proxy') is not None:
        same = ('type', 'cfg', 'checkpoint')
        assert [twin.model.proxy.get(key) for key in same] == [
            method.model.proxy.get(key) for key in same]
    assert ('proxy' in twin.model) == (rule not in ('random', 'uniform', 'densest'))


@pytest.mark.parametrize('name', ROWS)
def test_metafile_has_the_values(name):
    table, (leaf, _, images, *values) = ROWS[name]
    found = paper_values(osp.join(ROOT, f'configs/{leaf}.py'), table['metrics'])
    wanted = dict(zip(table['metrics'], map(mean_std, values)))
    assert {key: (value.mean, value.std) for key, value in found.items()} == wanted
    assert entries(leaf.split('/')[0])[f'configs/{leaf}.py']['Metadata']['Images'] == images


@pytest.mark.parametrize('leaf, proxy, values', [(r[0], r[1], r[2:]) for r in PAPER['table6']])
def test_table_6(leaf, proxy, values):
    """One set, three students; the first is the one that the config names."""
    cfg = config(leaf)
    parts = cfg.model.proxy.cfg
    assert network(training(parts).model) == proxy
    assert training(parts).model.backbone.init_cfg.checkpoint == f'torchvision://{proxy}'
    assert proxy in cfg.model.proxy.checkpoint
    measured = students(cfg)
    assert list(measured) == ['', 'ResNet-50', 'ResNet-101']
    for (student, protocol), depth, value in zip(measured.items(), (18, 50, 101), values):
        assert student_network(protocol) == f'resnet{depth}'
        assert_top1_is(leaf, student, value)


@pytest.mark.parametrize('leaf', [
    leaf for leaf in LEAVES if leaf.startswith('unidd/') and leaf.endswith('-sweep')])
def test_every_point_of_figure_4_resolves(leaf):
    cfg, base = config(leaf), config(leaf.rpartition('_')[0])
    key, choice = SWEEPS[re.search(r'_(scale|steps)-sweep$', leaf)[1]]
    assert cfg.sweep.key == key and choice in cfg.sweep['values']
    assert cfg.evaluation == base.evaluation
    for value in cfg.sweep['values']:
        point = copy.deepcopy(cfg)
        point.merge_from_dict({key: value})  # as tools do with --cfg-options
        hook, = guidance(point)
        assert (hook.scale if 'scale' in key else point.model.diffusion.steps) == value
        if value == choice:
            assert (point.model, point.custom_hooks) == (base.model, base.custom_hooks)


def test_metafile_has_no_values_beside_the_tables():
    known = {row[0] for _, row in ROWS.values()} | {row[0] for row in PAPER['table6']}
    known |= {row[0] for table in MINIMAX['coresets'] for row in table['rows']}
    for method in ('unidd', 'coreset'):
        for path, model in entries(method).items():
            assert ('Results' in model) == (path[len('configs/'):-3] in known), path


@pytest.mark.parametrize('name', ROWS)
def test_readme_has_the_values(name):
    """In the cells beside the link to the config, or as the link itself."""
    _, (leaf, _, _, *values) = ROWS[name]
    if leaf.endswith('_gpt-4o'):
        return  # has no row of its own: its values are those of the config without GPT-4o
    assert_readme_has(leaf, values)
