"""What the manifest says a set cost."""
import copy
import json
import os
import shutil
import time

import pytest
import tiny
import torch
from gaussian import GaussianDiffusion

from mmdd.apis import distill
from mmdd.engine import cost as cost_module
from mmdd.engine.cost import CostLog
from mmdd.engine.hooks.train_cost_hook import count_passes
from mmdd.engine.journal import Journal
from mmdd.models import DatasetDistiller
from mmdd.registry import MODELS
from mmdd.utils.stage_clock import StageClock
from mmdd.utils.training_record import training_facts, training_records, write_record

NUM, STEPS, BRANCHES = 3, 3, 2


@MODELS.register_module(force=True)
class ScoringDistiller(DatasetDistiller):
    """Scores the real set with the denoiser before it samples."""

    def finish_collect(self, folder=None):
        with self.timed('score'):
            time.sleep(.05)
            self.diffusion.count_passes(7)

    def plan(self, budget):
        with self.timed('cluster'):
            return super().plan(budget)


def read(folder):
    return json.loads(open(f'{folder}/manifest.json').read())


@pytest.fixture(scope='module')
def job(tmp_path_factory):
    root = tiny.digit_scenes(tmp_path_factory.mktemp('real'))
    config = tiny.distill_job(root, total=NUM, guidance=0)
    config['model'] = dict(type='ScoringDistiller', image_size=32,
                           diffusion=tiny.stable_diffusion(steps=STEPS, cfg_scale=2.))
    return config


@pytest.fixture(scope='module')
def whole(job, tmp_path_factory):
    return distill(copy.deepcopy(job), str(tmp_path_factory.mktemp('whole')))


def test_the_cost_of_a_set(whole):
    content = read(whole)
    cost = content['cost']
    stages = cost['stages']
    assert list(sorted(stages)) == ['cluster', 'plan', 'prepare', 'score', 'synthesize', 'write']
    kinds = {name: stage['kind'] for name, stage in stages.items()}
    assert kinds == dict(prepare='deploy', score='deploy', plan='distill', cluster='distill',
                         synthesize='distill', write='distill')
    assert {name: stage['denoiser_passes'] for name, stage in stages.items()} == dict(
        prepare=0, score=7, plan=0, cluster=0, synthesize=NUM * STEPS * BRANCHES, write=0)
    assert cost['denoiser_passes'] == NUM * STEPS * BRANCHES + 7
    assert stages['score']['seconds'] >= .05
    for kind in ('deploy', 'distill'):
        assert cost[f'{kind}_seconds'] == pytest.approx(sum(
            stage['seconds'] for stage in stages.values() if stage['kind'] == kind), abs=.01)
    mean = sum(entry['seconds'] for entry in content['images']) / NUM
    assert cost['seconds_per_image'] == pytest.approx(mean, abs=1e-3)
    assert cost['seconds_per_kept'] == pytest.approx(mean, abs=1e-3)
    assert stages['synthesize']['seconds'] >= .9 * NUM * mean > 0
    assert cost['peak_memory_mib']['host'] > 50 and cost['ranks'] == 1
    assert not {'stage_seconds', 'peak_memory_mib'} & set(content)


def test_reading_a_finished_set_again_costs_it_nothing(whole, job, tmp_path):
    folder = shutil.copytree(whole, tmp_path / 'distilled')
    distill(copy.deepcopy(job), str(tmp_path), resume=True)
    assert read(folder)['cost'] == read(whole)['cost']


def test_a_resumed_job_adds_its_seconds_and_counts_no_image_twice(whole, job, tmp_path):
    folder = shutil.copytree(whole, tmp_path / 'distilled')
    os.unlink(folder / 'manifest.json')
    os.unlink(folder / '_job/attempts/000002_r0.json')
    distill(copy.deepcopy(job), str(tmp_path), resume=True)
    before, after = read(whole)['cost'], read(folder)['cost']
    for name in ('prepare', 'score', 'synthesize'):
        assert after['stages'][name]['seconds'] > before['stages'][name]['seconds']
    assert after['stages']['score']['denoiser_passes'] == 14
    assert after['stages']['synthesize']['denoiser_passes'] == NUM * STEPS * BRANCHES
    assert read(folder)['sha256'] == read(whole)['sha256']


