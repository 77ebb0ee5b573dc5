"""Every row of D4M's tables is a config with the settings of ``paper_tables/d4m.yml``."""
import copy

import pytest
from config_files import students, training
from mmengine.config import Config
from paper_configs import (
    PUBLISHED,
    assert_metafile_has,
    assert_readme_has,
    config,
    entries,
    network,
    read_yaml,
    ruled,
    student_network,
)

from mmdd.datasets.class_names import class_wnids
from mmdd.datasets.views import read_classes
from mmdd.protocols.recipes.lengths import num_updates
from mmdd.registry import TASK_UTILS
from mmdd.utils.config import load_config

PAPER = read_yaml('tests/test_configs/paper_tables/d4m.yml')
RELEASED = 'd4m/resnet18_imagenet_ipc10_released'
CONSTANTS, NETWORKS = PAPER['constants'], PAPER['students']
ROWS = {f'{table["name"]}: {row[0]}': (table, row) for table in PAPER['tables']
        for row in table['rows']}


def measured(leaf):
    """Student protocols of a config by the name of the network."""
    found = {}
    for name, protocol in students(config(leaf)).items():
        kind = student_network(protocol)
        display = next(key for key, value in NETWORKS.items() if value == kind)
        assert name in ('', display)
        found[display] = protocol
    return found


@pytest.mark.parametrize('name', ROWS)
def test_method(name):
    """Budget and the released code's settings; the ablation of table 4 has no prototypes."""
    _, (leaf, real_set, images, *_) = ROWS[name]
    cfg = config(leaf)
    assert cfg.model.type == 'D4M' and cfg.train_cfg.budget.type == 'IPC'
    assert TASK_UTILS.build(cfg.train_cfg.budget).resolve(*PAPER['real_sets'][real_set]) == images
    diffusion = cfg.model.diffusion
    assert 'stable-diffusion-v1-5' in diffusion.pretrained
    assert diffusion.get('negative_prompt', '') == ''  # the code's is not in the paper
    assert dict(
        steps=diffusion.steps, cfg_scale=diffusion.cfg_scale, scheduler=diffusion.scheduler.type,
        **{key: cfg.model[key] for key in ('strength', 'image_size', 'saved_size')}) == CONSTANTS
    if leaf.endswith('_no-prototypes'):
        assert cfg.model.statistics is None
    else:
        assert cfg.model.statistics == dict(type='LatentClusters', expand=1)
    prompter = TASK_UTILS.build(cfg.model.prompter)
    assert prompter.template == '{names}'


