"""Every row of Minimax's tables is a config with the settings of ``paper_tables/minimax.yml``."""
import inspect
import os.path as osp

import pytest
from config_files import students, training
from mmengine.config import Config
from paper_configs import (
    PUBLISHED,
    assert_metafile_has,
    assert_readme_has,
    config,
    entries,
    read_yaml,
    student_network,
)

from mmdd.datasets.class_names import class_wnids, imagenet_indices
from mmdd.datasets.views import read_classes
from mmdd.models import MinimaxFineTuner
from mmdd.registry import TASK_UTILS

PAPER = read_yaml('tests/test_configs/paper_tables/minimax.yml')
CONSTANTS, METHODS, NETWORKS = PAPER['constants'], PAPER['methods'], PAPER['students']
ROWS = {f'{table["name"]}: {row[0]}': (table, row) for table in PAPER['tables']
        for row in table['rows']}
CORESETS = {f'{table["name"]}: {row[0]}': (table, row) for table in PAPER['coresets']
            for row in table['rows']}
TABLE_2 = 'minimax/resnetap10_imagewoof_ipc100_difffit'
PAPER_LETTER = 'minimax/resnetap10_imagewoof_ipc10_paper'


def fine_tuning(cfg):
    """The training config of a job's fine-tuning."""
    return training(cfg.model.fine_tune.cfg)


@pytest.mark.parametrize('name', ROWS)
def test_method(name):
    _, (leaf, real_set, images, *_) = ROWS[name]
    cfg = config(leaf)
    assert cfg.model.type == 'Minimax' and cfg.train_cfg.budget.type == 'IPC'
    assert TASK_UTILS.build(cfg.train_cfg.budget).resolve(*PAPER['real_sets'][real_set]) == images
    diffusion = cfg.model.diffusion
    assert dict(steps=diffusion.steps, cfg_scale=diffusion.cfg_scale,
                image_size=cfg.model.image_size) == {
                    key: CONSTANTS[key] for key in ('steps', 'cfg_scale', 'image_size')}
    assert diffusion.type == 'DiT' and 'DiT-XL-2-256' in diffusion.pretrained
    # raw DiT and fine-tuned alike
    assert (diffusion.vae, diffusion.cfg_channels) == ('stabilityai/sd-vae-ft-mse', 3)
    assert diffusion.scheduler == dict(
        type='DDPMScheduler', variance_type='learned_range', timestep_spacing='linspace')
    assert diffusion.get('class_map') == (None if real_set == 'imagenet' else real_set)
    assert cfg.train_dataloader.dataset.data_root == f'data/{real_set}/'
    assert (cfg.model.fine_tune is None) == leaf.endswith('_dit')


@pytest.mark.parametrize('name', [n for n, (_, row) in ROWS.items()
                                  if not row[0].endswith('_dit')])
def test_fine_tuning(name):
    """Section 4.1; the methods of table 5 differ in their criteria alone."""
    _, (leaf, real_set, *_) = ROWS[name]
    cfg = config(leaf)
    job = fine_tuning(cfg)
    model, optimizer = job.model, job.optim_wrapper.optimizer
    assert optimizer.type == 'AdamW' and job.get('param_scheduler') is None
    assert dict(
        {key: model[key] for key in ('lambda_r', 'lambda_d', 'memory_size')},
        epochs=job.train_cfg.max_epochs, batch_size=job.train_dataloader.batch_size,
        lr=optimizer.lr, weight_decay=optimizer.weight_decay) == {
            key: CONSTANTS[key] for key in (
                'lambda_r', 'lambda_d', 'memory_size', 'epochs', 'batch_size', 'lr',
                'weight_decay')}
    method = leaf.rpartition('_')[2]
    assert [model.get(key, 'minimax') for key in ('representativeness', 'diversity')] == (
        METHODS.get(method, ['minimax', 'minimax']))
    assert_released_recipe(cfg, job)
    assert job.train_dataloader.dataset.data_root == cfg.train_dataloader.dataset.data_root
    assert read_classes(job, 'mmdd') == read_classes(cfg, 'mmdd')
    assert model.num_classes == PAPER['real_sets'][real_set][1]
    assert model.diffusion.get('class_map') == cfg.model.diffusion.get('class_map')
    assert model.diffusion.pretrained == cfg.model.diffusion.pretrained
    crop = next(step for step in job.train_dataloader.dataset.pipeline
                if step.type == 'CenterCrop')
    assert crop.crop_size == CONSTANTS['image_size']


