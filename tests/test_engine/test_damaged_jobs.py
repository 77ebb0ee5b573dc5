"""Whole jobs whose state files were damaged, or whose weights are gone."""
import copy
import os
import os.path as osp
import shutil
import sys

import numpy as np
import pytest
import tiny
import torch
from distilled import manifest

from mmdd.apis import distill
from mmdd.engine import DistillLoop
from mmdd.engine.journal import Journal
from mmdd.models import RandomCoreset

NUM = 8
NOISE = np.random.default_rng(0).bytes(200)


def copied(work_dir, folder):
    """Where a copy of a finished set is, which lacks its manifest."""
    copy = shutil.copytree(folder, osp.join(work_dir, 'distilled'))
    os.unlink(osp.join(copy, 'manifest.json'))
    return copy


@pytest.fixture
def told(monkeypatch):
    """The warnings of damage so far."""
    lines = []
    monkeypatch.setattr('mmdd.utils.state.print_log',
                        lambda line, logger, level: lines.append(line))
    return lines


@pytest.fixture(scope='module')
def job(digits):
    """A job without a proxy."""
    config = tiny.distill_job(digits, total=NUM, guidance=0)
    config['model'] = dict(type='UniDD', image_size=32,
                           diffusion=tiny.stable_diffusion(steps=1, cfg_scale=1.))
    return config


@pytest.fixture(scope='module')
def whole(job, tmp_path_factory):
    return distill(copy.deepcopy(job), str(tmp_path_factory.mktemp('whole')))


def write(path, content):
    with open(path, 'wb') as f:
        f.write(content)


