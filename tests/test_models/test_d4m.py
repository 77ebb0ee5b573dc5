"""D4M as whole jobs with a tiny prior: what images start from, resuming, what is refused."""
import os
import os.path as osp
import shutil
from collections import Counter

import numpy as np
import processes
import pytest
import tiny
import torch
from distilled import manifest
from mmengine.config import Config
from PIL import Image

from mmdd.apis import distill
from mmdd.engine.journal import Journal
from mmdd.models import D4M, LatentClusters
from mmdd.registry import MODELS
from mmdd.structures import DistillSlot

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))


@pytest.fixture(scope='module')
def singles(tmp_path_factory):
    """Forty single digits, four of each class."""
    return tiny.digit_scenes(tmp_path_factory.mktemp('singles') / 'scenes', singles=40)


def job(root, n=2, **model):
    cfg = tiny.classification_job(root, n=n, batch_size=7)
    cfg['model'].update(dict(type='D4M', prompter=None, seed=5), **model)
    return cfg


@pytest.fixture(scope='module')
def whole(singles, tmp_path_factory):
    """The set of an uninterrupted job."""
    return distill(job(singles), str(tmp_path_factory.mktemp('whole')))


def test_one_image_for_each_cluster_of_each_class(whole, singles):
    found = manifest(whole)
    assert found['method'] == 'D4M' and found['budget_met'] == 20
    assert found['cost']['stages']['cluster']['seconds'] > 0
    images = found['images']
    assert Counter(entry['classes'][0] for entry in images) == {c: 2 for c in tiny.CLASSES}
    for i, entry in enumerate(images):
        assert entry['prompt'] == entry['classes'][0] == tiny.CLASSES[i // 2]
        assert entry['prototype'] == dict(
            cluster=i % 2, images=4, statistics=entry['prototype']['statistics'])
        assert entry['source'] == '' and entry['accepted']
        # int(3 * 0.7) = 2 of 3 steps, two branches
        assert entry['stats']['denoiser_passes'] == 4
    files = os.listdir(osp.join(whole, '_job', 'statistics'))
    assert sorted(files) == sorted({f'{e["prototype"]["statistics"]}.npz' for e in images})
    assert len(files) == 10


def test_an_image_starts_from_its_prototype(whole, singles):
    """Again by hand: the stored centre, the slot's seed and prompt, strength 0.7."""
    slot = next(DistillSlot.from_dict(entry) for entry in Journal(whole).read_plan()
                if entry['id'] == 13)
    prior = MODELS.build(tiny.stable_diffusion())
    with np.load(osp.join(whole, '_job/statistics',
                          f'{slot.prototype["statistics"]}.npz')) as content:
        centre = torch.from_numpy(content['centres'][1].astype(np.float32))
    images, _ = prior.sample([slot], init=centre[None], strength=0.7)
    expected = (images[0] * 255).round().byte().permute(1, 2, 0).numpy()
    stored = Journal(whole).read_image((13, 0))
    assert np.abs(expected.astype(int) - stored).max() <= 1
    noise, _ = prior.sample([slot])
    assert np.abs((noise[0] * 255).permute(1, 2, 0).numpy() - stored).max() > 3


def test_without_prototypes_images_start_from_noise(singles, tmp_path):
    folder = distill(job(singles, n=1, statistics=None), str(tmp_path))
    entry = manifest(folder)['images'][3]
    assert 'prototype' not in entry and entry['stats']['denoiser_passes'] == 6
    slot = next(DistillSlot.from_dict(e) for e in Journal(folder).read_plan() if e['id'] == 3)
    images, _ = MODELS.build(tiny.stable_diffusion()).sample([slot])
    expected = (images[0] * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.abs(expected.astype(int) - Journal(folder).read_image((3, 0))).max() <= 1
    assert not osp.exists(osp.join(folder, '_job', 'statistics'))


def test_batches_of_another_size_give_the_same_set(whole, singles, tmp_path):
    cfg = job(singles, statistics=dict(type='LatentClusters', batch_size=3))
    cfg['train_cfg']['batch_size'] = 4
    folder = distill(cfg, str(tmp_path))
    assert Journal(folder).read_plan() == Journal(whole).read_plan()
    for i in range(20):
        one, two = (Journal(f).read_image((i, 0)).astype(int) for f in (folder, whole))
        assert np.abs(one - two).max() <= 1


def test_a_job_killed_while_clustering_or_sampling_goes_on(whole, singles, tmp_path, monkeypatch):
    """The same bytes; finished classes are not encoded again."""
    plain, classes = LatentClusters.summarize, []

    def stop(self, *args):
        if len(classes) == 4:
            raise KeyboardInterrupt
        classes.append(1)
        return plain(self, *args)

    monkeypatch.setattr(LatentClusters, 'summarize', stop)
    with pytest.raises(KeyboardInterrupt):
        distill(job(singles), str(tmp_path))
    assert len(os.listdir(tmp_path / 'distilled/_job/statistics')) == 4
    monkeypatch.setattr(LatentClusters, 'summarize',
                        lambda self, *args: (classes.append(1), plain(self, *args))[1])
    step, batches = D4M.initial_latents, []

    def second(self, slots):
        batches.append(slots)
        if len(batches) == 2:
            raise KeyboardInterrupt
        return step(self, slots)

    monkeypatch.setattr(D4M, 'initial_latents', second)
    with pytest.raises(KeyboardInterrupt):
        distill(job(singles), str(tmp_path), resume=True)
    assert len(classes) == 10 and len(list(Journal(str(tmp_path / 'distilled')).keys())) == 7
    monkeypatch.setattr(D4M, 'initial_latents', step)
    folder = distill(job(singles), str(tmp_path), resume=True)
    assert len(classes) == 10
    assert manifest(folder)['sha256'] == manifest(whole)['sha256']


@pytest.mark.slow
def test_two_ranks_make_the_same_set(whole, singles, tmp_path):
    cfg = job(singles)
    cfg['model_wrapper_cfg'] = dict(type='MMSeparateDistributedDataParallel')
    Config(cfg).dump(str(tmp_path / 'job.py'))
    processes.run_ranks('tools/distill.py', tmp_path / 'job.py', '--launcher', 'pytorch',
                        '--work-dir', tmp_path / 'work')
    folder = str(tmp_path / 'work' / 'distilled')
    assert Journal(folder).read_plan() == Journal(whole).read_plan()
    for i in range(20):
        one, two = (Journal(f).read_image((i, 0)).astype(int) for f in (folder, whole))
        assert np.abs(one - two).max() <= 1


def test_saved_smaller_and_from_the_nearest_image(whole, singles, tmp_path):
    """Bicubic from 32 to 20 pixels; the source is the image that stands for the cluster."""
    cfg = job(singles, n=1, saved_size=20,
              statistics=dict(type='LatentClusters', nearest=True))
    folder = distill(cfg, str(tmp_path / 'small'))
    cfg['model']['saved_size'] = None
    large = distill(cfg, str(tmp_path / 'large'))
    for i in range(10):
        picture = Image.fromarray(Journal(large).read_image((i, 0)))
        assert picture.size == (32, 32)
        np.testing.assert_array_equal(Journal(folder).read_image((i, 0)),
                                      np.asarray(picture.resize((20, 20), Image.BICUBIC)))
    for entry in manifest(folder)['images']:
        label, name = entry['source'].split('/')
        assert label == entry['classes'][0]
        assert osp.isfile(osp.join(singles, 'single/train', label, name))


def test_black_images_fail_and_are_made_again(singles, tmp_path, monkeypatch):
    """Trap: a safety checker blackens images in silence. Here there is none."""
    prior = MODELS.build(tiny.stable_diffusion())
    assert not any('safety' in name for name, _ in prior.named_modules())
    kind = type(prior)
    decode = kind.decode_latents

    def darken(self, latents, fast=False):
        images = decode(self, latents, fast)
        images[0] = float('nan')  # what an overflow in fp16 gives
        return images

    monkeypatch.setattr(kind, 'decode_latents', darken)
    found = manifest(distill(job(singles, n=1), str(tmp_path)))
    # The first of each batch of seven; of those two again the first, then that one alone.
    assert found['failures'] == dict(attempts=4, reasons={'not finite': 4}, missing=[0])
    assert (found['budget_asked'], found['budget_met'], found['images_made']) == (10, 9, 9)
    assert [(entry['slot'], entry['round']) for entry in found['images']] == [
        (slot, int(slot == 7)) for slot in range(1, 10)]
    assert found['per_class'][tiny.CLASSES[0]] == dict(images=0)


def test_more_images_than_a_class_has(singles, tmp_path):
    with pytest.raises(ValueError, match=r'IPC\(n=5\): the budget is 50 images, more than the '
                                         r'real set has \(40\)'):
        distill(job(singles, n=5), str(tmp_path))
    shutil.copytree(osp.join(singles, 'single'), tmp_path / 'single')
    os.unlink(sorted((tmp_path / 'single/train/3').iterdir())[0])
    cfg = job(tmp_path, n=4, statistics=None)
    fours = tmp_path / 'single/train/4'
    shutil.copy(sorted(fours.iterdir())[0], fours / 'x.png')
    with pytest.raises(ValueError, match='class 3 has only 3 real images; lower the budget'):
        distill(cfg, str(tmp_path / 'work'))


@pytest.mark.parametrize('task', ['detection', 'segmentation'])
def test_boxes_and_masks_are_refused(digits, tmp_path, task):
    cfg = job(digits, n=1)
    dataset = tiny.voc_dataset if task == 'detection' else tiny.mask_dataset
    writer = 'VOCWriter' if task == 'detection' else 'SegMapWriter'
    cfg['train_dataloader']['dataset'] = dataset(digits, images=False)
    cfg['train_cfg']['writer'] = dict(type=writer)
    with pytest.raises(ValueError, match='D4M distills classification sets, one class per image; '
                                         '.* has boxes, a mask or another number of classes'):
        distill(cfg, str(tmp_path))


@pytest.mark.parametrize('change, message', [
    (dict(train_cfg=dict(budget=dict(type='Total', n=4))),
     r"budget must be dict\(type='IPC', n=...\), got Total\(n=4\)"),
    (dict(model=dict(strength=1.5)), 'strength must be .*above 0 and at most 1, got 1.5'),
    (dict(model=dict(statistics=dict(type='LatentClusters', expnd=2))),
     "model.statistics.expnd: LatentClusters has no such setting; did you mean 'expand'"),
    (dict(model=dict(statistics=dict(type='LatentCluster'))),
     "there is no component 'LatentCluster'; did you mean 'LatentClusters'")])
def test_bad_settings_are_refused_before_anything_is_written(singles, tmp_path, change, message):
    cfg = job(singles)
    for key, value in change.items():
        cfg[key].update(value)
    with pytest.raises(ValueError, match=message):
        distill(cfg, str(tmp_path))
    assert not osp.exists(tmp_path / 'distilled/_job/statistics')


def test_a_prompter_that_asks_about_real_images_is_refused():
    prompter = dict(type='VLMPrompter', backend=dict(type='OpenAIBackend', model='m'))
    with pytest.raises(ValueError, match='D4M has no real image behind a slot that VLMPrompter'):
        D4M(diffusion=tiny.stable_diffusion(), prompter=prompter)


def test_a_prior_without_a_text_encoder_is_refused(singles, tmp_path):
    """D4M tells the prior what to draw by the label's text."""
    source = osp.join(ROOT, 'mmdd', 'priors', 'digits-sd')
    folder = shutil.copytree(source, tmp_path / 'prior',
                             ignore=shutil.ignore_patterns('text_encoder'))
    cfg = job(singles)
    cfg['model']['diffusion'] = dict(type='StableDiffusion', pretrained=str(folder))
    with pytest.raises(ValueError, match='text_encoder'):
        distill(cfg, str(tmp_path / 'work'))
