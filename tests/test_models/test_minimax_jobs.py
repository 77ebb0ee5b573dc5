"""Jobs of Minimax: fine-tuning first where it is missing, then sampling."""
import copy
import json
import os
import os.path as osp

import numpy as np
import pytest
import tiny
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from PIL import Image

from mmdd.apis import distill
from mmdd.datasets import ClassSubset
from mmdd.engine import distill_job
from mmdd.engine.distill_job import plan_fine_tunings
from mmdd.engine.fine_tune_checks import check_images
from mmdd.utils.locks import unless_taken


def images(folder):
    with open(osp.join(folder, 'manifest.json')) as f:
        manifest = json.load(f)
    names = [entry['files'][0] for entry in manifest['images']]
    return manifest, {name: np.asarray(Image.open(osp.join(folder, name)), int) for name in names}


def fine_tune(digits, path=None, **kwargs):
    return dict(dict(type='FineTuned', checkpoint=path,
                     cfg=tiny.fine_tune_job(digits, max_iters=2, memory_size=1)), **kwargs)


def test_shards_are_fine_tuned_once_and_sampled_in_any_batches(digits, tmp_path):
    """One command; another batch size gives the same set; a kill costs nothing."""
    path = str(tmp_path / 'weights' / 'tuned.pth')
    job = tiny.minimax_job(digits, fine_tune=fine_tune(digits, path, classes_per_shard=6))
    first, found = images(distill(copy.deepcopy(job), str(tmp_path / 'first')))
    assert len(found) == 10 and first['method'] == 'Minimax'
    shards = [str(tmp_path / 'weights' / f'tuned_{name}.pth') for name in ('0-5', '6-9')]
    content = [torch.load(shard, weights_only=True)['state_dict'] for shard in shards]
    # each has seen two batches of three, of its own classes alone
    assert [len(state['real.pushed']) for state in content] == [6, 4]
    assert [int(state['real.pushed'].sum()) for state in content] == [6, 6]
    # DiffFit's parameters, memories and the counter; no frozen weight
    assert not any(key.endswith('to_q.weight') for key in content[0])
    stages = first['cost']['stages']
    assert {name: stage.get('updates') for name, stage in stages.items()
            if name.startswith('train')} == {'train fine_tune': 2,
                                             'train fine_tune (tuned_6-9.pth)': 2}
    assert stages['train fine_tune']['denoiser_passes'] == 2 * 3
    times = [osp.getmtime(shard) for shard in shards]
    job['train_cfg']['batch_size'] = 7
    second, again = images(distill(copy.deepcopy(job), str(tmp_path / 'second')))
    assert [osp.getmtime(shard) for shard in shards] == times
    assert first['job'] == second['job']
    assert found.keys() == again.keys()
    assert max(np.abs(found[name] - again[name]).max() for name in found) <= 1
    raw = tiny.minimax_job(digits)
    _, untuned = images(distill(raw, str(tmp_path / 'raw')))
    assert max(np.abs(found[name] - untuned[name]).max() for name in found) > 1
    # weights that are gone are not made again for a set that is whole, nor for one that is not
    os.rename(shards[1], f'{shards[1]}.kept')
    assert distill(copy.deepcopy(job), str(tmp_path / 'second'), resume=True)
    os.rename(tmp_path / 'second/distilled/manifest.json', tmp_path / 'manifest.json')
    with pytest.raises(ValueError, match='tuned_6-9.pth: the weights of model.fine_tune are gone'):
        distill(copy.deepcopy(job), str(tmp_path / 'second'), resume=True)
    assert not osp.exists(shards[1])
    # other weights are another job
    torch.save(dict(state_dict=content[1]), shards[1])
    with pytest.raises(ValueError, match='fine_tuned_weights|another'):
        distill(copy.deepcopy(job), str(tmp_path / 'second'), resume=True)


def test_weights_are_kept_in_the_work_dir_by_default(digits, tmp_path):
    distill(tiny.minimax_job(digits, fine_tune=fine_tune(digits)), str(tmp_path))
    assert osp.isfile(tmp_path / 'fine_tuned.pth') and osp.isfile(tmp_path / 'fine_tuned.json')


