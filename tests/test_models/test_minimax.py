"""Minimax fine-tuning against an implementation of its own, written from the paper."""
import copy
import glob
import os.path as osp
from collections import defaultdict

import numpy as np
import pytest
import tiny
import torch
from mmengine.logging import MMLogger
from torch.testing import assert_close

from mmdd.apis import train
from mmdd.engine.train_job import ensure_checkpoint
from mmdd.models import ClassMemory, FineTuned, MinimaxFineTuner
from mmdd.models.diffusions.difffit import merge_scale_factors
from mmdd.models.distillers.minimax.variational import variational_bound
from mmdd.registry import MODELS
from mmdd.structures import DistillSlot, slot_seed


def build(**kwargs):
    cfg = dict(type='MinimaxFineTuner', diffusion=tiny.dit(), num_classes=10, memory_size=3,
               lambda_r=.2, lambda_d=.8)
    cfg.update(kwargs)
    return MODELS.build(cfg)


def cosine(a, b):
    a, b = a.flatten().double().numpy(), b.flatten().double().numpy()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


class Reference:
    """Equations 2 to 4 and the memories of algorithm 1, image by image."""

    def __init__(self, size, form_r, form_d, pairs):
        self.size, self.form_r, self.form_d, self.pairs = size, form_r, form_d, pairs
        self.real, self.predicted = defaultdict(list), defaultdict(list)

    def least(self, values):
        return min(map(min, values)) if self.pairs == 'class' else np.mean(list(map(min, values)))

    def most(self, values):
        return max(map(max, values)) if self.pairs == 'class' else np.mean(list(map(max, values)))

    def step(self, predicted, clean, labels):
        l_r, l_d, present = 0., 0., set(labels)
        for label in present:
            mine = [z for z, y in zip(predicted, labels) if y == label]
            if self.real[label]:
                to_real = [[cosine(z, m) for m in self.real[label]] for z in mine]
                to_earlier = [[cosine(z, m) for m in self.predicted[label]] for z in mine]
                l_r += {
                    'minimax': lambda: 1 - self.least(to_real),  # noqa: B023
                    'mean': lambda: 1 - np.mean(
                        [cosine(z, clean.mean(0)) for z in mine]),  # noqa: B023
                    'none': lambda: 0.}[self.form_r]() / len(present)  # noqa: B023
                l_d += {
                    'minimax': lambda: self.most(to_earlier),  # noqa: B023
                    'mean': lambda: np.mean(to_earlier),  # noqa: B023
                    'none': lambda: 0.}[self.form_d]() / len(present)
        for z, z0, y in zip(predicted, clean, labels):
            for queue, value in ((self.real[y], z0), (self.predicted[y], z)):
                queue.append(value)
                del queue[:-self.size]
        return l_r, l_d


@pytest.mark.parametrize('pairs', ['item', 'class'])
@pytest.mark.parametrize('form_r, form_d', [
    ('minimax', 'minimax'), ('mean', 'mean'), ('minimax', 'none'), ('none', 'minimax')])
def test_criteria_step_by_step(form_r, form_d, pairs):
    model = build(representativeness=form_r, diversity=form_d, pairs=pairs)
    reference = Reference(3, form_r, form_d, pairs)
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    seen = 0
    for _ in range(9):
        labels = rng.integers(0, 3, 5).tolist()
        clean, predicted = torch.randn(5, 4, 8, 8), torch.randn(5, 4, 8, 8, requires_grad=True)
        losses = model.criteria(predicted, clean, labels)
        l_r, l_d = reference.step(predicted.detach(), clean, labels)
        wanted = dict(loss_representativeness=.2 * l_r, loss_diversity=.8 * l_d)
        wanted = {name: value for (name, value), form in zip(wanted.items(), (form_r, form_d))
                  if form != 'none'}
        assert {k: v.item() for k, v in losses.items()} == pytest.approx(wanted, abs=1e-5)
        seen += abs(l_r) + abs(l_d) > 0
        for label in range(3):
            for memory, queue in ((model.real, reference.real), (model.predicted,
                                                                 reference.predicted)):
                found = memory.get(label)
                assert len(found) == len(queue[label]) <= 3
                assert {z.sum().item() for z in found} == {z.sum().item() for z in queue[label]}
                assert not found.requires_grad
    assert seen >= 7


