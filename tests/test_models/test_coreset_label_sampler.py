"""Layouts of the images that a coreset chooses, with the distiller's own proxy."""
import os
import os.path as osp

import numpy as np
import pytest
import tiny
from distilled import manifest
from mmengine.runner import Runner

from mmdd.apis import distill
from mmdd.engine.journal import Journal
from mmdd.engine.preflight import check_components
from mmdd.models import ClassifierProxy, CoresetLabelSampler, UniDD
from mmdd.registry import MODELS
from mmdd.structures import IPC, Canvas, DistillSlot, Total

EASY = dict(type='UncertaintyCoreset', measure='least_confidence', keep='easy', feature_size=32)
HERDING = dict(type='HerdingCoreset', feature_size=32)
CORESETS = [EASY, HERDING, dict(EASY, keep='hard'), dict(type='KCenterCoreset', feature_size=32,
                                                         start='random'),
            dict(type='RandomCoreset'), dict(type='UniformCoreset'), dict(type='DensestCoreset')]


@pytest.fixture(scope='module')
def digits(tmp_path_factory):
    """Sixty single digits, several of each class."""
    return tiny.digit_scenes(tmp_path_factory.mktemp('digits') / 'scenes', train=2, singles=60)


@pytest.fixture(scope='module')
def proxy(digits, tmp_path_factory):
    """Config of a trained tiny classifier."""
    from mmdd.engine.train_job import ensure_checkpoint
    job = tiny.classifier_job(digits)
    path = str(tmp_path_factory.mktemp('proxy') / 'classifier.pth')
    return dict(type='ClassifierProxy', cfg=job, checkpoint=ensure_checkpoint(job, path))


def read(distiller, digits, batch_size=6):
    distiller.classes = tiny.CLASSES
    for batch in Runner.build_dataloader(dict(
            batch_size=batch_size, num_workers=0,
            dataset=tiny.class_folders(digits, images=False),
            sampler=dict(type='DefaultSampler', shuffle=False))):
        distiller.collect(batch)
    distiller.finish_collect()
    return distiller


def unidd(coreset, proxy, digits, **kwargs):
    return read(UniDD(diffusion=tiny.stable_diffusion(), image_size=32, proxy=proxy,
                      label_sampler=dict(type='CoresetLabelSampler', coreset=coreset), **kwargs),
                digits)


def own(coreset, proxy, digits, **kwargs):
    return read(MODELS.build(dict(coreset, proxy=proxy, **kwargs)), digits)


def sources(distiller, budget):
    return [(slot.source, slot.labels.tolist(), slot.group) for slot in distiller.plan(budget)]


@pytest.mark.parametrize('coreset', CORESETS, ids=lambda cfg: cfg['type'] + cfg.get('keep', ''))
@pytest.mark.parametrize('budget', [IPC(2), Total(7)], ids=['ipc', 'total'])
def test_the_images_are_those_of_the_coreset(coreset, budget, digits, proxy):
    distiller = unidd(coreset, proxy, digits, seed=3)
    wanted = sources(own(coreset, proxy, digits, seed=3), budget)
    assert sources(distiller, budget) == sources(distiller, budget) == wanted
    assert len({source for source, _, _ in wanted}) == len(wanted)
    if budget.__class__ is IPC:
        assert [label for _, (label, ), _ in wanted] == [c for c in range(10) for _ in range(2)]
    if coreset['type'] in ('RandomCoreset', 'UniformCoreset', 'DensestCoreset'):
        assert distiller.label_sampler.coreset.proxy is None


def test_the_easy_images_are_those_that_the_classifier_is_surest_of(digits, proxy):
    """The rule by hand, one image at a time."""
    from mmdd.datasets.annotations import load_image
    from mmdd.models.proxies.feature_pass import to_batch
    distiller = unidd(EASY, proxy, digits)
    sure = [float(distiller.proxy.predict(to_batch(
        distiller.proxy, [load_image(a.path, (32, 32))]))[0].max()) for a in distiller.annotations]
    wanted = []
    for label in range(10):
        members = [i for i, a in enumerate(distiller.annotations) if a.labels[0] == label]
        wanted += sorted(members, key=lambda i: -sure[i])[:2]
    assert [slot.source for slot in distiller.plan(IPC(2))] == [
        distiller.annotations[i].image_id for i in wanted]


def test_features_go_with_their_images_whatever_is_left_out(digits, proxy):
    """What is given in another order, or lacks images, is chosen from as it is given."""
    distiller = unidd(HERDING, proxy, digits)
    sampler, coreset = distiller.label_sampler, own(HERDING, proxy, digits)
    for order in (np.arange(60)[::-1], np.arange(0, 60, 3),
                  np.random.default_rng(0).permutation(60)):
        given = [distiller.annotations[i] for i in order]
        found = sampler.sample(given, 5, 10, 0, Canvas((32, 32)))
        features = coreset._features[order.copy()]
        picked = coreset.select(features, [a.labels for a in given], 5)
        assert [id(layout) for layout in found] == [id(given[i]) for i in picked]


def test_a_pool_larger_than_the_class_asks_again(digits, proxy):
    from mmdd.models.label_samplers.layouts import sample_layouts
    distiller = unidd(EASY, proxy, digits)
    given = distiller.annotations[:4]
    found = [a.image_id for a in sample_layouts(distiller.label_sampler, given, 10, 10, 0,
                                                distiller.canvas)]
    assert found[:4] == found[4:8] and found[8:] == found[:2]
    assert sorted(found[:4]) == sorted(a.image_id for a in given)


