"""The whole job small: one of each task, what it says, and where a failure comes from."""
import os
import os.path as osp

import own_data
import pytest
from mmengine.config import Config

from mmdd.engine.distill_job import read_job
from mmdd.engine.parts import parts_of
from mmdd.models.diffusions import word_tokenizer
from mmdd.registry import MODELS
from mmdd.starter.init_job import init_job
from mmdd.starter.rehearsal import dry_distill
from mmdd.starter.shrink import (
    cut_dataset,
    evenly,
    redirect,
    scale_down,
    shrink_job,
    shrink_training,
    spread,
    tiny_diffusion,
)
from mmdd.utils.compat import setup
from mmdd.utils.components import check_part
from mmdd.utils.config import load_config

JOBS = dict(
    cls=(lambda root: own_data.class_folders(root, splits=('train', 'val')), 2, 12, 'top1'),
    det=(own_data.roboflow, 4, 8, 'AP50'), seg=(own_data.masks, 4, 6, 'mIoU'))


@pytest.mark.parametrize('task', JOBS)
def test_dry_run(task, tmp_path):
    folder, made, real, metric = JOBS[task]
    out, _ = init_job(str(folder(tmp_path / 'data')), str(tmp_path / 'job'), device='cpu')
    lines = dry_distill(osp.join(out, 'unidd.py'), str(tmp_path / 'work'))
    assert lines[0].startswith(f'made {made} images of 2 classes by UniDD')
    assert lines[1].startswith(f'trained a student for 2 updates and tested it ({metric} ')
    asked = dict(cls=12, det=8, seg=6)[task]
    assert lines[2] == (
        f'the job makes {asked} images for {real} real ones of 2 classes, in at most 4 rounds: '
        f'{asked} x 25 steps x 2 = {asked * 50:,} denoiser evaluations each')
    assert 'come from the hub' in lines[3]
    assert lines[4].startswith('the proxy is trained first: ')
    assert lines[5] == f'a student gets {dict(cls=500, det=300, seg=300)[task]} updates'
    assert lines[6].startswith('dry run passed in ')
    kept, = (tmp_path / 'work').iterdir()
    assert (kept / 'distilled/manifest.json').is_file() and (kept / 'proxy.pth').is_file()
    assert not osp.exists(osp.join(out, 'proxy.pth')), 'no weights of two updates in the job'


def test_prompts_of_a_dry_run_are_as_long_as_those_of_the_job(tmp_path):
    """The tokenizer knows their words; as bytes they would be cut, and a warning say so."""
    root = own_data.masks(tmp_path / 'data')
    out, _ = init_job(str(root), str(tmp_path / 'job'), device='cpu',
                      classes=['Grünflächen der Stadt', 'pedestrian crossing'])
    small, _ = shrink_job(read_job(osp.join(out, 'unidd.py')), 'scratch')
    tokenizer = word_tokenizer(small.model.diffusion.tokenizer)
    prompt = ('a photo of two pedestrian crossings and a Grünflächen der Stadt, large pedestrian '
              'crossing at the top left, pedestrian crossing overlapping Grünflächen der Stadt')
    tokens = len(prompt.replace(',', ' ,').split())
    assert len(tokenizer(prompt)['input_ids']) == 2 + tokens == 28
    for kind in ('StableDiffusion', 'StableDiffusionXL', 'StableDiffusion3', 'Flux'):
        node = tiny_diffusion(Config(dict(node=dict(type=kind))).node, ['zebra'])
        lists = [node[key] for key in node if key.startswith('tokenizer')]
        assert lists and all({'zebra', 'photo'} <= set(words) for words in lists), kind