def test_the_first_batch_of_a_class_has_no_criteria():
    model = build()
    clean = torch.randn(2, 4, 8, 8)
    assert all(loss == 0 for loss in model.criteria(clean, clean, [4, 4]).values())
    # its own predictions now fill the memory: most similar is itself
    again = model.criteria(clean, clean, [4, 4])
    assert again['loss_diversity'].item() == pytest.approx(.8, abs=1e-6)
    # a class without memory halves the mean over the classes of the batch
    both = model.criteria(clean, clean, [4, 7])
    assert both['loss_diversity'].item() == pytest.approx(.4, abs=1e-6)


def test_gradients_pull_to_the_farthest_and_push_from_the_nearest():
    model = build(pairs='item')
    a, b = torch.zeros(2, 4, 8, 8)
    a[0, 0, 0], b[0, 0, 1] = 1., 1.
    model.real.push(0, torch.stack([a, b]))
    model.predicted.push(0, torch.stack([a, b]))
    z = (2 * a + b)[None].requires_grad_()
    model.criteria(z, torch.zeros(1, 4, 8, 8), [0])['loss_representativeness'].backward()
    assert (z.grad * b).sum() < 0 < (z.grad * a).sum()  # towards b, the less similar
    z.grad = None
    model = build(pairs='item')
    model.real.push(0, a[None])
    model.predicted.push(0, torch.stack([a, b]))
    model.criteria(z, torch.zeros(1, 4, 8, 8), [0])['loss_diversity'].backward()
    assert (z.grad * a).sum() > 0 > (z.grad * b).sum()  # away from a, the more similar


@pytest.mark.parametrize('prediction', ['epsilon', 'v_prediction'])
def test_what_the_prior_predicts_is_what_is_trained(prediction):
    scheduler = dict(tiny.dit()['scheduler'], prediction_type=prediction)
    model = build(diffusion=tiny.dit(learned_variance=True, scheduler=scheduler),
                  class_dropout=0., estimate='clean', variational=True,
                  representativeness='none', diversity='none')
    clean = torch.randn(3, 4, 8, 8)
    seen = {}
    embeddings = model.embeddings
    model.embeddings = lambda *args: seen.update(zip(('noisy', 'noise', 't'), args)) or \
        embeddings(*args)
    losses = model.losses(clean, [1, 2, 3], torch.Generator().manual_seed(5))
    draws = torch.Generator().manual_seed(5)
    t = torch.randint(1000, (3, ), generator=draws)
    noise = torch.randn(clean.shape, generator=draws)
    bar = torch.cumprod(1 - torch.linspace(.00085**.5, .012**.5, 1000)**2, 0)[t].view(-1, 1, 1, 1)
    alpha, sigma = bar**.5, (1 - bar)**.5
    noisy = alpha * clean + sigma * noise
    both = model.transformer(noisy, timestep=t, class_labels=torch.tensor([1, 2, 3])).sample
    out, fraction = both.chunk(2, 1)
    assert_close(seen['noisy'], noisy, atol=1e-4, rtol=1e-4)
    if prediction == 'epsilon':
        wanted, predicted = noise, out
    else:
        wanted, predicted = alpha * noise - sigma * clean, alpha * out + sigma * noisy
    assert_close(losses['loss_simple'], (out - wanted).square().mean(), atol=1e-5, rtol=1e-4)
    assert_close(seen['noise'], predicted, atol=1e-4, rtol=1e-4)
    bound = variational_bound(torch.cat([predicted, fraction], 1), clean, noisy, t,
                              model.prior.scheduler.alphas_cumprod)
    assert_close(losses['loss_variational'], bound.mean(), atol=1e-4, rtol=1e-4)


def test_predicted_embeddings():
    """The paper's difference keeps noise at small t; the code's estimate recovers z_0."""
    clean, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    for t, close in ((5, False), (999, True)):
        t = torch.full((2, ), t)
        paper, code = build(estimate='difference'), build()
        noisy = paper.prior.add_noise(clean, noise, t)
        assert_close(code.embeddings(noisy, noise, t), clean, atol=2e-3, rtol=1e-3)
        difference = paper.embeddings(noisy, noise, t)
        assert_close(difference, noisy - noise)
        similar = cosine(difference[0], clean[0])
        assert (similar > .85) == close, similar


def test_losses_are_those_of_a_denoising_step():
    model = build(lambda_r=0., lambda_d=0., class_dropout=.5)
    clean, labels = torch.randn(6, 4, 8, 8), [0, 1, 2, 3, 4, 5]
    g = torch.Generator().manual_seed(3)
    loss = model.losses(clean, labels, torch.Generator().manual_seed(3))['loss_simple']
    t = torch.randint(1000, (6, ), generator=g)
    noise = torch.randn(clean.shape, generator=g)
    dropped = torch.rand(6, generator=g) < .5
    assert 0 < dropped.sum() < 6
    classes = torch.tensor([10 if d else y for d, y in zip(dropped, labels)])
    bars = model.prior.scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
    out = model.transformer(bars**.5 * clean + (1 - bars)**.5 * noise, timestep=t,
                            class_labels=classes).sample
    assert_close(loss, ((out - noise)**2).mean())
    loss.backward()
    trained = {name for name, p in model.transformer.named_parameters() if p.grad is not None}
    assert trained == set(model.trained)
    assert any('gamma' in name for name in trained)