@pytest.fixture
def calls(monkeypatch):
    """Networks that were built, and images that they predicted."""
    seen, build, predict = dict(networks=0, images=0), ClassifierProxy.__init__, \
        ClassifierProxy.predict

    def counted_build(self, *args, **kwargs):
        seen['networks'] += 1
        build(self, *args, **kwargs)

    def counted_predict(self, images):
        seen['images'] += len(images)
        return predict(self, images)

    monkeypatch.setattr(ClassifierProxy, '__init__', counted_build)
    monkeypatch.setattr(ClassifierProxy, 'predict', counted_predict)
    return seen


def test_the_network_is_built_once_and_sees_the_real_set_once(digits, proxy, calls):
    distiller = unidd(EASY, proxy, digits)
    for _ in range(2):
        distiller.plan(IPC(2))
    assert calls == dict(networks=1, images=60)
    assert distiller.label_sampler.coreset.proxy is distiller.proxy
    assert not any(name.startswith('label_sampler') for name in distiller.state_dict())


def job(digits, proxy, coreset):
    cfg = tiny.classification_job(digits)
    cfg['model'].update(proxy=proxy, image_size=32, initializer=dict(
        type='CollageInitializer', strength=.3), label_sampler=dict(
            type='CoresetLabelSampler', coreset=coreset))
    return cfg


def taken(folder):
    return [entry['source'] for entry in manifest(folder)['images']]


def test_a_job_takes_the_images_of_the_coreset_job_and_resumes(digits, proxy, tmp_path, calls):
    folder = distill(job(digits, proxy, EASY), str(tmp_path / 'unidd'))
    assert calls['images'] == 60
    real = tiny.classification_job(digits)
    real['model'] = dict(EASY, proxy=proxy)
    wanted = taken(distill(real, str(tmp_path / 'own')))
    assert taken(folder) == wanted and len(set(wanted)) == 10
    slots = [DistillSlot.from_dict(entry) for entry in Journal(folder).read_plan()]
    assert [slot.prototype['grounds'][0]['path'] for slot in slots] == [
        slot.source_path for slot in slots]
    kept = osp.join(folder, '_job/features/000000.npz')
    with np.load(kept) as content:
        assert content['features'].shape == (60, 1)
    # Killed before its plan was kept: the pass is not made again.
    for name in ('manifest.json', '_job/plan.jsonl'):
        os.unlink(osp.join(folder, name))
    calls['images'] = 0
    distill(job(digits, proxy, EASY), str(tmp_path / 'unidd'), resume=True)
    assert calls['images'] == 0
    assert taken(folder) == wanted


def test_snapshots_are_part_of_the_job(digits, proxy, tmp_path):
    from mmengine.config import Config

    from mmdd.engine.job import describe_job
    hashes = []
    for snapshots in (None, [proxy['checkpoint']]):
        coreset = dict(type='EL2NCoreset', feature_size=32, snapshots=snapshots)
        cfg = Config(job(digits, proxy, coreset))
        hashes.append(describe_job(cfg, MODELS.build(cfg.model)).get('snapshot_weights'))
    assert hashes[0] is None and hashes[1]


@pytest.mark.parametrize('coreset, changes, told', [
    (EASY, dict(proxy=None),
     '^model.label_sampler.coreset: UncertaintyCoreset selects by features: give model.proxy$'),
    (EASY, dict(proxy=dict(type='BackboneFeatures', cfg='x.py')),
     'UncertaintyCoreset reads the predictions of a ClassifierProxy or DetectorProxy or '
     'SegmentorProxy, model.proxy is a BackboneFeatures'),
    (dict(EASY, proxy=dict(type='ClassifierProxy', cfg={})), {},
     '^model.label_sampler.coreset.proxy: model.proxy, that of the distiller, is used; remove it '
     'here$'),
    (dict(EASY, seed=3), {}, '^model.label_sampler.coreset.seed: model.seed, that of the'),
    (dict(EASY, keep='some'), {}, "model.label_sampler.coreset.keep must be one of 'hard', 'ea"),
    (dict(EASY, kep='easy'), {}, "model.label_sampler.coreset.kep: .* did you mean 'keep'"),
    (dict(type='HerdingCorset'), {},
     "model.label_sampler.coreset: there is no component .*did you mean 'HerdingCoreset'"),
    (dict(type='UniDD', diffusion={}), {}, 'model.label_sampler.coreset: UniDD is no coreset; '),
    (dict(measure='margin'), {}, 'model.label_sampler.coreset must be a dict that names a comp'),
    ('HerdingCoreset', {}, 'model.label_sampler.coreset must be a dict, got'),
])
def test_what_does_not_fit_is_one_line_before_the_job(coreset, changes, told, digits, proxy):
    from mmengine.config import Config
    cfg = job(digits, proxy, coreset)
    cfg['model'].update(changes)
    with pytest.raises(ValueError, match=told) as error:
        check_components(Config(cfg))
    assert '\n' not in str(error.value)


def test_a_distiller_without_the_proxy_is_refused_as_it_is_built(proxy):
    for coreset, network, told in ((EASY, None, 'give model.proxy'),
                                   (dict(EASY, proxy=proxy), proxy, 'remove it here')):
        with pytest.raises(ValueError, match=told):
            UniDD(diffusion=tiny.stable_diffusion(), image_size=32, proxy=network,
                  label_sampler=dict(type='CoresetLabelSampler', coreset=coreset))


def test_a_plan_without_the_pass_is_refused(digits, proxy):
    distiller = unidd(EASY, proxy, digits)
    distiller.label_sampler = CoresetLabelSampler(EASY)
    with pytest.raises(ValueError, match=r'calls super\(\).finish_collect\(folder\)'):
        distiller.plan(Total(2))
