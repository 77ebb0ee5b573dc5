"""The pool of candidates: which one is kept, what it costs, and on what it does not depend."""
import copy
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from gaussian import caller
from mmengine.hooks import Hook

from mmdd.engine import TaskGuidanceHook
from mmdd.models import CandidatePool, ClassifierProxy, ProxyRefiner
from mmdd.models.candidates.pool import least
from mmdd.models.proxies.scoring import images_to_tensor
from mmdd.registry import MODELS
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.seed import derive_seed

STEPS = 4
BOXES = np.array([[2, 3, 14, 15], [18, 16, 30, 30]], np.float32)


def make_slots(task, num=3):
    slots = []
    for i in range(num):
        slot = DistillSlot(i, 100 + i, (32, 32), np.array([i]), prompt=f'a photo of {i}')
        if task == 'detector':
            slot.labels, slot.bboxes = np.array([i, 9 - i]), BOXES
        if task == 'segmentor':
            slot.labels, slot.mask = np.array([i + 1]), np.zeros((32, 32), np.uint8)
            slot.mask[4:20, 6:18] = i + 1
        slots.append(slot)
    return slots


@pytest.fixture(params=['classifier', 'detector', 'segmentor'])
def task(request):
    return request.param


@pytest.fixture
def make(task, tiny_sd, proxy, classifier_proxy, segmentor_proxy):
    """Makes a distiller of the task with a pool, and what calls its guidance."""
    def build(guidance=300., scheduler=None, judge=None, **options):
        diffusion = tiny.stable_diffusion(steps=STEPS)
        if scheduler:
            diffusion['scheduler'] = scheduler
        distiller = MODELS.build(dict(type='UniDD', image_size=32, diffusion=diffusion))
        distiller.diffusion.load_state_dict(tiny_sd.state_dict())
        distiller.proxy = copy.copy(dict(
            classifier=classifier_proxy, detector=proxy, segmentor=segmentor_proxy)[task])
        if task == 'detector':
            distiller.proxy.relabel_thr = 0.
            # The RoI head of a hardly trained detector ranks proposals by rounding errors.
            distiller.proxy.terms = dict(rpn_cls=1., rpn_bbox=1.)
        if task == 'segmentor':
            distiller.proxy.score_mode = 'matched'
        distiller.judge = judge
        distiller.pool = CandidatePool(**options)
        return distiller, caller(TaskGuidanceHook(scale=guidance), model=distiller)
    return build


def candidates(slots, size):
    """Every candidate as a slot, by slot."""
    return [[replace(slot, seed=derive_seed('candidate', slot.seed, k)) for k in range(size)]
            for slot in slots]


def alone(distiller, call_hook, slot):
    """One candidate sampled by itself, and its score."""
    sample, = distiller.draw([slot], call_hook)
    return sample.image, float(distiller.proxy.score(images_to_tensor([sample]), [sample])[0])


def check_choice(distiller, call_hook, made, finished):
    """The samples are the best of those finished; ``finished``: slots by number, per slot."""
    picked = set()
    for sample, own in zip(made, finished):
        results = {k: alone(distiller, call_hook, slot) for k, slot in own.items()}
        best = max(score for _, score in results.values())
        k = sample.stats['candidate']
        assert results[k][1] == pytest.approx(best, abs=2e-4)
        difference = np.abs(sample.image.astype(int) - results[k][0])
        assert difference.max() <= 2 and sample.image.std() > 2
        picked.add(k)
    return picked


def test_the_best_candidate_is_kept(make, task):
    distiller, call_hook = make(size=3, screen=None)
    slots = make_slots(task)
    made = distiller.distill_step(slots, call_hook)
    finished = [dict(enumerate(own)) for own in candidates(slots, 3)]
    picked = check_choice(distiller, call_hook, made, finished)
    assert picked - {0}  # not just the first
    for sample, slot in zip(made, slots):
        assert sample.slot is slot and sample.labels is slot.labels
        assert sample.stats['candidates'] == sample.stats['candidates_sampled'] == 3
        assert sample.stats['denoiser_passes'] == 3 * STEPS * 2
        assert sample.stats['screening_passes'] == 0 and sample.stats['energy'] > 0


def test_the_unguided_screen(make, task):
    distiller, call_hook = make(size=4, keep=2, screen='unguided', screen_steps=2)
    slots = make_slots(task)
    made = distiller.distill_step(slots, call_hook)
    finished = []
    for own in candidates(slots, 4):
        scores = []
        for slot in own:  # one by one, without hooks, in two steps
            image, stats = distiller.diffusion.sample([slot], steps=2)
            draft = DistilledSample(slot, (image[0] * 255).round().byte().permute(
                1, 2, 0).numpy())
            scores.append(float(distiller.proxy.score(images_to_tensor([draft]), [draft])[0]))
            assert stats[0]['denoiser_passes'] == 2 * 2 and 'energy' not in stats[0]
        kept = sorted(range(4), key=lambda k: -scores[k])[:2]
        finished.append({k: own[k] for k in kept})
    check_choice(distiller, call_hook, made, finished)
    for sample, own in zip(made, finished):
        assert sample.stats['candidate'] in own
        assert sample.stats['candidates_sampled'] == 2
        assert sample.stats['screening_passes'] == 4 * 2 * 2
        assert sample.stats['denoiser_passes'] == 4 * 2 * 2 + 2 * STEPS * 2