def test_flips_and_posterior_come_from_the_seed():
    images = torch.rand(8, 3, 32, 32)

    def encode(**kwargs):
        return build(**kwargs).encode(images, torch.Generator().manual_seed(1))

    plain = encode()
    assert torch.equal(plain, build().prior.encode_images(images))
    flipped = encode(flip=.5)
    mirrored = build().prior.encode_images(images.flip(3))
    draws = torch.rand(8, generator=torch.Generator().manual_seed(1)) < .5
    assert 0 < draws.sum() < 8
    assert_close(flipped, mirrored.where(draws.view(-1, 1, 1, 1), plain))
    drawn = encode(sample_posterior=True)
    assert torch.equal(drawn, encode(sample_posterior=True)) and not torch.equal(drawn, plain)


def test_variational_bound_is_the_kl_divergence():
    """Against torch's own divergence; at its minimum where the variance is the posterior's."""
    bars = torch.cumprod(1 - torch.linspace(1e-4, .02, 1000), 0)
    clean, noise = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8)
    t = torch.tensor([1, 400, 999])
    bar, last = (bars[i].view(-1, 1, 1, 1) for i in (t, t - 1))
    noisy = bar**.5 * clean + (1 - bar)**.5 * noise
    guess = noise + .1 * torch.randn_like(noise)
    fraction = torch.rand_like(noise) * 2 - 1
    beta = 1 - bar / last
    posterior = beta * (1 - last) / (1 - bar)

    def mean(z0):
        return (last**.5 * beta * z0 + (bar / last)**.5 * (1 - last) * noisy) / (1 - bar)

    log_var = (fraction + 1) / 2 * beta.log() + (1 - fraction) / 2 * posterior.log()
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean(clean), posterior**.5),
        torch.distributions.Normal(
            mean((noisy - (1 - bar)**.5 * guess) / bar**.5), (log_var / 2).exp()))
    found = variational_bound(torch.cat([guess, fraction], 1), clean, noisy, t, bars)
    assert_close(found, kl.mean((1, 2, 3)) / np.log(2), atol=1e-4, rtol=1e-3)
    exact = variational_bound(torch.cat([noise, -torch.ones_like(noise)], 1), clean, noisy, t,
                              bars)
    assert_close(exact, torch.zeros(3), atol=1e-4, rtol=0)


def test_variational_bound_trains_the_variance_alone():
    out = torch.randn(2, 8, 8, 8, requires_grad=True)
    z = torch.randn(2, 4, 8, 8)
    bars = torch.cumprod(1 - torch.linspace(1e-4, .02, 1000), 0)
    bound = variational_bound(out, z, z, torch.tensor([0, 500]), bars)
    assert bound.isfinite().all()
    bound.sum().backward()
    assert out.grad[:, :4].abs().max() == 0 < out.grad[:, 4:].abs().max()
    model = build(diffusion=tiny.dit(learned_variance=True), variational=True)
    losses = model.losses(torch.randn(2, 4, 8, 8), [1, 2], torch.Generator())
    assert set(losses) == {'loss_simple', 'loss_variational', 'loss_representativeness',
                           'loss_diversity'}


@pytest.mark.parametrize('settings, message', [
    (dict(estimate='x0'), r"estimate must be one of \['difference', 'clean'\], got 'x0'"),
    (dict(pairs='batch'), 'pairs must be one of'),
    (dict(diversity='max'), 'diversity must be one of'),
    (dict(memory_size=0), 'size must be at least 1'),
    (dict(num_classes=11), 'knows 10 classes, class 10 is asked for'),
    (dict(variational=True), 'variational needs a DiT with 8 output channels'),
    (dict(scale_layers=['all']), 'layers must be among'),
], ids=lambda x: next(iter(x)) if isinstance(x, dict) else '')
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)


def last_state(folder):
    path, = glob.glob(osp.join(folder, 'iter_4.pth'))
    return torch.load(path, weights_only=False)


def assert_same_state(a, b):
    assert a.keys() == b.keys()
    for key in a:
        assert torch.equal(a[key], b[key]), key