@pytest.mark.parametrize('name', ROWS)
def test_students_and_their_soft_labels(name):
    table, (leaf, real_set, images, *_) = ROWS[name]
    found = measured(leaf)
    assert set(table['columns']) <= set(found)
    assert next(iter(found)) == table['columns'][0]
    wanted, classes = PAPER['soft_labels'], PAPER['real_sets'][real_set][1]
    for protocol in found.values():
        cfg = ruled(protocol, images, classes)
        labels, optimizer = cfg.soft_labels, cfg.optim_wrapper.optimizer
        assert optimizer.type == 'AdamW'
        assert dict(
            batch_size=labels.batch_size, epochs=labels.epochs, temperature=labels.temperature,
            cutmix=labels.cutmix, crop_area=list(labels.crop_area), lr=optimizer.lr,
            weight_decay=optimizer.weight_decay) == wanted
        assert labels.image_size == (32 if 'cifar' in leaf else 64 if 'tiny' in leaf else 224)
        assert network(labels.teacher.cfg.model) == table['teacher']
        # a batch of 1,024 in each of 300 epochs: 3,000 updates at 10,000 images
        assert num_updates(cfg, images) == 300 * -(-images // 1024)


@pytest.mark.parametrize('name', ROWS)
def test_metafile_and_readme_have_the_values(name):
    table, (leaf, _, images, *values) = ROWS[name]
    assert_metafile_has(leaf, images, table['columns'], values)
    entry = entries('d4m')[f'configs/{leaf}.py']
    assert table['name'].split(',')[0].split()[1] in entry['Metadata']['Source']
    assert_readme_has(leaf, values)


def test_every_published_config_is_in_a_table():
    mine = {leaf for leaf in PUBLISHED if leaf.startswith('d4m/')}
    figure_6 = {f'd4m/resnet18_imagenet_ipc{n}_resnet{depth}-teacher'
                for n in (50, 100, 200) for depth in (50, 101)}
    assert mine - figure_6 - {RELEASED} == {row[0] for _, row in ROWS.values()}
    for leaf in figure_6:  # the set of table 2, the students of table 3
        made, teacher = leaf.rsplit('_', 1)
        cfg = config(leaf)
        assert (cfg.model, cfg.train_cfg) == (config(made).model, config(made).train_cfg)
        assert cfg.evaluation == config(f'd4m/resnet18_imagenet_ipc10_{teacher}').evaluation


def test_the_released_code():
    """The same job and students as the paper's, but for what the README lists."""
    cfg, base = (Config(copy.deepcopy(config(leaf).to_dict()))
                 for leaf in (RELEASED, 'd4m/resnet18_imagenet_ipc10'))
    assert cfg.model.diffusion.pop('negative_prompt') == 'cartoon, anime, painting'
    assert cfg.model.statistics == dict(
        type='LatentClusters', expand=1, posterior='sample', reassignment_ratio=0.01,
        drop_last=True)
    cfg.model.statistics = base.model.statistics
    assert (cfg.model, cfg.train_cfg) == (base.model, base.train_cfg)
    found, wanted = measured(RELEASED), measured('d4m/resnet18_imagenet_ipc10')
    assert list(found) == list(wanted)
    for name, protocol in found.items():
        own = Config(copy.deepcopy(training(protocol).to_dict()))
        assert (own.protocol.select, own.train_cfg.val_interval) == ('test', 50)
        own.protocol.select = training(wanted[name]).protocol.select
        assert own.to_dict() == training(wanted[name]).to_dict()


@pytest.mark.parametrize('ipc', [50, 100])
def test_d4m_g_differs_from_d4m_in_the_real_set_alone(ipc):
    """Images of ImageNet-1K's classes, under the names and numbers of Tiny ImageNet."""
    tiny, general = (config(f'd4m/resnet18_tiny-imagenet_ipc{ipc}{change}')
                     for change in ('', '_from-imagenet'))
    assert general.train_dataloader.dataset.data_root == 'data/imagenet_tiny/'
    assert (general.model, general.evaluation) == (tiny.model, tiny.evaluation)
    assert read_classes(general, 'mmdd') == read_classes(tiny, 'mmdd')
    assert set(class_wnids('tiny_imagenet')) < set(class_wnids('imagenet'))


def test_teachers_of_table_3_have_the_weights_that_the_papers_full_set_has():
    """80.9 and 81.9 % are those of the second recipe; the first has 76.1 and 77.4."""
    for depth in (50, 101):
        cfg = load_config(f'configs/_base_/teachers/resnet{depth}_imagenet.py')
        model = load_config(cfg.protocol.schedule.teacher.cfg).model
        weights = f'torchvision://resnet{depth}.imagenet1k_v2'
        assert model.backbone.init_cfg.checkpoint == model.head.init_cfg.checkpoint == weights


def test_the_method_on_digits_differs_in_the_prototypes_alone():
    full, method = (config(f'd4m/convnet_digits_ipc10{change}')
                    for change in ('', '_no-prototypes'))
    assert method.model.statistics is None
    method = copy.deepcopy(method)
    method.model.statistics = full.model.statistics
    assert (method.model, method.train_cfg, method.evaluation) == (full.model, full.train_cfg,
                                                          full.evaluation)
