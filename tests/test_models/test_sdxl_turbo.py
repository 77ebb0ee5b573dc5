"""Whole jobs of SDXL-Turbo distillation with tiny networks, and what is refused."""
import copy
import logging
import os.path as osp
from collections import Counter

import numpy as np
import pytest
import tiny
import torch
from distilled import manifest
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from PIL import Image
from test_sdxl import pipeline, reference

from mmdd.apis import distill
from mmdd.engine.hooks import TimeBudgetHook
from mmdd.engine.preflight import check_data, check_job
from mmdd.registry import HOOKS, MODELS
from mmdd.structures import DistillSlot
from mmdd.utils.config import load_config

IPC = 5


@pytest.fixture(scope='module')
def singles(tmp_path_factory):
    """Five single digits of each class."""
    return tiny.digit_scenes(tmp_path_factory.mktemp('singles') / 'scenes', train=1, singles=50)


def job(singles, n=IPC, minutes=10., hooks=(), train_cfg=None, **model):
    cfg = tiny.classification_job(singles, n=n, **(train_cfg or {}))
    cfg['train_cfg'].setdefault('batch_size', 4)
    cfg['model'] = dict(
        dict(type='SDXLTurbo', image_size=32, diffusion=tiny.stable_diffusion_xl(),
             set_stages=[dict(type='PostAugmentation', size=16)]), **model)
    cfg['custom_hooks'] = [dict(type='TimeBudgetHook', minutes=minutes), *hooks]
    return cfg


def pictures(folder):
    """Images of a set in the order of the manifest."""
    found = []
    for entry in manifest(folder)['images']:
        with Image.open(osp.join(folder, entry['files'][0])) as image:
            found.append(np.asarray(image).astype(int))
    return np.stack(found)


@pytest.fixture(scope='module')
def folder(singles, tmp_path_factory):
    return distill(job(singles), str(tmp_path_factory.mktemp('turbo')))


def test_two_budgets_one_generation(folder):
    """IPC 5 written are one generated and four copies, class by class."""
    found = manifest(folder)
    assert (found['method'], found['budget_asked'], found['images_made']) == ('SDXLTurbo', 50, 10)
    entries = found['images']
    assert Counter(entry['classes'][0] for entry in entries) == {c: IPC for c in tiny.CLASSES}
    assert [entry['slot'] for entry in entries] == list(range(50))
    assert [entry.get('stats', {}).get('copy', 0) for entry in entries] == [0, 1, 2, 3, 4] * 10
    assert [entry['prompt'] for entry in entries] == [c for c in tiny.CLASSES for _ in range(5)]
    assert {entry['source'] for entry in entries} == {''}  # no real image stands behind one
    assert sum(entry['stats'].get('denoiser_passes', 0) for entry in entries) == 10
    assert pictures(folder).shape == (50, 16, 16, 3)


def test_the_originals_are_those_of_the_pipeline_of_diffusers(folder):
    diffusion = MODELS.build(tiny.stable_diffusion_xl())
    entries = manifest(folder)['images'][::5]
    slots = [DistillSlot(0, entry['seed'], (32, 32), np.array([0]), prompt=name)
             for name, entry in zip(tiny.CLASSES, entries)]
    images = reference(diffusion, slots, pipeline(diffusion)).permute(0, 2, 3, 1).numpy()
    for image, found in zip(images, pictures(folder)[::5]):
        whole = Image.fromarray((image * 255).round().astype('u1'))
        small = np.asarray(whole.resize((16, 16), Image.Resampling.BICUBIC)).astype(int)
        assert np.abs(small - found).max() <= 1


@HOOKS.register_module()
class StopAfterTwoBatches(Hook):
    """Stands for a kill."""

    def after_distill_iter(self, runner, samples):
        if runner.train_loop.iter == 1:
            raise KeyboardInterrupt


@HOOKS.register_module()
class LogHook(Hook):
    """Gives a handler what the job logs."""
    handler = None

    def before_train(self, runner):
        MMLogger.get_current_instance().addHandler(self.handler)


def test_resumed_and_batched_otherwise_it_is_the_same_set(singles, folder, tmp_path):
    work_dir = str(tmp_path / 'killed')
    with pytest.raises(KeyboardInterrupt):
        distill(job(singles, hooks=[dict(type='StopAfterTwoBatches')]), work_dir)
    again = distill(job(singles), work_dir, resume=True)
    keys = ('files', 'slot', 'seed', 'prompt', 'classes')
    assert [[e[k] for k in keys] for e in manifest(again)['images']] == [
        [e[k] for k in keys] for e in manifest(folder)['images']]
    assert (pictures(again) == pictures(folder)).all()
    assert manifest(again)['time_budget']['spent_minutes'] is None
    other = distill(job(singles, train_cfg=dict(batch_size=7)), str(tmp_path / 'other'))
    assert np.abs(pictures(other) - pictures(folder)).max() <= 2


def test_metrics_are_those_of_the_written_images(singles, tmp_path, classifier_proxy):
    """Not of the samples before the set stages, whose numbers the images share."""
    work_dir = tmp_path / 'job'
    torch.save(dict(state_dict=classifier_proxy.model.state_dict()), tmp_path / 'proxy.pth')
    extractor = dict(type='ClassifierProxy', cfg=tiny.classifier_job(singles),
                     checkpoint=str(tmp_path / 'proxy.pth'))
    hook = dict(type='FeatureMetricsHook', extractor=extractor, size=16, num_real=20, k=3)
    found = manifest(distill(job(singles, hooks=[hook]), str(work_dir)))['metrics']
    images = torch.from_numpy(pictures(work_dir / 'distilled')).permute(0, 3, 1, 2).float() / 255
    features = classifier_proxy.features(images).numpy()
    stored = sorted(work_dir.rglob('set_*.npz'))
    assert found['num_distilled'] == len(stored) == 50
    stored = np.stack([np.load(file)['features'] for file in stored])
    np.testing.assert_allclose(stored, features, atol=1e-4)