def cut(path):
    with open(path, 'r+b') as f:
        f.truncate(osp.getsize(path) // 2)


def test_damage_of_every_kind_heals(job, whole, tmp_path, told):
    """Attempts 0 to 6, the plan and the cost: the same bytes as those of an undisturbed job."""
    folder = copied(tmp_path, whole)
    journal = Journal(folder)
    paths = [journal._path((i, 0), '.json') for i in range(NUM)]
    cut(paths[0])
    for path, content in zip(paths[1:], (b'', NOISE, b'[3]')):
        write(path, content)
    pair = [journal._path((i, 0), '.png') for i in (4, 5)]
    pictures = [open(path, 'rb').read() for path in pair]
    for path, content in zip(pair, reversed(pictures)):
        write(path, content)
    cut(journal._path((6, 0), '.png'))
    cut(journal.plan_file)
    write(osp.join(journal.folder, 'cost/rank0.json'), b'{"stages": []}')
    write(osp.join(journal.attempts, 'notes.txt'), b'')
    distill(copy.deepcopy(job), str(tmp_path), resume=True)
    assert manifest(folder)['sha256'] == manifest(whole)['sha256']
    assert list(journal.keys()) == [(i, 0) for i in range(NUM)]
    for i, path in enumerate(paths):
        assert osp.isfile(f'{path}.damaged') == (i < 7)
        assert journal.read_image((i, 0)).tolist() == Journal(whole).read_image((i, 0)).tolist()
    named = [line.split(' is damaged')[0] for line in told]
    assert sorted(named) == sorted([*paths[:7], journal.plan_file,
                                    osp.join(journal.folder, 'cost/rank0.json')])
    assert manifest(folder)['cost']['stages']['synthesize']['denoiser_passes'] == NUM


def test_a_folder_that_vanishes_is_told(job, whole, tmp_path, monkeypatch):
    synthesize = DistillLoop.synthesize

    def vanish(loop):
        synthesize(loop)
        shutil.rmtree(loop.journal.attempts)
    with monkeypatch.context() as patch:
        patch.setattr(DistillLoop, 'synthesize', vanish)
        with pytest.raises(ValueError, match=f'attempts: {NUM} finished attempts vanished'):
            distill(copy.deepcopy(job), str(tmp_path))
    folder = distill(copy.deepcopy(job), str(tmp_path), resume=True)
    assert manifest(folder)['sha256'] == manifest(whole)['sha256']


@pytest.mark.parametrize('spoilt', [b'', b'{', NOISE, b'[1]', b'{}', b'{"stages": {"a": 1}}'])
def test_statistics_never_block(tmp_path, told, spoilt):
    from mmdd.engine.cost import CostLog
    from mmdd.utils.stage_clock import StageClock
    for rank in (0, 1):
        log = CostLog(str(tmp_path), StageClock())
        log.path = str(tmp_path / f'cost/rank{rank}.json')
        log.save()
    write(tmp_path / 'cost/rank1.json', spoilt)
    with log.clock.timed('synthesize'):
        pass
    log.path = str(tmp_path / 'cost/rank0.json')
    attempt = dict(seconds=2., stats=dict(denoiser_passes=3))
    cost = log.report({}, [attempt], 1)
    assert cost['denoiser_passes'] == 3 and cost['ranks'] == 1
    assert len(told) == 1 and told[0].startswith(f'{tmp_path}/cost/rank1.json is damaged (')


def test_a_job_that_failed_before_its_first_image_gives_way(digits, tmp_path, monkeypatch):
    config = tiny.coreset_job(digits, dict(type='RandomCoreset'), total=3)
    config['custom_hooks'] = []

    def fails(self, *args):
        raise ValueError('too few images')
    with monkeypatch.context() as patch:
        patch.setattr(RandomCoreset, 'select', fails)
        with pytest.raises(ValueError, match='too few images'):
            distill(copy.deepcopy(config), str(tmp_path))
    config['model']['seed'] = 5
    folder = distill(copy.deepcopy(config), str(tmp_path))
    assert len(manifest(folder)['images']) == 3
    assert osp.isfile(osp.join(folder, '_job.earlier/job.json'))
    config['model']['seed'] = 6
    with pytest.raises(ValueError, match='another config .other model'):
        distill(config, str(tmp_path), resume=True)


@pytest.fixture(scope='module')
def refined(digits, detector_checkpoint, tmp_path_factory):
    """A job whose proxy lies in its work dir, and its finished set."""
    config = tiny.distill_job(digits, total=2, guidance=0)
    config['model']['diffusion'].update(steps=1, cfg_scale=1.)
    work_dir = tmp_path_factory.mktemp('refined')
    shutil.copy(detector_checkpoint, work_dir / 'proxy.pth')
    return config, distill(copy.deepcopy(config), str(work_dir))


def test_weights_are_compared_before_anything_is_trained(refined, detector_checkpoint, tmp_path,
                                                         monkeypatch):
    config, whole = refined
    folder = copied(tmp_path, whole)
    monkeypatch.setattr(sys.modules['mmdd.engine.distill_job'], 'ensure_checkpoint',
                        lambda *args: pytest.fail('it trains'))
    weights = tmp_path / 'proxy.pth'
    digest = Journal(folder).job()['proxy_weights'][:16]
    with pytest.raises(ValueError) as caught:
        distill(copy.deepcopy(config), str(tmp_path), resume=True)
    assert str(caught.value).startswith(f'{weights}: the weights of model.proxy are gone, ')
    assert digest in str(caught.value) and 'put the file back' in str(caught.value)
    content = torch.load(detector_checkpoint, weights_only=False)
    next(iter(content['state_dict'].values())).add_(1)
    torch.save(content, weights)
    with pytest.raises(ValueError, match=f'other proxy_weights.*{weights} is .*{digest}'):
        distill(copy.deepcopy(config), str(tmp_path), resume=True)
    # A finished set needs no weights, as long as it is whole.
    os.unlink(weights)
    shutil.copy(osp.join(whole, 'manifest.json'), folder)
    assert distill(copy.deepcopy(config), str(tmp_path), resume=True) == folder
    os.unlink(osp.join(folder, manifest(folder)['images'][0]['files'][0]))
    with pytest.raises(ValueError, match='the weights of model.proxy are gone'):
        distill(copy.deepcopy(config), str(tmp_path), resume=True)


def test_weights_of_a_job_without_images_may_change(refined, detector_checkpoint, tmp_path):
    config, whole = refined
    journal = Journal(copied(tmp_path, whole))
    for name in os.listdir(journal.out_dir):
        if name != '_job':
            shutil.rmtree(osp.join(journal.out_dir, name))
    shutil.rmtree(journal.attempts)
    content = torch.load(detector_checkpoint, weights_only=False)
    next(iter(content['state_dict'].values())).add_(1)
    torch.save(content, tmp_path / 'proxy.pth')
    folder = distill(copy.deepcopy(config), str(tmp_path), resume=True)
    assert journal.job()['proxy_weights'] != Journal(whole).job()['proxy_weights']
    assert len(manifest(folder)['images']) == 2
