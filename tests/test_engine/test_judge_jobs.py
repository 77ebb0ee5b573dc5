"""Whole jobs with a judge and a pool: what they write down, and what is refused."""
import json
import os
import shutil

import numpy as np
import pytest
import tiny
import torch

from mmdd.apis import distill
from mmdd.datasets.class_counts import count_classes, report_counts
from mmdd.datasets.set_facts import set_facts
from mmdd.engine.attempts import best_round
from mmdd.engine.job import describe_parts, describe_raw_samples
from mmdd.engine.journal import Journal
from mmdd.models import ClassifierProxy
from mmdd.models.proxies.scoring import images_to_tensor
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.config import load_config
from mmdd.utils.io import sha256


def read(folder):
    with open(os.path.join(folder, 'manifest.json')) as f:
        return json.load(f)


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """Where proxy and judge are kept; a job trains them first."""
    return tmp_path_factory.mktemp('weights')


@pytest.fixture(scope='module')
def job(digits, weights):
    """Makes the config of a job of single digits with a proxy, a judge and a pool."""
    def make(judge=True, pool=True, threshold=.5, **train_cfg):
        config = tiny.classification_job(digits, **dict(dict(
            batch_size=4, max_rounds=2), **train_cfg))
        config['custom_hooks'] = [dict(type='TaskGuidanceHook', scale=100.)]
        model = config['model']
        model['proxy'] = dict(type='ClassifierProxy', cfg=tiny.classifier_job(digits),
                              checkpoint=str(weights / 'proxy.pth'))
        model['refiners'] = [dict(type='ProxyRefiner', threshold=threshold)]
        if judge:
            other = tiny.classifier_job(digits, max_iters=4)
            other['model']['backbone']['base_channels'] = 4
            other['model']['head']['in_channels'] = 8
            model['judge'] = dict(type='ClassifierProxy', cfg=other,
                                  checkpoint=str(weights / 'judge.pth'))
        if pool:
            model['pool'] = dict(type='CandidatePool', size=3, keep=2, screen='unguided',
                                 screen_steps=2)
        return config
    return make


@pytest.fixture(scope='module')
def whole(job, tmp_path_factory):
    return distill(job(), str(tmp_path_factory.mktemp('whole')))


def test_the_manifest_names_the_judge(whole, weights, job):
    found, journal = read(whole), Journal(whole)
    judge = ClassifierProxy(job()['model']['judge']['cfg'], str(weights / 'judge.pth'))
    for entry in found['images']:
        key = (entry['slot'], entry['round'])
        slot = DistillSlot(entry['slot'], 0, (32, 32), np.array([entry['slot']]))
        sample = DistilledSample(slot, journal.read_image(key))
        score = float(judge.score(images_to_tensor([sample]), [sample])[0])
        assert entry['judge_score'] == pytest.approx(score, abs=1e-5)
        assert entry['judge_score'] == journal.read(key)['judge_score'] != entry['score']
    scores = [entry['judge_score'] for entry in found['images']]
    facts = set_facts(whole)
    assert facts['judge_score']['mean'] == pytest.approx(np.mean(scores))
    assert found['job']['judge_weights'] == sha256(str(weights / 'judge.pth'))
    assert found['cost']['stages']['train judge']['updates'] == 4


def test_what_candidates_cost(whole):
    found = read(whole)
    made, stages = found['images_made'], found['cost']['stages']
    # Three drafts of two steps and two images of three steps, of two branches each.
    assert stages['screen']['denoiser_passes'] == made * 3 * 2 * 2
    assert stages['synthesize']['denoiser_passes'] == made * 2 * 3 * 2
    assert found['cost']['denoiser_passes'] == made * (12 + 12)
    assert stages['screen']['seconds'] > 0
    for entry in found['images']:
        assert entry['stats']['denoiser_passes'] == 24
        assert entry['stats']['candidate'] in (0, 1, 2)


def test_every_class_keeps_its_image(whole):
    """A hardly trained classifier rejects all of them, and moves none."""
    found = read(whole)
    assert found['budget_met'] < 10 and found['images_made'] > 10
    assert found['per_class'] == {name: dict(images=1) for name in tiny.CLASSES}
    assert sorted(os.listdir(os.path.join(whole, 'train'))) == sorted(tiny.CLASSES)