def test_a_coreset_leaves_nothing_behind(tmp_path, monkeypatch):
    out, _ = init_job(str(own_data.class_folders(tmp_path / 'data')), str(tmp_path / 'job'))
    monkeypatch.setenv('TMPDIR', str(tmp_path / 'tmp'))
    (tmp_path / 'tmp').mkdir()
    monkeypatch.setattr('tempfile.tempdir', None)
    monkeypatch.chdir(tmp_path)
    lines = dry_distill(osp.join(out, 'random_coreset.py'))
    assert lines[0] == 'made 2 images of 2 classes by RandomCoreset, 2 pass'
    assert lines[2] == 'the job makes 10 images for 10 real ones of 2 classes'
    assert not [name for name in os.listdir(tmp_path / 'tmp') if name.startswith('dry_run_')]
    assert sorted(os.listdir(tmp_path)) == ['data', 'job', 'tmp']


def test_a_failure_says_where(tmp_path):
    root = own_data.class_folders(tmp_path / 'data', splits=('train', 'val'))
    out, _ = init_job(str(root), str(tmp_path / 'job'))
    config = osp.join(out, 'random_coreset.py')
    budget = r'^dry run, data: IPC\(n=50\).* lower it \(what was made'
    with pytest.raises(ValueError, match=budget):
        dry_distill(config, str(tmp_path / 'work'), {'train_cfg.budget.n': 50})
    (root / 'train/circle/circle0.png').write_bytes(b'spoilt')
    with pytest.raises(ValueError, match='^dry run, distill: .*circle0.png: cannot be read'):
        dry_distill(config, str(tmp_path / 'work'))


@pytest.mark.parametrize('kind, size', [('StableDiffusion', 400), ('StableDiffusionXL', 500),
                                        ('DiT', 200)])
def test_tiny_diffusions_keep_kind_and_guidance(kind, size):
    node = tiny_diffusion(Config(dict(node=dict(
        type=kind, pretrained='some/where', steps=250, cfg_scale=7.5,
        scheduler=dict(type='DDPMScheduler')))).node)
    built = MODELS.build(node)
    assert type(built).__name__ == kind and built.cfg_scale == 7.5
    assert built.steps == 4 and type(built.scheduler).__name__ == 'DDPMScheduler'
    assert sum(p.numel() for p in built.parameters()) < 1000 * size


@pytest.mark.parametrize('kind, kept, size', [
    ('StableDiffusion3', dict(use_t5=False, cfg_scale=4.5), 200),
    ('Flux', dict(embedded_guidance=2.5, cfg_scale=1.), 200)])
def test_tiny_priors_of_flow_matching(kind, kept, size):
    node = tiny_diffusion(Config(dict(node=dict(
        type=kind, pretrained='some/where', steps=50, scheduler=dict(shift=2.), **kept))).node)
    built = MODELS.build(node)
    assert type(built).__name__ == kind and built.steps == 4 and built.scheduler.shift == 2.
    assert built.cfg_scale == kept['cfg_scale']
    assert getattr(built, 'embedded_guidance', None) == kept.get('embedded_guidance')
    assert getattr(built, 'text_encoder_3', None) is None
    assert sum(p.numel() for p in built.parameters()) < 1000 * size


def test_an_energy_decoder_stays_one():
    node = tiny_diffusion(load_config(
        'configs/_base_/unidd_digits_scenes.py').model.diffusion)
    assert MODELS.build(node).small_decoder is not None


def test_shrunk_training_downloads_and_validates_nothing():
    cfg = shrink_training(load_config('configs/_base_/proxies/faster-rcnn_r50_voc0712.py'), 'out')
    assert 'init_cfg' not in cfg.model.backbone and cfg.val_dataloader is None
    assert cfg.train_cfg.max_iters == 2 and cfg.train_dataloader.batch_size == 2
    scale, = (step.scale for step in cfg.test_dataloader.dataset.pipeline
              if step.type == 'Resize')
    assert tuple(scale) == (320, 192)


