"""Mode guidance: the size of the pull, its window, and what it does to a sample."""
import copy

import gaussian
import numpy as np
import pytest
import tiny
import torch
from diffusers import DDPMScheduler
from project_files import load_module
from torch.testing import assert_close

from mmdd.apis import distill
from mmdd.engine.journal import Journal
from mmdd.registry import MODELS
from mmdd.structures import DENOISE_STAGES, DenoiseState, DistillSlot
from mmdd.utils.config import load_config


class Runner:
    """What the hook reads of a Runner."""

    def __init__(self, prior, modes):
        self.model = type('Model', (), dict(
            statistics=object(), diffusion=prior, prototypes=staticmethod(lambda slots: modes)))()


class RunnerHook:
    """A hook that gets a Runner of its own."""

    def __init__(self, hook, runner):
        for stage in DENOISE_STAGES:
            if hasattr(hook, stage):
                setattr(self, stage, self._bind(getattr(hook, stage), runner))

    @staticmethod
    def _bind(method, runner):
        return lambda _, state: method(runner, state)


@pytest.fixture(scope='module')
def module():
    return load_module('mode_guidance')


def slots(number):
    return [DistillSlot(id=i, seed=i, size=(32, 32), labels=np.array([0]), prompt='one')
            for i in range(number)]


def sample(prior, module, modes, record=None, **settings):
    hook, runner = module.ModeGuidanceHook(**settings), Runner(prior, modes)

    def call_hook(name, state):
        before = state.latents.clone()
        getattr(hook, name, lambda *args, **kwargs: None)(runner, state=state)
        if record is not None and name == 'after_step':
            record.append((state.step, before, state.latents.clone(), state.denoised.clone()))

    return prior.sample(slots(len(modes)), call_hook=call_hook)[0]


def test_deviations_are_those_of_the_posterior_of_ddpm(module):
    """diffusers' DDPM scheduler is the second implementation."""
    prior = MODELS.build(tiny.stable_diffusion(steps=50))
    ddpm = DDPMScheduler.from_config(prior.scheduler.config, variance_type='fixed_small')
    ddpm.set_timesteps(50)
    state = DenoiseState([], torch.zeros(0), [], decode=None, num_steps=50)
    times = ddpm.timesteps
    for t, after in zip(times[:-1], times[1:]):
        state.alpha, state.sigma = prior._alpha_sigma(t)
        state.next_alpha, state.next_sigma = prior._alpha_sigma(after)
        assert module.posterior_deviation(state) == pytest.approx(
            float(ddpm._get_variance(int(t)))**0.5, rel=1e-4)
    state.next_alpha, state.next_sigma = 1., 0.
    assert module.posterior_deviation(state) == 0.


def test_a_step_of_flow_matching_is_moved_by_the_posterior_of_its_own_process(module):
    node = load_config('configs/_base_/diffusions/tiny_random_sd3.py').model.diffusion
    prior = MODELS.build(dict(node.to_dict(), steps=4))
    shape = prior.latent_shape((32, 32))
    modes, record = torch.full((2, *shape), 0.5), []
    sample(prior, module, modes, record, scale=0.5, stop=1.)
    sigmas = prior.scheduler.sigmas.double().clamp_max(0.99).tolist()
    assert len(record) == len(sigmas) - 1 == 4
    for (_, before, after, denoised), now, then in zip(record, sigmas, sigmas[1:]):
        # With z_t = (1 - now) z_0 + now e: the variance of z_t given z_s, by Bayes' rule.
        kept = (1 - now) / (1 - then)
        deviation = (then**2 * (1 - kept**2 * then**2 / now**2))**0.5
        assert_close(after - before, -0.5 * deviation * (denoised - modes), atol=1e-5, rtol=1e-3)
        assert torch.equal(after, before) == (then == 0.)


def test_a_step_is_moved_by_lambda_sigma_times_the_distance(module):
    prior = MODELS.build(tiny.stable_diffusion(steps=50))
    modes = torch.full((2, 4, 8, 8), 0.5)
    record = []
    sample(prior, module, modes, record, scale=0.1)
    alphas = prior.scheduler.alphas_cumprod
    times = prior.scheduler.timesteps.tolist()
    for step, before, after, denoised in record:
        if step >= 24:  # timesteps 25 and below of 50
            assert torch.equal(before, after)
            continue
        now, then = float(alphas[times[step]]), float(alphas[times[step + 1]])
        sigma = ((1 - then) / (1 - now) * (1 - now / then))**0.5
        torch.testing.assert_close(after - before, -0.1 * sigma * (denoised - modes),
                                   atol=1e-6, rtol=1e-4)
        assert not torch.equal(before, after)


def test_a_stronger_pull_ends_nearer_to_the_mode(module):
    """With the exact denoiser of latents around 0.5, whose samples are known without a pull."""
    prior = gaussian.GaussianDiffusion(steps=50)
    modes = torch.full((2, *prior.shape), 2.)
    distance = []
    for scale in (0., 0.03, 0.1):
        hook = module.ModeGuidanceHook(scale=scale)
        latents, _ = gaussian.run(prior, hooks=[RunnerHook(hook, Runner(prior, modes))])
        distance.append((latents - modes).abs().mean().item())
    assert distance[0] > 1.1 * distance[1] > 1.2 * distance[2]


def test_a_sample_does_not_depend_on_its_batch(module):
    prior = MODELS.build(tiny.stable_diffusion(steps=6))
    modes = torch.stack([torch.full((4, 8, 8), float(i)) for i in range(3)])
    together = sample(prior, module, modes, scale=0.5)
    alone = sample(prior, module, modes[:1], scale=0.5)
    torch.testing.assert_close(alone[0], together[0], atol=1e-5, rtol=1e-4)


def test_a_job_shares_its_clusters_with_d4m(module, digits, tmp_path):
    shared = str(tmp_path / 'shared')
    cfg = tiny.classification_job(digits, n=1, batch_size=10)
    statistics = dict(type='LatentClusters', statistics_dir=shared)
    d4m, mode = copy.deepcopy(cfg), copy.deepcopy(cfg)
    d4m['model'].update(type='D4M', statistics=statistics)
    mode['model'].update(type='ModeGuidance', statistics=statistics)
    mode['custom_hooks'] = [dict(type='ModeGuidanceHook', scale=1.)]
    first = Journal(distill(d4m, str(tmp_path / 'd4m'))).read_plan()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / 'shared').iterdir()}
    second = Journal(distill(mode, str(tmp_path / 'mode'))).read_plan()
    assert [slot['prototype'] for slot in first] == [slot['prototype'] for slot in second]
    assert kept == {path: path.stat().st_mtime_ns for path in (tmp_path / 'shared').iterdir()}
    assert len(kept) == 10
    mode['custom_hooks'] = []
    free = distill(mode, str(tmp_path / 'free'))
    pulled = Journal(str(tmp_path / 'mode/distilled')).read_image((0, 0)).astype(int)
    assert np.abs(pulled - Journal(free).read_image((0, 0))).max() > 2


def test_the_hook_needs_modes(module, digits, tmp_path):
    cfg = tiny.classification_job(digits, n=1)
    cfg['custom_hooks'] = [dict(type='ModeGuidanceHook')]
    with pytest.raises(ValueError, match='needs a distiller with modes, such as ModeGuidance'):
        distill(cfg, str(tmp_path))
    with pytest.raises(ValueError, match='ModeGuidance needs the modes: set model.statistics'):
        module.ModeGuidance(diffusion=tiny.stable_diffusion(), statistics=None)