@pytest.mark.parametrize('change, message', [
    (dict(prompter=dict(type='ClassPrompter', plural='')),
     'a DiT is conditioned on classes and reads no text'),
    (dict(diffusion=tiny.dit(num_classes=9)), 'knows 9 classes, class 9 is asked for'),
    (dict(diffusion=tiny.dit(class_map=[1, 2])), 'class_map has 2 classes, the real set has 10'),
    (dict(diffusion=tiny.dit(pretrained='./none')), "no diffusion weights at './none'"),
    (dict(fine_tune=dict(type='FineTuned', cfg={}, weights='best')), 'weights must be one of'),
    (dict(fine_tune=dict(type='FineTuned', cfg={}, weigths='ema')), "did you mean 'weights'"),
], ids=['prompter', 'few-classes', 'map', 'weights', 'choice', 'typo'])
def test_bad_input_is_refused_before_anything_is_trained(change, message, digits, tmp_path):
    job = tiny.minimax_job(digits, **{'fine_tune': fine_tune(digits), **change})
    with pytest.raises(ValueError, match=message):
        distill(job, str(tmp_path / 'work'))
    assert not osp.exists(tmp_path / 'work' / 'fine_tuned_train')


def test_class_subset(digits):
    whole = DATASETS.build(tiny.class_folders(digits, images=False))
    part = ClassSubset(whole, [7, 2])
    assert part.metainfo == whole.metainfo
    assert sorted(part.get_gt_labels()) == [2, 7] and len(part) == 2
    for i, label in enumerate(part.get_gt_labels()):
        assert part.get_data_info(i)['gt_label'] == label
        assert int(part[i]['data_samples'].gt_label) == label
    with pytest.raises(ValueError, match=r'no image of 1 of 2 labels \(\[11\]\)'):
        ClassSubset(whole, [1, 11])


@pytest.mark.parametrize('shards', [None, 5])
@pytest.mark.parametrize('key, value, words', [
    ('train_dataloader.dataset.data_root', '/nowhere', 'cfg: /nowhere/single/train: the c'),
    ('train_dataloader.dataset.metainfo.classes', tuple('1234567890'), 'sorted folder 0 is 0'),
    ('model.lambda_rr', 1., "fine_tune.cfg.model.lambda_rr: .* did you mean 'lambda_r'"),
    ('optim_wrapper.optimizer.lr', -1., 'fine_tune.cfg.optim_wrapper.optimizer.lr'),
    (None, None, '/proc/x cannot be written .* give another model.fine_tune.checkpoint')])
def test_every_fine_tuning_is_checked_before_the_first(digits, tmp_path, shards, key, value,
                                                       words):
    path = None if key else '/proc/x/tuned.pth'
    job = Config(tiny.minimax_job(
        digits, fine_tune=fine_tune(digits, path, classes_per_shard=shards)))
    if key:
        job.merge_from_dict({f'model.fine_tune.cfg.{key}': value})
    job.work_dir = str(tmp_path)
    with pytest.raises(ValueError, match=words.replace('(', r'\(').replace(')', r'\)')):
        plan_fine_tunings(job)
    assert not os.listdir(tmp_path)


def test_class_shards_are_trained_beside_other_array_tasks(digits, tmp_path, monkeypatch):
    """Checked while the others wait, then shared without the lock of the whole job."""
    lock, seen = str(tmp_path / 'distilled.lock'), []

    def note(*args):
        with unless_taken(lock) as free:
            seen.append((args[0][0][1], free))

    def share(fine_tunings):
        note(fine_tunings)
        raise ValueError('the rest is left out')

    monkeypatch.setattr(distill_job, 'check_fine_tunes', note)
    monkeypatch.setattr(distill_job, 'share_trainings', share)
    job = tiny.minimax_job(digits, fine_tune=fine_tune(digits, classes_per_shard=5))
    with pytest.raises(ValueError, match='the rest is left out'):
        distill(job, str(tmp_path), shard='0/2')
    path = str(tmp_path / 'fine_tuned_0-4.pth')
    assert seen == [(path, False), (path, True)]


def test_a_shard_needs_images_of_its_classes(digits):
    cfg = Config(tiny.fine_tune_job(digits))
    cfg.train_dataloader.dataset.indices = 1
    with pytest.raises(ValueError, match=r'no image of 9 of 10 classes \(1, 2, 3, 4, 5\)'):
        check_images(cfg, [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]], tiny.CLASSES)
    check_images(cfg, [[0]], tiny.CLASSES)
    with pytest.raises(ValueError, match="fine-tuning has other classes .* class 0 is '0' there"):
        check_images(cfg, [[0]], [f'c{i}' for i in range(10)])