def test_rejected_samples_count(whole, job):
    records = [Journal(whole).read(key) for key in Journal(whole).keys()]
    log = CostLog(Journal(whole).folder, StageClock(), finished=True)
    report = log.report({}, records, images=1)
    assert report['seconds_per_kept'] == pytest.approx(NUM * report['seconds_per_image'], abs=1e-3)


def test_a_coreset_has_a_cost(job, tmp_path):
    config = copy.deepcopy(job)
    config['model'] = dict(type='RandomCoreset')
    cost = read(distill(config, str(tmp_path)))['cost']
    assert cost['denoiser_passes'] == 0 and cost['stages']['prepare']['seconds'] > 0
    assert cost['seconds_per_kept'] == 0


def test_ranks_share_passes_and_not_seconds(tmp_path, monkeypatch):
    def spend(rank):
        monkeypatch.setattr(cost_module, 'get_rank', lambda: rank)
        monkeypatch.setattr(cost_module, 'get_world_size', lambda: 2)
        monkeypatch.setattr(cost_module, 'peak_memory_mib', lambda: dict(host=10 + rank, gpu=5))
        passes = [0]
        clock = StageClock(lambda: passes[0])
        with clock.timed('synthesize'):
            passes[0] += 10 ** rank
        clock.stages['synthesize'].seconds = 8. + rank
        log = CostLog(str(tmp_path), clock)
        log.save()
        return log

    spend(1)
    log = spend(0)
    record = dict(stats=dict(denoiser_passes=100), seconds=3.)
    report = log.report({}, [record, record], images=1)
    assert report['stages'] == dict(
        synthesize=dict(kind='distill', seconds=8., denoiser_passes=211))
    assert report['denoiser_passes'] == 211 and report['ranks'] == 2
    assert (report['seconds_per_image'], report['seconds_per_kept']) == (3., 6.)
    assert report['peak_memory_mib'] == dict(host=11, gpu=5)


def test_training_of_weights_is_deployment(tmp_path):
    proxy, folder = tmp_path / 'proxy.pth', tmp_path / 'sd1.5'
    proxy.write_bytes(b'')
    folder.mkdir()
    write_record(str(proxy), 12.5, updates=40)
    write_record(str(folder), 100., updates=7, denoiser_passes=56)
    (tmp_path / 'bad.json').write_text('{')
    (tmp_path / 'bad.pth').write_bytes(b'')
    model = dict(type='UniDD', proxy=dict(cfg=[str(folder)], checkpoint=str(proxy)),
                 diffusion=dict(pretrained=str(folder)), refiners=[dict(weights=str(proxy))],
                 prompt_file=str(tmp_path / 'bad.pth'), prompter=dict(text='', other='a ' * 999))
    assert training_facts(str(proxy)) == dict(
        config=None, seconds=12.5, updates=40, metrics=None)
    assert training_facts(None) is None
    assert {part: record['seconds'] for part, record in training_records(model).items()} == dict(
        proxy=12.5, diffusion=100.)
    clock = StageClock()
    with clock.timed('synthesize'):
        pass
    report = CostLog(str(tmp_path / 'job'), clock).report(
        model, [dict(stats={}, seconds=0.)], images=1)
    assert report['stages']['train diffusion'] == dict(
        kind='deploy', seconds=100., denoiser_passes=56, updates=7)
    assert report['deploy_seconds'] == 112.5 and report['denoiser_passes'] == 56


def test_passes_of_a_fine_tuning_are_those_of_its_diffusions():
    model = torch.nn.ModuleDict(dict(prior=GaussianDiffusion(), other=torch.nn.Linear(1, 1)))
    assert count_passes(model) == 0
    model.prior.count_passes(12)
    assert count_passes(model) == 12