def test_time_budget_in_the_manifest(folder):
    found = manifest(folder)['time_budget']
    assert found['minutes'] == 10 and found['met'] is True
    assert 0 < found['spent_minutes'] < 10 and 0 < found['projected_minutes'] < 10
    made = [entry['seconds'] for entry in manifest(folder)['images'] if entry['seconds']]
    assert len(made) == 10
    assert found['images_per_second'] == pytest.approx(10 / sum(made), rel=0.05)


def test_a_budget_that_does_not_fit_is_told_and_not_refused(singles, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    LogHook.handler = caplog.handler
    folder = distill(job(singles, minutes=1e-4, hooks=[dict(type='LogHook')]), str(tmp_path))
    line, = (r for r in caplog.records if r.getMessage().startswith('time budget'))
    assert line.levelname == 'WARNING' and 'of 0.0001 minutes for 10 images' in line.getMessage()
    assert 'does not fit; take a smaller budget' in line.getMessage()
    found = manifest(folder)['time_budget']
    assert found['met'] is False and len(manifest(folder)['images']) == 50


def test_the_projection_is_what_is_left_after_two_batches(monkeypatch):
    """Seconds by hand: 5 spent, 3 of 5 batches left at 2 s, 40 samples written in 0.1 s."""
    class Loop:
        iter, max_iters, slots = 0, 5, [None] * 40

    class Runner:
        train_loop = Loop()

    hook = TimeBudgetHook(minutes=1.)
    hook.start, told = 1000., []
    monkeypatch.setattr(hook, '_rehearse', lambda loop, samples: 0.1)
    monkeypatch.setattr(hook, '_tell', lambda *args: told.append(args))
    clock = iter([0., 10., 12.])
    monkeypatch.setattr('mmdd.engine.hooks.time_budget_hook.time.perf_counter',
                        lambda: next(clock))
    monkeypatch.setattr('mmdd.engine.hooks.time_budget_hook.time.time', lambda: 1005.)
    hook.before_train_iter(Runner, 0)
    hook.after_distill_iter(Runner, [None] * 8)
    assert hook.projected is None and not told  # the first batch warms up
    Loop.iter = 1
    hook.before_train_iter(Runner, 1)
    hook.after_distill_iter(Runner, [None] * 8)
    assert hook.projected * 60 == pytest.approx(5 + 3 * 2 + 40 * 0.1) and told == [(4., 40)]


def test_minutes_out_of_range():
    with pytest.raises(ValueError, match='minutes must be above 0, got 0'):
        TimeBudgetHook(minutes=0)


DIT = dict(type='mmdd.DiT', transformer=dict(num_embeds_ada_norm=10))


@pytest.mark.parametrize('change, words', [
    (dict(diffusion=DIT), r'SDXLTurbo makes images from class names, and DiT reads no '
                          r'prompts; give model.diffusion a text-to-image model'),
    (dict(diffusion=None), 'model.diffusion must be a dict, got None'),
    (dict(statistics=dict(type='LatentClusters')), 'leave out model.statistics, or use D4M')])
def test_a_prior_without_text_is_refused_before_anything_is_loaded(singles, tmp_path, change,
                                                                   words):
    cfg = load_config(job(singles, **change))
    cfg.work_dir = str(tmp_path)
    with pytest.raises(ValueError, match=words):
        check_job(cfg, resume=False)


@pytest.mark.parametrize('names, words', [
    ([f'n0144076{i}' for i in range(10)],
     r"10 classes have none \('n01440760', 'n01440761', 'n01440762'\): give"),
    (None, 'the real set has no class names: give train_dataloader.dataset metainfo')])
def test_class_names_are_missing(singles, tmp_path, names, words):
    """Folders of WordNet ids without names, and a list of files without any names."""
    cfg = load_config(job(singles))
    cfg.work_dir = str(tmp_path)
    if names:
        for name in names:
            (tmp_path / 'set' / name).mkdir(parents=True)
            Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / 'set' / name / 'a.png')
        cfg.train_dataloader.dataset.update(data_root=str(tmp_path), data_prefix='set')
        cfg.train_cfg.budget.n = 1
        cfg.model.set_stages = []
    else:
        (tmp_path / 'list.txt').write_text('0/00000.png 0\n')
        cfg.train_dataloader.dataset.update(ann_file=str(tmp_path / 'list.txt'))
    del cfg.train_dataloader.dataset['metainfo']
    with pytest.raises(ValueError, match=words):
        check_data(cfg)


@pytest.mark.parametrize('change, words', [
    (dict(n=4), 'PostAugmentation: 4 images take 0.8 samples; make the budget a multiple of 5'),
    (dict(set_stages=[dict(type='PostAugmentation', size=16, crop_size=48)]),
     r'a crop of \(48, 48\) does not fit into images of \(32, 32\)'),
    (dict(image_size=20), 'must be a multiple of 8')])
def test_a_plan_that_cannot_work_is_refused(singles, tmp_path, change, words):
    with pytest.raises(ValueError, match=words) as caught:
        distill(job(singles, **copy.deepcopy(change)), str(tmp_path))
    assert '\n' not in str(caught.value)
    assert not list(tmp_path.rglob('*.png'))