class Estimates(Hook):
    """Remembers the clean estimate after each step."""

    def __init__(self):
        self.images = []

    def after_step(self, runner, state):
        self.images.append(state.decode(state.denoised))


def test_the_screen_halfway(make, task):
    distiller, call_hook = make()
    slots = make_slots(task)
    energies = []  # after each step of each candidate, by slot
    for own in candidates(slots, 3):
        energies.append([])
        for slot in own:  # the whole guided way, one by one
            watch = Estimates()
            distiller.draw([slot], caller(TaskGuidanceHook(scale=300.), watch, model=distiller))
            with torch.no_grad():
                energies[-1].append([float(distiller.proxy.energy(image, [slot])[0])
                                     for image in watch.images])
            assert len(watch.images) == STEPS
    for share, before in ((.5, 2), (.25, 1), (.99, 3)):
        distiller.pool = CandidatePool(size=3, keep=1, screen='halfway', screen_share=share)
        made = distiller.distill_step(slots, call_hook)
        finished = []
        for own, found in zip(candidates(slots, 3), energies):
            best = int(np.argmin([each[before - 1] for each in found]))
            finished.append({best: own[best]})
        check_choice(distiller, call_hook, made, finished)
        for sample in made:
            assert sample.stats['screening_passes'] == 3 * before * 2
            assert sample.stats['denoiser_passes'] == (3 * before + STEPS - before) * 2


