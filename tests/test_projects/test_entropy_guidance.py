"""Entropy guidance: its gradient, its window, and what it does to a sample."""
import gaussian
import numpy as np
import pytest
import tiny
import torch
from project_files import load_module

from mmdd.apis import distill
from mmdd.engine import Journal
from mmdd.structures import DenoiseState, DistillSlot


@pytest.fixture(scope='module')
def module():
    return load_module('entropy_guidance')


class Linear:
    """A classifier of 3 classes whose logits are linear in the image."""

    def __init__(self, num_inputs, generator):
        self.weight = torch.randn(3, num_inputs, generator=generator).double()

    def logits(self, images):
        return images.flatten(1).to(self.weight) @ self.weight.T


class Runner:
    def __init__(self, proxy):
        self.model = type('Model', (), dict(proxy=proxy))()


def test_energy_and_gradient_are_known_for_a_linear_classifier(module):
    """The entropy H falls with the logit f_k by p_k (log p_k + H)."""
    generator = torch.Generator().manual_seed(0)
    denoised = torch.randn(4, 3, 2, 2, generator=generator).double()
    state = DenoiseState(
        [DistillSlot(i, i, (2, 2), np.array([0])) for i in range(4)], denoised, [],
        decode=lambda latents: 2 * latents, num_steps=20, alpha=0.5, denoised=denoised)
    proxy, hook = Linear(12, generator), module.EntropyGuidanceHook()
    hook.before_sample(Runner(proxy), state)
    p = torch.softmax(2 * denoised.flatten(1) @ proxy.weight.T, dim=1)
    entropy = -(p * p.log()).sum(1, keepdim=True)
    torch.testing.assert_close(hook.energy(state), -entropy[:, 0])
    expected = (p * (p.log() + entropy)) @ proxy.weight * 2  # 2: the decoder
    torch.testing.assert_close(
        hook.guidance(state).double(), 0.5 * expected.view_as(denoised), atol=1e-6, rtol=1e-5)


def test_a_sure_classifier_gives_finite_numbers(module):
    hook, state = module.EntropyGuidanceHook(), DenoiseState(
        [DistillSlot(0, 0, (1, 1), np.array([0]))], torch.ones(1, 1, 1, 1), [],
        decode=lambda latents: latents, num_steps=20, denoised=torch.ones(1, 1, 1, 1))
    proxy = type('Sure', (), dict(logits=staticmethod(
        lambda images: images.flatten(1) * torch.tensor([[1e4, 0.]]))))
    hook.before_sample(Runner(proxy), state)
    assert hook.energy(state).tolist() == [0.]
    assert torch.isfinite(hook.guidance(state)).all()


def test_samples_end_with_more_entropy_and_each_by_itself(module):
    prior = gaussian.GaussianDiffusion(steps=20)
    proxy = Linear(int(np.prod(prior.shape)), torch.Generator().manual_seed(1))

    def entropies(num, scale, **settings):
        hook, seen = module.EntropyGuidanceHook(scale, **settings), []

        def call_hook(name, state):
            getattr(hook, name, lambda *args, **kwargs: None)(Runner(proxy), state=state)
            if name == 'after_sample':
                p = proxy.logits(state.latents).softmax(1)
                seen.append(-(p * p.log()).sum(1))
        prior.sample(gaussian.slots(num), call_hook=call_hook)
        return seen[0]

    plain, guided = entropies(8, 0.), entropies(8, 0.2)
    assert guided.mean() > plain.mean() + 0.05
    torch.testing.assert_close(entropies(1, 0.2)[0], guided[0], atol=1e-5, rtol=1e-4)
    assert torch.equal(entropies(8, 0.2, max_timestep=-1), plain)


@pytest.mark.parametrize('stop, expected', [(1., range(5, 25)), (0.4, range(5, 10))])
def test_steps_are_guided_from_a_timestep_on(module, stop, expected):
    """25 steps are at 960, 920, ..., 0; the first at or below 795 is 760."""
    hook = module.EntropyGuidanceHook(stop=stop)
    state = DenoiseState([], torch.zeros(0), [], decode=None, num_steps=25)
    active = []
    for state.step in range(25):
        state.timestep = 960 - 40 * state.step
        active += [state.step] if hook.is_active(state) else []
    assert active == list(expected)
    assert not hook.needs_graph


@pytest.fixture
def job(digits, classifier_proxy):
    cfg = tiny.classification_job(digits, n=1, batch_size=10)
    cfg['model'].update(type='EntropyGuidance', proxy=dict(
        type='ClassifierProxy', cfg=tiny.classifier_job(digits),
        checkpoint=classifier_proxy.checkpoint))
    cfg['custom_hooks'] = [dict(type='EntropyGuidanceHook', scale=0.5)]
    return cfg


def test_a_job_is_guided(module, job, tmp_path):
    guided = Journal(distill(job, str(tmp_path / 'guided')))
    assert -np.log(10) <= guided.read((0, 0))['stats']['energy'] < 0
    job['custom_hooks'] = []
    free = Journal(distill(job, str(tmp_path / 'free')))
    assert np.abs(guided.read_image((0, 0)).astype(int) - free.read_image((0, 0))).max() > 2


def test_the_hook_needs_a_classifier(module, digits, tmp_path):
    cfg = tiny.classification_job(digits, n=1)
    cfg['custom_hooks'] = [dict(type='EntropyGuidanceHook')]
    with pytest.raises(ValueError, match='EntropyGuidanceHook needs a classifier: set model'):
        distill(cfg, str(tmp_path))