def test_an_interrupted_training_ends_in_the_same_weights(digits, tmp_path):
    job = tiny.fine_tune_job(digits, flip=.5)
    job['custom_hooks'].append(dict(type='EMAHook', momentum=.1))
    whole = train(copy.deepcopy(job), str(tmp_path / 'whole'))
    half = copy.deepcopy(job)
    half['train_cfg']['max_iters'] = 2
    train(half, str(tmp_path / 'parts'))
    train(copy.deepcopy(job), str(tmp_path / 'parts'), resume=True)
    first, second = last_state(tmp_path / 'whole'), last_state(tmp_path / 'parts')
    for key in ('state_dict', 'ema_state_dict'):
        assert_same_state(first[key], second[key])
    memories = [key for key in first['state_dict'] if 'entries' in key or 'pushed' in key]
    assert len(memories) == 4 and first['state_dict']['iteration'] == 4
    assert first['state_dict']['real.pushed'].sum() == 12
    # frozen weights stay, trained ones move
    before = MODELS.build(dict(copy.deepcopy(job['model']))).state_dict()
    moved = {k for k, v in whole.model.state_dict().items() if not torch.equal(v, before[k])}
    assert {k.removeprefix('transformer.') for k in moved if k.startswith('transformer.')} <= set(
        MinimaxFineTuner(tiny.dit(), 10).trained)
    assert 'transformer.transformer_blocks.0.attn1.to_out.0.gamma' in moved
    # the autoencoder is not among the weights
    assert not any('vae' in key or 'prior' in key for key in before)


@pytest.fixture
def told():
    """What the current logger was told."""
    import logging

    class Keep(logging.Handler):
        lines = []

        def emit(self, record):
            self.lines.append(record.getMessage())

    handler = Keep()
    handler.lines = []
    original = MMLogger.callHandlers
    try:
        MMLogger.callHandlers = lambda self, record: (
            handler.emit(record), original(self, record))[1]
        yield handler.lines
    finally:
        MMLogger.callHandlers = original


@pytest.mark.parametrize('momentum, warned', [(1e-4, True), (.9, False)])
def test_an_average_that_outlives_the_run_is_told(momentum, warned, digits, tmp_path, told):
    """A trap of the released code: decay 0.9999 over 12,000 updates."""
    job = tiny.fine_tune_job(digits, max_iters=2, memory_size=1)
    job['custom_hooks'].append(dict(type='EMAHook', momentum=momentum))
    train(job, str(tmp_path))
    text = '\n'.join(told)
    assert ('moving average outlives the run' in text) == warned
    assert ('still holds 100 % of the first weights after 2 updates' in text) == warned
    assert 'memories of' not in text


def test_memories_larger_than_a_class_are_told(digits, tmp_path, told):
    train(tiny.fine_tune_job(digits, max_iters=1), str(tmp_path))
    assert ('memories of 3 embeddings are larger than 10 of 10 classes (the smallest has 1 '
            'images)') in '\n'.join(told)


def test_published_weights_keep_average_and_last(digits, tmp_path):
    job = tiny.fine_tune_job(digits, max_iters=3)
    job['custom_hooks'].append(dict(type='EMAHook', momentum=.2))
    path = ensure_checkpoint(job, str(tmp_path / 'tuned.pth'))
    content = torch.load(path, weights_only=True)
    assert set(content) == {'meta', 'state_dict', 'ema_state_dict'}
    last, ema = (FineTuned(job, path, weights=w).read(0) for w in ('last', 'ema'))
    key = 'proj_out_2.bias'
    assert not torch.equal(last[key], ema[key])
    # MMEngine's file has the average where a model is loaded from
    assert torch.equal(ema[key], content['state_dict'][f'transformer.{key}'])
    prior = MODELS.build(tiny.dit())
    before = prior.transformer.proj_out_2.bias.clone()
    assert (ema[key] - before).norm() < (last[key] - before).norm()
    prior.load_fine_tuned(last)
    assert torch.equal(prior.transformer.proj_out_2.bias, last[key])


