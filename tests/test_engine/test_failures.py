"""Finite or failed: what is no picture never counts, whatever made it."""
import os.path as osp

import numpy as np
import pytest
import tiny
import torch
from distilled import manifest

from mmdd.apis import distill
from mmdd.engine import DistillLoop
from mmdd.engine.attempts import best_round, is_open
from mmdd.engine.failures import FailureWatch, fail_bad_images, fail_bad_scores
from mmdd.engine.journal import Journal
from mmdd.models import StableDiffusion
from mmdd.structures import DistilledSample, DistillSlot

UNGUIDED = 'unguided: none of its gradients was finite'


def spoil(monkeypatch, part, change):
    """Change the weights of a part after they were loaded and before anything is made."""
    prepare = DistillLoop.prepare

    def prepared(self):
        prepare(self)
        with torch.no_grad():
            change(getattr(self.distiller, part))
    monkeypatch.setattr(DistillLoop, 'prepare', prepared)


def first_to_nan(network):
    next(network.parameters()).fill_(float('nan'))


def times_1e30(network):
    for parameter in network.parameters():
        parameter *= 1e30


def cls_job(root, kind='UniDD', **train_cfg):
    cfg = tiny.classification_job(root, **dict(dict(batch_size=5), **train_cfg))
    cfg['model'].update(type=kind)
    if kind == 'Minimax':
        cfg['model'] = dict(type='Minimax', image_size=32, diffusion=tiny.dit())
    if kind == 'SDXLTurbo':
        cfg['model']['diffusion'] = tiny.stable_diffusion_xl()
    return cfg


@pytest.mark.parametrize('kind, weight', [
    ('UniDD', 'unet.'), ('D4M', 'unet.'), ('Minimax', 'transformer.'), ('SDXLTurbo', 'unet.')])
def test_a_prior_of_nan_stops_the_job(digits, tmp_path, monkeypatch, kind, weight):
    with monkeypatch.context() as patch:
        spoil(patch, 'diffusion', lambda prior: first_to_nan(prior.denoiser))
        with pytest.raises(ValueError) as error:
            distill(cls_job(digits, kind), str(tmp_path))
    assert str(error.value).startswith('5 of 5 attempts failed (5 not finite): the weights of '
                                       f"model.diffusion are not finite, the first of them is "
                                       f"'{weight}")
    assert '\n' not in str(error.value)
    assert not osp.exists(tmp_path / 'distilled/manifest.json')
    journal = Journal(str(tmp_path / 'distilled'))
    assert list(journal.keys()) == [(i, 0) for i in range(5)]
    for i in range(5):
        record = journal.read((i, 0))
        assert (record['accepted'], record['failure']) == (False, 'not finite')
        assert record['labels'] == [i] and record['score'] is None
        assert not osp.exists(journal._path((i, 0), '.png'))
    if kind == 'UniDD':
        found = manifest(distill(cls_job(digits, kind), str(tmp_path), resume=True))
        assert found['failures'] == dict(attempts=5, reasons={'not finite': 5}, missing=[])
        assert [entry['round'] for entry in found['images']] == [1] * 5 + [0] * 5
        assert found['budget_met'] == found['images_made'] == 10


@pytest.fixture
def first_decoding(monkeypatch):
    """Replaces images of the first batch that is decoded."""
    def patch(**faults):
        decode, left = StableDiffusion.decode_latents, [True]

        def decoded(self, latents, fast=False):
            images = decode(self, latents, fast)
            if left:
                left.pop()
                for index, value in faults.items():
                    images[int(index[1:])] = value
            return images
        monkeypatch.setattr(StableDiffusion, 'decode_latents', decoded)
    return patch


def test_a_failed_slot_is_made_again_with_a_fresh_seed(digits, tmp_path, first_decoding):
    first_decoding(_1=float('nan'), _3=0., _4=.5, _6=float('inf'))
    folder = distill(cls_job(digits, batch_size=10, max_rounds=1), str(tmp_path))
    found = manifest(folder)
    assert found['failures'] == dict(
        attempts=4, reasons={'not finite': 2, 'black': 1, 'of one colour': 1}, missing=[])
    assert (found['budget_asked'], found['budget_met'], found['images_made']) == (10, 10, 10)
    assert found['discard_rate'] == 0
    plan = Journal(folder).read_plan()
    for entry, slot in zip(found['images'], plan):
        again = entry['slot'] in (1, 3, 4, 6)
        assert (entry['round'], entry['rounds']) == (int(again), 1 + again)
        assert (entry['seed'] == slot['seed']) == (not again)
        assert entry['accepted'] and entry['classes'] == [tiny.CLASSES[slot['labels'][0]]]
    assert all(counts == dict(images=1) for counts in found['per_class'].values())