def assert_released_recipe(cfg, job):
    """What the published figures come from, where the paper differs or leaves it open."""
    model = job.model
    assert (model.variational, model.sample_posterior, model.flip) == (True, True, .5)
    assert list(model.scale_layers) == ['to_q', 'to_k', 'to_v', 'attn', 'attn', 'ff']
    assert model.scale_blocks == 14 and model.diffusion.vae == 'stabilityai/sd-vae-ft-ema'
    defaults = inspect.signature(MinimaxFineTuner).parameters
    assert [model.get(key, defaults[key].default) for key in ('estimate', 'pairs')] == [
        'clean', 'class']
    assert cfg.model.fine_tune.weights == 'ema'
    momentum, = (hook.momentum for hook in job.custom_hooks if hook.type == 'EMAHook')
    # about 30 % of the pretrained weights after 12,000 updates
    assert .29 < (1 - momentum)**12000 < .31


def test_the_same_weights_for_all_budgets_and_others_for_every_method():
    """Else a method would be drawn from weights of another."""
    made = {}
    for leaf in PUBLISHED:
        cfg = config(leaf)
        tuned = leaf.startswith('minimax/') and cfg.model.fine_tune
        if tuned and tuned.checkpoint:  # the points of a sweep have weights of their own
            job = fine_tuning(cfg).pretty_text
            assert made.setdefault(tuned.checkpoint, job) == job
    assert len(set(made.values())) == len(made) == 4 + 2 * len(METHODS) + 1


@pytest.mark.parametrize('name', ROWS)
def test_students(name):
    table, (leaf, *_) = ROWS[name]
    found = students(config(leaf))
    assert ['', *table['columns'][1:]] == list(found)[:len(table['columns'])]
    for student, protocol in zip(table['columns'], found.values()):
        assert student_network(protocol) == NETWORKS[student]
        cfg = training(protocol)
        if 'imagenet_' in leaf:
            assert cfg.protocol.schedule.type == 'RDEDSchedule'
        else:
            assert cfg.protocol.schedule.type == 'IDCSchedule'
            assert cfg.optim_wrapper.optimizer.lr == 0.01
            if NETWORKS[student].startswith('resnet'):
                assert cfg.model.backbone.norm_cfg.type == 'IN'


@pytest.mark.parametrize('name', ROWS)
def test_metafile_and_readme_have_the_values(name):
    table, (leaf, _, images, *values) = ROWS[name]
    assert_values('minimax', table, leaf, images, values)


def assert_values(method, table, leaf, images, values):
    """Metafile and README of a method have the values of a row."""
    assert_metafile_has(leaf, images, table['columns'], values)
    entry = entries(method)[f'configs/{leaf}.py']
    assert table['name'].split()[1] in entry['Metadata']['Source']
    assert_readme_has(leaf, values)


def test_every_published_config_is_in_a_table():
    mine = {leaf for leaf in PUBLISHED if leaf.startswith('minimax/')
            and not leaf.endswith(('-sweep', '_pool'))}
    assert mine - {PAPER_LETTER, TABLE_2} == {row[0] for _, row in ROWS.values()}


@pytest.mark.parametrize('ipc', [10, 20, 50, 70])
def test_a_budget_is_drawn_from_100_images_of_a_class(ipc):
    leaf = f'minimax/resnetap10_imagewoof_ipc{ipc}'
    found, base = (Config(config(name).to_dict()) for name in (f'{leaf}_pool', leaf))
    stage, = found.model.pop('set_stages')
    assert TASK_UTILS.build(stage).slots(ipc) == 100
    assert (found.model, found.train_cfg, found.evaluation) == (
        base.model, base.train_cfg, base.evaluation)