def test_no_average_to_take(digits, tmp_path):
    job = tiny.fine_tune_job(digits, max_iters=1, interval=1)
    path = ensure_checkpoint(job, str(tmp_path / 'tuned.pth'))
    with pytest.raises(ValueError, match='has no moving average; add an EMAHook'):
        FineTuned(job, path, weights='ema').read(0)
    assert set(FineTuned(job, path).read(0)) >= {'proj_out_2.bias'}
    with pytest.raises(ValueError, match='names 1 files, shard 1'):
        FineTuned(job, path).read(1)
    (tmp_path / 'tuned.pth').write_bytes(b'no')
    with pytest.raises(ValueError, match='cannot be loaded as fine-tuned weights'):
        FineTuned(job, path).read(0)
    with pytest.raises(ValueError, match='no fine-tuned weights at'):
        FineTuned(job, str(tmp_path / 'none.pth')).read(0)
    other = MODELS.build(dict(type='ClassifierProxy', cfg=tiny.classifier_job(digits)))
    torch.save(dict(state_dict=other.state_dict()), tmp_path / 'proxy.pth')
    with pytest.raises(ValueError, match='holds no transformer'):
        FineTuned(job, str(tmp_path / 'proxy.pth')).read(0)


@pytest.mark.parametrize('settings, message', [
    (dict(weights='best'), 'weights must be one of'), (dict(classes_per_shard=0), 'at least 1')])
def test_bad_settings_of_fine_tuned(settings, message):
    with pytest.raises(ValueError, match=message):
        FineTuned({}, **settings)


def test_shards_of_classes(digits):
    job = tiny.fine_tune_job(digits)
    tuned = FineTuned(job, 'work/tuned.pth', classes_per_shard=4)
    assert tuned.shards(10) == [range(0, 4), range(4, 8), range(8, 10)]
    assert [tuned.shard_of(label) for label in range(10)] == [0] * 4 + [1] * 4 + [2] * 2
    prior = tiny.dit(class_map=list(range(10))[::-1], steps=9)
    jobs = tuned.jobs(10, 'unused', prior)
    assert [path for _, path in jobs] == [
        'work/tuned_0-3.pth', 'work/tuned_4-7.pth', 'work/tuned_8-9.pth']
    cfg = jobs[1][0]
    assert cfg.model.labels == cfg.train_dataloader.dataset.labels == [4, 5, 6, 7]
    assert cfg.train_dataloader.dataset.dataset.type == 'CustomDataset'
    # what is fine-tuned is the prior that is sampled from
    assert cfg.model.diffusion.class_map == prior['class_map'] and cfg.model.diffusion.steps == 3
    one, = FineTuned(dict(job, model=dict(job['model'], num_classes=3))).jobs(10, 'here', prior)
    assert one[1] == 'here/fine_tuned.pth' and one[0].model.num_classes == 10
    shard = MODELS.build(dict(cfg.model))
    shard.criteria(torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), [6])
    assert shard.real.pushed.tolist() == [0, 0, 1, 0]


def test_memory_is_first_in_first_out():
    memory = ClassMemory(2, 3, (1, ))
    assert len(memory.get(0)) == 0
    memory.push(0, torch.arange(2.)[:, None])
    assert sorted(memory.get(0).flatten().tolist()) == [0, 1]
    memory.push(0, torch.arange(2., 7.)[:, None])
    assert sorted(memory.get(0).flatten().tolist()) == [4, 5, 6]
    assert len(memory.get(1)) == 0


def test_slots_of_two_shards_are_drawn_from_their_weights(tmp_path):
    """A mixed batch equals each slot by itself with the merged weights of its shard."""
    torch.manual_seed(0)
    states, paths = [], []
    for i in range(2):
        tuner = build()
        for parameter in tuner.transformer.parameters():
            if parameter.requires_grad:
                parameter.data += .1 * torch.randn_like(parameter)
        paths.append(str(tmp_path / f'{i}.pth'))
        torch.save(dict(state_dict=tuner.state_dict()), paths[-1])
        states.append(merge_scale_factors(tuner.transformer.state_dict()))
    distiller = MODELS.build(dict(
        type='Minimax', diffusion=tiny.dit(), image_size=32,
        fine_tune=dict(type='FineTuned', cfg={}, checkpoint=paths, classes_per_shard=5)))
    slots = [DistillSlot(i, slot_seed(0, i), (32, 32), np.array([label]))
             for i, label in enumerate((7, 1, 9, 4))]
    samples = distiller.distill_step(slots, lambda name, **kwargs: None)
    assert [sample.slot.id for sample in samples] == [0, 1, 2, 3]
    prior = MODELS.build(tiny.dit())
    raw = (prior.sample(slots)[0] * 255).round().permute(0, 2, 3, 1).numpy()
    for sample, slot, untuned in zip(samples, slots, raw):
        prior.transformer.load_state_dict(states[int(slot.labels[0]) // 5])
        image = (prior.sample([slot])[0][0] * 255).round().permute(1, 2, 0).numpy()
        assert np.abs(sample.image - image).max() <= 1
        assert np.abs(sample.image - untuned).max() > 5