def test_a_slot_that_only_fails_is_missing_and_never_black(digits, tmp_path, monkeypatch, capfd):
    decode = StableDiffusion.decode_latents

    def decoded(self, latents, fast=False):
        images = decode(self, latents, fast)
        images[0] *= 0  # slot 0 in every round
        return images
    monkeypatch.setattr(StableDiffusion, 'decode_latents', decoded)
    found = manifest(distill(cls_job(digits, batch_size=10), str(tmp_path)))
    assert found['failures'] == dict(attempts=3, reasons=dict(black=3), missing=[0])
    assert [entry['slot'] for entry in found['images']] == list(range(1, 10))
    assert (found['budget_asked'], found['budget_met'], found['images_made']) == (10, 9, 9)
    log = ''.join(capfd.readouterr())
    assert '1 of 10 slots are missing from the set' in log
    assert f'1 of 10 classes are empty: no image of the set shows {tiny.CLASSES[0]}' in log


def test_a_single_slot_that_only_fails_ends_the_job(digits, tmp_path, monkeypatch):
    spoil(monkeypatch, 'diffusion', lambda prior: first_to_nan(prior.vae.decoder))
    cfg = cls_job(digits)
    cfg['train_cfg']['budget'] = dict(type='Total', n=1)
    with pytest.raises(ValueError, match=r'^3 of 3 attempts failed \(3 not finite\): .*'
                                         r"'vae\.decoder\..* in another --work-dir$"):
        distill(cfg, str(tmp_path))


def test_guidance_scales_that_overflow_are_named(digits, tmp_path):
    cfg = cls_job(digits)
    cfg['model']['diffusion'] = tiny.stable_diffusion(cfg_scale=1e30)
    with pytest.raises(ValueError) as error:
        distill(cfg, str(tmp_path))
    assert 'of 5 attempts failed' in str(error.value)
    assert 'lower the scale of the guidance or model.diffusion.cfg_scale (1e+30)' in str(
        error.value)


@pytest.mark.parametrize('change, cause', [
    (first_to_nan, r'the weights of model\.proxy are not finite, the first of them is '),
    (times_1e30, r'energies or scores of model\.proxy or model\.judge overflow')])
def test_a_proxy_that_overflows_guides_nothing_and_stops_the_job(
        digits, detector_checkpoint, tmp_path, monkeypatch, change, cause):
    spoil(monkeypatch, 'proxy', change)
    with pytest.raises(ValueError, match=rf'^4 of 4 attempts failed \(4 {UNGUIDED}\): {cause}'):
        distill(tiny.distill_job(digits, detector_checkpoint), str(tmp_path))
    record = Journal(str(tmp_path / 'distilled')).read((0, 0))
    assert record['stats']['skipped_gradients'] == 3 and record['stats']['unguided'] == 1
    assert record['failure'] == UNGUIDED and not record['accepted']