def test_sizes_are_scaled_together():
    cfg = Config(dict(
        model=dict(data_preprocessor=dict(size=(512, 512))),
        train_dataloader=dict(dataset=dict(pipeline=[
            dict(type='RandomResize', scale=(2048, 512), ratio_range=(0.5, 2.0)),
            dict(type='RandomCrop', crop_size=(512, 512))]))))
    scale_down(cfg)
    resize, crop = cfg.train_dataloader.dataset.pipeline
    assert tuple(resize.scale) == (320, 64) and tuple(crop.crop_size) == (64, 64)
    assert tuple(cfg.model.data_preprocessor['size']) == (64, 64)
    assert resize.ratio_range == (0.5, 2.0)


def test_redirect_moves_only_what_lies_in_work_dirs():
    node = dict(a=['work_dirs/x.pth', 'configs/y.py'], b=('data/z', 3))
    assert redirect(node, 's') == dict(a=['s/x.pth', 'configs/y.py'], b=('data/z', 3))


def test_cut_sets_keep_every_class(tmp_path):
    setup()
    own_data.class_folders(tmp_path / 'data', per_class=30)
    node = dict(type='CustomDataset', _scope_='mmpretrain', data_root=str(tmp_path / 'data'),
                data_prefix='', pipeline=[])
    few, many, eight = (Config(dict(node=dict(node, **more))).node
                        for more in ({}, {}, dict(indices=40)))
    cut_dataset(few, spread)
    cut_dataset(many, lambda dataset: spread(dataset, number=20))
    assert min(sum(i < 30 for i in many.indices), sum(i >= 30 for i in many.indices)) >= 20
    assert len(few.indices) == 24
    assert min(sum(i < 30 for i in few.indices), sum(i >= 30 for i in few.indices)) >= 3
    cut_dataset(eight, evenly)
    assert eight.indices == [0, 5, 11, 16, 22, 27, 33, 39]


def test_nothing_is_trained_into_work_dirs():
    backbone = 'work_dirs/digits/convnet_backbone.pth'
    job = read_job('configs/unidd/faster-rcnn_digits_5pct.py')
    small, left_out = shrink_job(job, 'scratch')
    trained, = (node for node in small.prepare if node.type.endswith('TrainedCheckpoint'))
    assert trained.checkpoint == 'scratch/digits/convnet_backbone.pth'
    assert trained.config.train_cfg.max_iters == 2
    assert small.default_hooks.set_metrics.extractor.checkpoint == trained.checkpoint
    assert small.model.proxy.checkpoint == 'scratch/proxy.pth'
    for where, registry, node in parts_of(small):  # what stands there now is taken as well
        check_part(where, registry, node)
    assert 'work_dirs' not in str(small.to_dict()) and left_out == []
    assert backbone in str(job.to_dict()), 'the job itself is not changed'


def test_methods_say_what_suits_a_few_images():
    small, _ = shrink_job(read_job('configs/sdxl_turbo/convnet_digits_ipc10.py'), 'scratch')
    assert small.train_cfg.budget == dict(type='IPC', n=5), 'four copies beside each image'
    small, _ = shrink_job(read_job('configs/patch_selection/convnet_digits_ipc10.py'), 'scratch')
    assert small.model.num_clusters == 2 and small.model.diffusion.get('pretrained') is None
    small, _ = shrink_job(
        read_job('configs/patch_selection/resnet18_imagenette_ipc10.py'), 'scratch')
    assert small.model.composition == 'S', 'three photographs of a class give no four patches'
    small, _ = shrink_job(read_job('configs/rded/resnet18_imagenette_ipc10.py'), 'scratch')
    assert small.model.factor == 1, 'three photographs of a class fill no 2 x 2 cells'
    small, left_out = shrink_job(read_job('configs/minimax/convnet_digits_ipc10.py'), 'scratch')
    assert left_out == ['fine-tuning: the prior is sampled as it is']
    small, left_out = shrink_job(
        read_job('configs/unidd/faster-rcnn_voc_1pct_gpt-4o.py'), 'scratch')
    assert left_out == ['prompts of a vision-language model: prompts are made from the labels']
    assert small.model.prompter == dict(type='AnnotationPrompter')