def test_difffit_of_table_2_is_that_of_table_5_at_another_budget():
    found, base = (Config(config(leaf).to_dict())
                   for leaf in (TABLE_2, TABLE_2.replace('ipc100', 'ipc10')))
    assert found.train_cfg.budget == dict(type='IPC', n=100)
    found.train_cfg.budget.n = 10
    assert (found.model, found.train_cfg, found.evaluation) == (
        base.model, base.train_cfg, base.evaluation)


@pytest.mark.parametrize('name', CORESETS)
def test_coresets_differ_from_the_method_in_model_and_loop_alone(name):
    table, (leaf, real_set, images, *values) = CORESETS[name]
    rule, _, rest = osp.basename(leaf).partition('_')
    cfg, method = config(leaf), config(f'minimax/{rest}')
    assert cfg.model.type == dict(random='RandomCoreset', kcenter='KCenterCoreset',
                                  herding='HerdingCoreset')[rule]
    assert (cfg.train_dataloader, cfg.evaluation) == (method.train_dataloader, method.evaluation)
    assert [cfg.train_cfg[key] for key in ('budget', 'writer')] == [
        method.train_cfg[key] for key in ('budget', 'writer')]
    assert cfg.train_cfg.budget.n * PAPER['real_sets'][real_set][1] == images
    if rule != 'random':
        assert student_network(cfg.model.proxy.cfg) == 'resnetap10'
    assert_values('coreset', table, leaf, images, values)


def test_the_letter_of_the_paper():
    cfg, job = config(PAPER_LETTER), fine_tuning(config(PAPER_LETTER))
    assert cfg.model.fine_tune.weights == 'last'
    assert cfg.model.diffusion.scheduler == dict(type='DDIMScheduler')
    assert cfg.model.diffusion.cfg_channels is cfg.model.diffusion.vae is None
    assert (job.model.estimate, job.model.pairs) == ('difference', 'item')
    assert not job.model.variational and not job.model.sample_posterior
    assert job.model.diffusion.vae is job.model.scale_blocks is None
    assert list(job.model.scale_layers) == ['attn', 'ff']


def test_shards_of_imagenet():
    cfg = config('minimax/resnet18_imagenet_ipc10')
    tuned = TASK_UTILS.build(cfg.model.fine_tune)
    assert len(tuned.shards(1000)) == 50 and tuned.classes_per_shard == 20


def test_imageidc_is_the_list_of_the_released_code():
    wnids = ('n02869837 n01749939 n02488291 n02107142 n13037406 n02091831 n04517823 n04589890 '
             'n03062245 n01773797').split()
    assert class_wnids('imageidc') == tuple(sorted(wnids))
    assert len(set(imagenet_indices('imageidc'))) == 10


def test_table_2_and_cost_are_in_metafile_and_readme():
    collection, = read_yaml('configs/minimax/metafile.yml')['Collections']
    assert collection['Metadata']['MMD'] == {
        f'IPC {n}': {name: values[n] for name, values in PAPER['mmd'].items()} for n in (50, 100)}
    stem = 'resnetap10_imagewoof_ipc'
    for end, name in (('_dit', 'DiT'), ('_difffit', 'DiffFit'), ('', 'Minimax')):
        for n, value in PAPER['mmd'][name].items():
            assert_readme_has(f'minimax/{stem}{n}{end}', [value])


@pytest.mark.parametrize('method', ['dit', 'difffit'])
def test_the_methods_on_digits_differ_in_the_fine_tuning_alone(method):
    full = config('minimax/convnet_digits_ipc10')
    other = Config(config(f'minimax/convnet_digits_ipc10_{method}').to_dict())
    assert other.model.fine_tune != full.model.fine_tune
    other.model.fine_tune = full.model.fine_tune
    assert (other.model, other.train_cfg, other.evaluation) == (
        full.model, full.train_cfg, full.evaluation)
    job = fine_tuning(full)
    assert job.model.diffusion.pretrained == full.model.diffusion.pretrained
    assert job.model.diffusion.vae == full.model.diffusion.vae