@pytest.mark.parametrize('task', ['classifier'], indirect=True)
@pytest.mark.parametrize('kind', ['EulerDiscreteScheduler', 'DDPMScheduler'])
def test_the_way_goes_on_as_if_nothing_had_been_chosen(make, task, kind):
    """Schedulers that count their steps, and that draw noise."""
    scheduler = dict(type=kind, beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear')
    distiller, call_hook = make(size=3, keep=2, screen='halfway', scheduler=scheduler)
    slots = make_slots(task)
    made = distiller.distill_step(slots, call_hook)
    check_choice(distiller, call_hook, made, [
        {sample.stats['candidate']: own[sample.stats['candidate']]}
        for sample, own in zip(made, candidates(slots, 3))])


@pytest.mark.parametrize('task', ['classifier'], indirect=True)
def test_a_scheduler_with_memory_is_refused_halfway(make, task):
    scheduler = dict(type='DPMSolverMultistepScheduler', beta_start=0.00085, beta_end=0.012,
                     beta_schedule='scaled_linear')
    distiller, call_hook = make(size=2, keep=1, screen='halfway', scheduler=scheduler, guidance=0)
    with pytest.raises(ValueError, match='DPMSolverMultistepScheduler remembers earlier steps'):
        distiller.distill_step(make_slots(task), call_hook)
    distiller.pool = CandidatePool(size=2, keep=1, screen_steps=2)
    assert len(distiller.distill_step(make_slots(task), call_hook)) == 3


@pytest.mark.parametrize('task', ['classifier'], indirect=True)
@pytest.mark.parametrize('screen', ['unguided', 'halfway', None])
def test_neither_batch_size_nor_batch_mates_matter(make, task, screen):
    options = dict(size=3, keep=2, screen=screen, screen_steps=2)
    distiller, call_hook = make(**options)
    slots = make_slots(task)
    made = distiller.distill_step(slots, call_hook)
    others = [distiller.distill_step([slot], call_hook)[0] for slot in slots]
    distiller.pool = CandidatePool(batch_size=5, **options)
    others += distiller.distill_step(slots, call_hook)
    for sample, other in zip(made * 2, others):
        assert sample.stats == pytest.approx(other.stats, rel=1e-3)
        assert np.abs(sample.image.astype(int) - other.image).max() <= 1


@pytest.mark.parametrize('task', ['classifier'], indirect=True)
def test_the_judge_chooses(make, task, digits):
    """By the judge alone, and by the lesser of both scores."""
    torch.manual_seed(8)
    judge = ClassifierProxy(tiny.classifier_job(digits))
    torch.nn.init.normal_(judge.model.head.fc.weight, std=3.)
    slots, chosen = make_slots(task), {}
    for by in ('proxy', 'judge', 'both'):
        distiller, call_hook = make(size=4, screen=None, by=by, judge=judge)
        made = distiller.distill_step(slots, call_hook)
        chosen[by] = [sample.stats['candidate'] for sample in made]
    for i, own in enumerate(candidates(slots, 4)):
        scores = []
        for slot in own:
            sample, = distiller.draw([slot], call_hook)
            images = images_to_tensor([sample])
            scores.append([float(one.score(images, [sample])[0])
                           for one in (distiller.proxy, judge)])
        scores = np.array(scores)
        assert chosen['proxy'][i] == scores[:, 0].argmax()
        assert chosen['judge'][i] == scores[:, 1].argmax()
        assert chosen['both'][i] == scores.min(1).argmax()
    assert chosen['judge'] != chosen['proxy']


@pytest.mark.parametrize('task', ['classifier'], indirect=True)
def test_a_finished_image_is_scored_once(make, task, monkeypatch):
    distiller, call_hook = make(size=3, screen=None)
    distiller.refiners, looked = [ProxyRefiner(0.)], []
    predict = distiller.proxy.predict
    monkeypatch.setattr(distiller.proxy, 'predict', lambda images: (
        looked.append(len(images)), predict(images))[1])
    made = distiller.distill_step(make_slots(task), call_hook)
    assert sum(looked) == 3 * 3
    distiller.refine(made)
    assert sum(looked) == 3 * 3
    expected = distiller.proxy.score(images_to_tensor(made), made)
    assert [s.score for s in made] == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize('task', ['classifier'], indirect=True)
def test_another_round_draws_fresh_candidates(make, task):
    distiller, call_hook = make(size=2, keep=1, screen_steps=2)
    slot = make_slots(task)[0]
    first, = distiller.distill_step([slot], call_hook)
    second, = distiller.distill_step([slot.retry(0, 1)], call_hook)
    assert np.abs(first.image.astype(int) - second.image).mean() > 1
    assert second.slot.round == 1


def test_the_least():
    costs = torch.tensor([[3., 1., 2., 1.]])
    assert least(costs, 2).tolist() == [1, 3] and least(costs, 1).tolist() == [1]
    # Places 2 0 3 1 and 0 1 2 3, whatever the units: their sums are 2 1 5 4.
    two = torch.tensor([[30., 10., 90., 20.], [.1, .2, .3, .4]])
    assert least(two, 1).tolist() == [1] and least(two, 3).tolist() == [0, 1, 3]


@pytest.mark.parametrize('options, steps, expected', [
    (dict(size=8, keep=2, screen_steps=8), 20, 8 * 8 / 20 + 2), (dict(size=5, screen=None), 9, 5),
    (dict(size=8, keep=2, screen='halfway'), 20, (8 * 10 + 2 * 10) / 20)])
def test_the_expected_cost(options, steps, expected):
    assert CandidatePool(**options).samplings(steps) == pytest.approx(expected)


@pytest.mark.parametrize('options, words', [
    (dict(size=0, screen=None), 'keep <= size'), (dict(size=2, keep=3), 'keep <= size'),
    (dict(keep=0), 'keep <= size'), (dict(screen='cheap'), 'screen must be'),
    (dict(by='me'), 'by must be'), (dict(screen_steps=0), 'screen_steps must be'),
    (dict(screen_share=1.), 'screen_share in'), (dict(batch_size=0), 'batch_size must be')])
def test_bad_settings(options, words):
    with pytest.raises(ValueError, match=words):
        CandidatePool(**options)


def test_missing_parts_are_named():
    pool = dict(type='CandidatePool', by='both')
    model = dict(type='UniDD', image_size=32, diffusion=tiny.stable_diffusion(), pool=pool)
    with pytest.raises(ValueError, match='CandidatePool needs model.proxy'):
        MODELS.build(model)
    with pytest.raises(ValueError, match='RandomCoreset samples no images to choose from'):
        MODELS.build(dict(type='RandomCoreset', pool=pool))


def test_a_candidate_that_failed_is_never_kept(make, task, monkeypatch):
    """Not even where the proxy likes it best; a slot fails where all candidates do."""
    distiller, call_hook = make(size=3, screen=None)
    as_samples = type(distiller).as_samples

    def spoiled(self, slots, images, stats):
        images = images.clone()
        images[[0, 1, 2, 4]] = float('nan')  # all of slot 0, the middle one of slot 1
        return as_samples(self, slots, images, stats)
    monkeypatch.setattr(type(distiller), 'as_samples', spoiled)
    monkeypatch.setattr(distiller.proxy, 'score', lambda images, samples, predictions=None: (
        torch.tensor([float(i % 3 == 1) for i in range(len(samples))])))
    distiller.pool.batch_size = 9
    made = distiller.distill_step(make_slots(task), call_hook)
    assert [s.failure for s in made] == ['not finite', '', '']
    assert [s.stats['candidate'] for s in made] == [0, 0, 1]
    assert [s.accepted for s in made] == [False, True, True]