@pytest.fixture(scope='module')
def classifier_weights(classifier_proxy, tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'classifier.pth'
    torch.save(dict(state_dict=classifier_proxy.model.state_dict()), path)
    return str(path)


def refined_job(root, checkpoint, **refiner):
    cfg = cls_job(root, batch_size=5, max_rounds=2)
    cfg['model']['proxy'] = dict(type='ClassifierProxy', cfg=tiny.classifier_job(root),
                                 checkpoint=checkpoint, relabel_thr=0.)
    cfg['model']['refiners'] = [dict(type='ProxyRefiner', **refiner)]
    return cfg


@pytest.mark.parametrize('change', [first_to_nan, times_1e30])
def test_a_detector_that_overflows_scores_nothing(digits, detector_checkpoint, tmp_path,
                                                  monkeypatch, change):
    spoil(monkeypatch, 'proxy', change)
    with pytest.raises(ValueError, match=r'^4 of 4 attempts failed \(4 score not finite\): .*'
                                         r'model\.proxy'):
        distill(tiny.distill_job(digits, detector_checkpoint, guidance=0), str(tmp_path))


@pytest.mark.parametrize('change', [first_to_nan, times_1e30])
def test_scores_that_are_not_finite_stop_the_job(digits, classifier_weights, tmp_path,
                                                 monkeypatch, change):
    spoil(monkeypatch, 'proxy', change)
    with pytest.raises(ValueError, match=r'^5 of 5 attempts failed \(5 score not finite\): .*'
                                         r'model\.proxy'):
        distill(refined_job(digits, classifier_weights, threshold=.5), str(tmp_path))


def test_a_useless_proxy_leaves_ten_classes(digits, classifier_weights, tmp_path, monkeypatch):
    def sure_of_three(proxy):
        proxy.model.head.fc.weight.zero_()
        proxy.model.head.fc.bias.copy_(20 * (torch.arange(10) == 3))
    spoil(monkeypatch, 'proxy', sure_of_three)
    found = manifest(distill(refined_job(digits, classifier_weights, threshold=.9),
                             str(tmp_path)))
    assert [entry['classes'] for entry in found['images']] == [[name] for name in tiny.CLASSES]
    assert all(counts == dict(images=1) for counts in found['per_class'].values())
    assert found['budget_met'] == 1 and found['images_made'] == 1 + 2 * 9
    assert found['discard_rate'] == round(18 / 19, 4) and found['failures']['attempts'] == 0


def slot(i=0):
    return DistillSlot(i, i, (4, 4), np.array([i]), np.zeros((1, 4), np.float32))


def picture(*levels):
    return np.array(levels, np.uint8).repeat(16 // len(levels))[:, None].repeat(
        3, 1).reshape(4, 4, 3)


def test_images_of_any_distiller_are_looked_at_but_not_real_ones():
    samples = [DistilledSample(slot(i), picture(*levels), labels=np.array([9]), score=.5)
               for i, levels in enumerate([(0, 200), (0, 3), (90, 91)])]
    samples += [DistilledSample(slot(3), picture(0), label_source='real'),
                DistilledSample(slot(4), path='photograph.jpg', label_source='real')]
    assert [s.slot.id for s in fail_bad_images(samples)] == [0, 3, 4]
    assert [s.failure for s in samples] == ['', 'black', 'of one colour', '', '']
    failed = samples[1]
    assert failed.image is None and failed.score is None and not failed.accepted
    assert failed.labels.tolist() == [1] and failed.label_source == 'slot'


@pytest.mark.parametrize('key', ['score', 'judge_score', 'rank'])
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_scores_of_any_refiner_are_looked_at(key, value):
    samples = [DistilledSample(slot(i), picture(0, 200), score=.5) for i in range(2)]
    setattr(samples[1], key, value)
    assert fail_bad_scores(samples) == samples[:1]
    assert samples[1].failure == 'score not finite' and getattr(samples[1], key) is None


def records(*words):
    """'failed', 'accepted', or the score of a reject, by round."""
    return {r: dict(accepted=word == 'accepted', score=word if isinstance(word, float) else None,
                    **(dict(failure='black') if word == 'failed' else {}))
            for r, word in enumerate(words)}


@pytest.mark.parametrize('tried, max_rounds, expected', [
    ((), 1, [True, True, True]), (('failed', ), 1, [True, True]),
    (('failed', 'failed'), 1, [True, True, True]), ((.5, ), 1, [True, False, False]),
    (('failed', .5), 1, [True, True, False]), ((.5, .4), 3, [True, True, True, False]),
    (('failed', 'accepted'), 3, [True, True, False])])
def test_which_slots_are_open(tried, max_rounds, expected):
    assert [is_open(records(*tried), r, max_rounds) for r in range(len(expected))] == expected


@pytest.mark.parametrize('tried, expected', [
    (('failed', 0., .2), 2), ((0., 'failed'), 0), (('failed', 'accepted', .9), 1)])
def test_a_failed_attempt_is_never_the_best(tried, expected):
    assert best_round(records(*tried)) == expected


@pytest.mark.parametrize('batches, stops', [
    (['f'], 0), (['fff'], 0), (['ffff'], 1), (['ff', 'ff'], 1), (['ff', 'fo', 'fff'], 0),
    (['ff', 'fo', 'ffff'], 1), (['ffff'[:3] + 'o', 'oooof'], 0), (['oooo', 'ffff'], 0),
    (['oooo', 'fffff'], 1)])
def test_when_a_job_stops(batches, stops):
    watch, stopped = FailureWatch(), 0
    for batch in batches:
        samples = [DistilledSample(slot(), failure='black' * (c == 'f')) for c in batch]
        try:
            watch.add(samples, None)
        except ValueError as error:
            stopped += 1
            assert 'attempts failed' in str(error) and '--resume' in str(error)
    assert stopped == stops