def test_resuming_gives_the_same_bytes(whole, job, tmp_path):
    folder = shutil.copytree(whole, tmp_path / 'distilled')
    journal = Journal(str(folder))
    keys = list(journal.keys())
    for key in (keys[0], keys[-1], keys[len(keys) // 2]):
        os.unlink(journal._path(key, '.json'))
    os.unlink(folder / 'manifest.json')
    distill(job(), str(tmp_path), resume=True)
    assert list(journal.keys()) == keys
    again, before = read(folder), read(whole)
    assert again['sha256'] == before['sha256']
    assert [(e['score'], e['judge_score'], e['stats']) for e in again['images']] == [
        (e['score'], e['judge_score'], e['stats']) for e in before['images']]


def test_a_judge_changes_no_image(whole, job, tmp_path):
    folder = distill(job(judge=False), str(tmp_path))
    assert read(folder)['sha256'] == read(whole)['sha256']
    assert 'judge_score' not in read(folder)['images'][0]
    assert set_facts(folder)['judge_score'] is None


def test_another_judge_is_another_job(whole, job, weights, tmp_path):
    shutil.copytree(whole, tmp_path / 'distilled')
    with pytest.raises(ValueError, match=r'another config \(other model\)'):
        distill(job(judge=False), str(tmp_path), resume=True)
    content = torch.load(weights / 'judge.pth', weights_only=False)
    next(iter(content['state_dict'].values())).add_(1)
    torch.save(content, tmp_path / 'other.pth')
    config = job()
    config['model']['judge']['checkpoint'] = str(tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='other judge_weights'):
        distill(config, str(tmp_path), resume=True)


def test_what_identifies_a_job(job):
    def parts(**options):
        return describe_parts(load_config(job(**options)))

    def raw(config):
        return describe_raw_samples(load_config(config))

    assert [k for k, v in parts().items() if v != parts(judge=False)[k]] == ['model']
    config = job()
    config['model']['pool']['batch_size'] = 7
    config['model']['judge']['checkpoint'] = 'elsewhere.pth'
    assert describe_parts(load_config(config)) == parts()
    # The judge decides raw samples only where it chooses among candidates.
    assert raw(job()) == raw(job(judge=False)) != raw(job(pool=False))
    by_judge, narrower = job(), job()
    for one in (by_judge, narrower):
        one['model']['pool']['by'] = 'judge'
    narrower['model']['judge']['cfg']['model']['backbone']['base_channels'] = 8
    assert len({raw(by_judge), raw(narrower), raw(job())}) == 3


def refused(config, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        distill(config, str(tmp_path / 'refused'))
    assert not (tmp_path / 'refused/distilled').exists()


def test_what_is_refused(job, tmp_path, weights, whole):
    config = job(judge=False)
    config['model']['refiners'][0]['by'] = 'both'
    refused(config, 'ProxyRefiner needs model.judge', tmp_path)
    config = job(judge=False)
    config['model']['pool']['by'] = 'judge'
    refused(config, 'CandidatePool needs model.judge', tmp_path)
    config = job()
    config['model']['judge'] = dict(config['model']['proxy'])
    refused(config, 'model.judge has the weights of model.proxy', tmp_path)
    config = job()
    config['model']['judge'] = dict(type='BackboneFeatures',
                                    cfg=dict(type='torchvision', name='resnet18'))
    refused(config, 'model.judge: BackboneFeatures gives no scores', tmp_path)
    config = job()
    names = tiny.CLASSES[1:] + tiny.CLASSES[:1]
    config['model']['judge']['cfg']['train_dataloader']['dataset']['metainfo'] = dict(
        classes=names)
    refused(config, 'the judge has the classes of the real set in another order', tmp_path)


@pytest.mark.parametrize('ranks, round', [
    ({0: (.9, -.3), 1: (.2, -.1)}, 1), ({0: (.9, None), 1: (.2, None)}, 0)])
def test_rejects_are_compared_by_what_filtered_them(ranks, round):
    assert best_round({r: dict(score=score, rank=rank, accepted=False)
                       for r, (score, rank) in ranks.items()}) == round


def test_counts_and_their_warning(caplog):
    from mmengine.logging import MMLogger
    slot = DistillSlot(0, 0, (8, 8), np.array([1]))
    samples = [DistilledSample(slot, labels=np.array(own), bboxes=np.zeros((len(own), 4)))
               for own in ([1, 1, 2], [1])]
    counts = count_classes(samples, ('background', 'a', 'b', 'tench, Tinca tinca'))
    assert counts == {'a': dict(images=2, objects=3), 'b': dict(images=1, objects=1),
                      'tench, Tinca tinca': dict(images=0, objects=0)}
    logger = MMLogger.get_instance('counts')
    logger.addHandler(caplog.handler)
    report_counts(counts)
    logger.removeHandler(caplog.handler)
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [
        ('INFO', 'objects per class: a: 3, b: 1, tench: 0'),
        ('WARNING', '1 of 3 classes are empty: no image of the set shows tench')]
