"""Guidance against closed forms: a Gaussian prior whose noise prediction is exact."""
import inspect
from contextlib import nullcontext

import pytest
import torch
from gaussian import GaussianDiffusion, Recorder, caller, run, slots
from mmengine.hooks import Hook
from torch.testing import assert_close

import mmdd.engine
from mmdd.engine import GuidanceHook, TaskGuidanceHook
from mmdd.registry import HOOKS
from mmdd.structures import DENOISE_STAGES


class Pull(GuidanceHook):
    """Half the squared distance of the clean estimate to a target."""

    def __init__(self, scale=1., target=2., **kwargs):
        super().__init__(scale, **kwargs)
        self.target = target
        self.steps = []

    def energy(self, state):
        self.steps.append(state.step)
        return ((state.denoised - self.target)**2).flatten(1).sum(1) / 2


class Posterior(Pull):
    """The exact likelihood of a noisy observation of z0, given z_t."""

    def __init__(self, prior_std, noise_std, target):
        super().__init__(1., target)
        self.prior_std, self.noise_std = prior_std, noise_std

    def energy(self, state):
        a, s = state.alpha_bar, self.prior_std
        spread = s**2 * (1 - a) / (a * s**2 + 1 - a)
        return super().energy(state) / (self.noise_std**2 + spread)


def states(diffusion, *hooks, num=2):
    recorder = Recorder('after_denoise')
    run(diffusion, num, [*hooks, recorder])
    return recorder.seen


def arrives_at(mean, std):
    """Where the mean ends: the loop starts from N(0, 1), as all of diffusers does, which is
    off by sqrt(alpha_bar_T) mean; the flow shrinks that by the factor std."""
    scheduler = GaussianDiffusion().scheduler
    return mean - std * float(scheduler.alphas_cumprod[-1])**.5 * mean


@pytest.mark.parametrize('mean, std', [(0., 1.), (.7, .3)])
def test_the_prior_is_sampled(mean, std):
    """Equation 3 at each step, and the right distribution at the end."""
    diffusion = GaussianDiffusion(mean, std, 200, (4, 16, 16), 'trailing')
    seen = states(diffusion, num=4)
    for s in seen:
        a = s.alpha_bar
        assert_close(s.denoised, (s.latents - (1 - a)**.5 * s.noise) / a**.5)
        exact = mean + a**.5 * std**2 / (a * std**2 + 1 - a) * (s.latents - a**.5 * mean)
        assert_close(s.denoised, exact, atol=2e-4, rtol=1e-3)
        assert_close(s.guided, s.noise)
    latents, _ = run(diffusion, 4)
    assert abs(latents.mean() - arrives_at(mean, std)) < .02 * std
    assert abs(latents.std() / std - 1) < .03


@pytest.mark.parametrize('scale', [3., -.5])
def test_sign_and_scale_of_equations_8_and_9(scale):
    std, target = .6, 2.
    for s in states(GaussianDiffusion(.5, std), Pull(scale, target)):
        a = s.alpha_bar
        jacobian = a**.5 * std**2 / (a * std**2 + 1 - a)
        expected = s.noise + scale * (1 - a)**.5 * jacobian * (s.denoised - target)
        assert_close(s.guided, expected, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(s.guided, s.noise, atol=1e-3)


def test_around_the_denoiser_is_exact_for_unit_variance():
    through = states(GaussianDiffusion(.5, 1.), Pull(3.))
    around = states(GaussianDiffusion(.5, 1.), Pull(3., wrt='denoised'))
    for a, b in zip(through, around):
        assert_close(a.guided, b.guided, atol=1e-4, rtol=1e-4)
    other = [states(GaussianDiffusion(.5, .5), Pull(3., wrt=wrt))[1]
             for wrt in ('latent', 'denoised')]
    assert not torch.allclose(other[0].guided, other[1].guided, rtol=.1)


def test_around_the_denoiser_needs_no_graph():
    diffusion = GaussianDiffusion()
    graphs = []
    original = diffusion.predict_noise
    diffusion.predict_noise = lambda z, t, c: graphs.append(z.requires_grad) or original(z, t, c)
    run(diffusion, hooks=[Pull(wrt='denoised')])
    assert graphs == [False] * 4
    run(diffusion, hooks=[Pull(wrt='latent', stop=.5)])
    assert graphs[4:] == [True, True, False, False]


@pytest.mark.parametrize('wrt', ['latent', 'denoised'])
def test_samples_follow_the_exact_posterior(wrt):
    mean, target, noise_std = .5, 2., .5
    std = 1. if wrt == 'denoised' else .8
    diffusion = GaussianDiffusion(mean, std, 200, (4, 16, 16), 'trailing')
    hook = Posterior(std, noise_std, target)
    hook.wrt = wrt
    latents, stats = run(diffusion, 4, [hook])
    precision = 1 / std**2 + 1 / noise_std**2
    exact = (mean / std**2 + target / noise_std**2) / precision
    assert abs(latents.mean() - arrives_at(exact, precision**-.5)) < .01
    assert abs(latents.std() / precision**-.5 - 1) < .03
    assert all('skipped_gradients' not in s for s in stats)


def test_hooks_add_up_in_either_order():
    first, second = Pull(2., 2.), Pull(3., -1., wrt='denoised', every=2)
    alone = [states(GaussianDiffusion(), hook)[0] for hook in (first, second)]
    both = states(GaussianDiffusion(), first, second)
    turned = states(GaussianDiffusion(), second, first)
    change = sum(s.guided - s.noise for s in alone)
    assert_close(both[0].guided, both[0].noise + change)
    for a, b in zip(both, turned):
        assert_close(a.guided, b.guided)


@pytest.mark.parametrize('settings, expected', [
    (dict(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    (dict(start=.3, stop=.8), [3, 4, 5, 6, 7]),
    (dict(stop=.25), [0, 1, 2]),
    (dict(every=3), [0, 3, 6, 9]),
    (dict(start=.3, every=2), [3, 5, 7, 9]),
    (dict(start=.55, stop=.75, every=5), [6]),
    (dict(start=.5, stop=.5), []),
    (dict(scale=0), [])])
def test_window(settings, expected):
    hook = Pull(**settings)
    seen = states(GaussianDiffusion(steps=10), hook)
    assert hook.steps == expected
    changed = [s.step for s in seen if not torch.equal(s.guided, s.noise)]
    assert changed == expected


def test_max_norm_clips_the_long_and_leaves_the_short():
    free = states(GaussianDiffusion(), Pull(3.))[0]
    lengths = (free.guided - free.noise).flatten(1).norm(dim=1)
    limit = float(lengths.mean())
    assert lengths.min() < limit < lengths.max()
    clipped = states(GaussianDiffusion(), Pull(3., max_norm=limit))[0]
    change = clipped.guided - clipped.noise
    assert_close(change.flatten(1).norm(dim=1), lengths.clamp_max(limit))
    direction = torch.cosine_similarity(change.flatten(1), (free.guided - free.noise).flatten(1))
    assert_close(direction, torch.ones(2))


class Broken(Pull):
    """Has no finite gradient for one slot."""

    def energy(self, state):
        factor = torch.ones(len(state.slots))
        for i, slot in enumerate(state.slots):
            if slot.id == 1:
                factor[i] = float('nan') if state.step % 2 else float('inf')
        return super().energy(state) * factor


def test_non_finite_gradients_are_skipped_and_counted_for_their_sample_only():
    latents, stats = run(GaussianDiffusion(), 3, [Broken(3.)])
    plain, _ = run(GaussianDiffusion(), 3)
    guided, _ = run(GaussianDiffusion(), 3, [Pull(3.)])
    assert [s.get('skipped_gradients', 0) for s in stats] == [0, 4, 0]
    assert [s.get('unguided', 0) for s in stats] == [0, 1, 0]
    assert 'energy' not in stats[1] and stats[0]['energy'] > 0
    assert_close(latents[1], plain[1])
    assert_close(latents[[0, 2]], guided[[0, 2]])
    assert torch.isfinite(latents).all() and not torch.allclose(guided, plain)


def test_a_sample_is_unguided_if_one_hook_never_guides_it():
    class Flaky(Broken):
        """Works in the last step."""

        def energy(self, state):
            return Pull.energy(self, state) if state.step == 3 else super().energy(state)

    def unguided(*hooks):
        return [s.get('unguided', 0) for s in run(GaussianDiffusion(), 3, hooks)[1]]

    assert unguided(Pull(3.), Broken(3.)) == unguided(Broken(3.), Pull(3.)) == [0, 1, 0]
    assert unguided(Broken(3.), Broken(3.)) == [0, 2, 0]
    assert unguided(Flaky(3.)) == unguided(Pull(3.)) == [0, 0, 0]
    assert unguided(Broken(3., stop=0.)) == [0, 0, 0]  # guides no step at all


def test_an_infinite_energy_is_not_guidance_though_its_gradient_is_finite():
    class Infinite(Pull):
        def energy(self, state):
            return super().energy(state) + float('inf')

    latents, stats = run(GaussianDiffusion(), 2, [Infinite(3.)])
    assert [s['skipped_gradients'] for s in stats] == [4, 4]
    assert_close(latents, run(GaussianDiffusion(), 2)[0])


def test_images_that_are_not_finite_are_nan_throughout():
    class Overflowing(GaussianDiffusion):
        def decode_latents(self, latents, fast=False):
            images = latents.clone()
            images[1, 0, 0, 0] = float('inf')
            return images

    images = Overflowing().sample(slots(3))[0]
    assert torch.isnan(images[1]).all() and torch.isfinite(images[[0, 2]]).all()


def test_the_last_energy_is_kept():
    recorder = Recorder()
    latents, stats = run(GaussianDiffusion(), 2, [Pull(1., 2.), recorder])
    expected = ((recorder.seen[-1].denoised - 2)**2).flatten(1).sum(1) / 2
    assert_close(torch.tensor([s['energy'] for s in stats]), expected)


def test_an_energy_without_gradient_changes_nothing():
    class Constant(GuidanceHook):
        def energy(self, state):
            return torch.full((len(state.slots), ), 3.)

    latents, stats = run(GaussianDiffusion(), 2, [Constant(5.)])
    assert_close(latents, run(GaussianDiffusion(), 2)[0])
    assert [s['energy'] for s in stats] == [3., 3.]


@pytest.mark.parametrize('value', [
    lambda z: z.sum(), lambda z: z.flatten(1), lambda z: z.flatten(1).sum(1)[:1], lambda z: 3.,
    lambda z: None, lambda z: z.detach().flatten(1).sum(1).numpy()])
def test_an_energy_of_a_wrong_shape_is_named(value):
    class Wrong(GuidanceHook):
        def energy(self, state):
            return value(state.denoised)

    with pytest.raises(ValueError, match='Wrong.energy must return one number per sample'):
        run(GaussianDiffusion(), 2, [Wrong(1.)])


def test_a_direction_instead_of_an_energy():
    class Direction(GuidanceHook):
        def guidance(self, state):
            return torch.ones_like(state.latents)

    for s in states(GaussianDiffusion(), Direction(2.)):
        assert_close(s.guided, s.noise + 2 * (1 - s.alpha_bar)**.5)


@pytest.mark.parametrize('value, got', [
    (lambda z: torch.tensor(1.), 'a single number'), (lambda z: z[:, :1], r'\(2, 1, '),
    (lambda z: z.detach().numpy(), 'ndarray'), (lambda z: None, 'NoneType')])
def test_a_direction_of_a_wrong_shape_is_named(value, got):
    class Wrong(GuidanceHook):
        def guidance(self, state):
            return value(state.latents)

    with pytest.raises(ValueError, match=r'Wrong.guidance must return a tensor of the shape of '
                                         rf'state.latents, \(2, .*, got {got}'):
        run(GaussianDiffusion(), 2, [Wrong(1.)])


def test_an_energy_of_something_else_than_the_estimate_is_named():
    class Elsewhere(GuidanceHook):
        def energy(self, state):
            return torch.ones(len(state.slots), requires_grad=True)

    with pytest.raises(ValueError, match='Elsewhere.energy does not depend on state.denoised'):
        run(GaussianDiffusion(), 2, [Elsewhere(1.)])


@pytest.mark.parametrize('kwargs, word', [
    (dict(wrt='pixels'), 'wrt'), (dict(start=.6, stop=.4), 'window'), (dict(stop=1.1), 'window'),
    (dict(start=-.1), 'window'), (dict(every=0), 'every'), (dict(recurrence=0), 'recurrence'),
    (dict(max_norm=0.), 'max_norm'), (dict(max_norm=-1.), 'max_norm')])
def test_bad_settings(kwargs, word):
    with pytest.raises(ValueError, match=f'Pull: .*{word}'):
        Pull(**kwargs)


def test_recurrence_repeats_guided_steps_only():
    diffusion = GaussianDiffusion(steps=4)
    _, stats = run(diffusion, hooks=[Pull(1., recurrence=3, stop=.5)])
    assert [stat['denoiser_passes'] for stat in stats] == [len(diffusion.calls)] * 2 == [8, 8]
    t = [int(t) for t in diffusion.scheduler.timesteps]
    assert diffusion.calls == [t[0]] * 3 + [t[1]] * 3 + [t[2], t[3]]
    diffusion.calls.clear()
    run(diffusion, hooks=[Pull(1., recurrence=3, start=.75), Pull(1., recurrence=2)])
    assert diffusion.calls == [t[0]] * 2 + [t[1]] * 2 + [t[2]] * 2 + [t[3]] * 3
    # A share of the steps does not change when steps are repeated.
    hook = Pull(1., recurrence=3, stop=.5)
    run(diffusion, hooks=[hook])
    assert hook.steps == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize('last', [False, True])
def test_renoising_restores_the_marginal(last):
    diffusion = GaussianDiffusion(steps=4)
    diffusion.scheduler.set_timesteps(4)
    t = diffusion.scheduler.timesteps
    now, following = (t[3], None) if last else (t[1], t[2])
    abar = diffusion.scheduler.alphas_cumprod
    before, after = abar[now], torch.tensor(1.) if last else abar[following]
    clean = torch.full((1, 4, 64, 64), 3.)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    x = diffusion._renoise(after**.5 * clean + (1 - after)**.5 * noise, now, following,
                           [torch.Generator().manual_seed(1)])
    assert abs(x.mean() - before**.5 * 3) < .02
    assert abs(x.std() - (1 - before)**.5) < .02
    ratio = before / after
    again = diffusion._renoise(clean, now, following, [torch.Generator().manual_seed(1)])
    fresh = torch.randn(clean.shape[1:], generator=torch.Generator().manual_seed(1))
    assert_close(again[0], ratio**.5 * clean[0] + (1 - ratio)**.5 * fresh, atol=1e-5, rtol=1e-5)


def test_recurrence_keeps_the_distribution():
    class Idle(GuidanceHook):
        def energy(self, state):
            return 0 * state.denoised.flatten(1).sum(1)

    diffusion = GaussianDiffusion(.7, .5, 200, (4, 16, 16), 'trailing')
    latents, _ = run(diffusion, 4, [Idle(1., recurrence=3)])
    plain, _ = run(diffusion, 4)
    assert len(diffusion.calls) == 800
    assert abs(latents.mean() - .7) < .02 and abs(latents.std() / .5 - 1) < .06
    assert not torch.allclose(latents, plain, atol=.1)


@pytest.mark.parametrize('scheduler, settings, words', [
    ('EulerDiscreteScheduler', dict(recurrence=2), 'without memory such as DDIMScheduler, not E'),
    ('PNDMScheduler', dict(recurrence=2), 'without memory'),
    ('DDIMScheduler', dict(branch='text'), "Pull: branch='text' needs model.diffusion.cfg_scale"),
    ('DDIMScheduler', dict(recurrence=2), None),
    ('EulerDiscreteScheduler', dict(recurrence=2, stop=0.), None)])
def test_what_a_hook_needs_is_checked_by_the_config(scheduler, settings, words):
    model = dict(diffusion=dict(type='StableDiffusion', cfg_scale=1.,
                                scheduler=dict(type=scheduler)))
    Pull(1., **settings).check_model(dict(diffusion=None))
    with pytest.raises(ValueError, match=words) if words else nullcontext():
        Pull(1., **settings).check_model(model)


@pytest.mark.parametrize('name', ['DDIMScheduler', 'EulerDiscreteScheduler'])
def test_the_factors_of_the_next_step_are_known_after_a_step(name):
    import diffusers
    prior = GaussianDiffusion(steps=4)
    prior.scheduler = getattr(diffusers, name)(beta_schedule='scaled_linear')
    seen = []

    def call_hook(stage, state):
        if stage == 'after_denoise':
            seen.append((state.alpha, state.sigma))
        elif stage == 'after_step':
            seen.append((state.next_alpha, state.next_sigma))

    prior.sample(slots(1), call_hook=call_hook)
    assert seen[1:-1:2] == seen[2::2] and seen[-1] == (1., 0.)
    assert len(set(seen)) == 5 and all(a * a + s * s == pytest.approx(1) for a, s in seen)


def test_recurrence_needs_a_scheduler_without_memory():
    from diffusers import EulerDiscreteScheduler
    diffusion = GaussianDiffusion()
    diffusion.scheduler = EulerDiscreteScheduler(beta_schedule='scaled_linear')
    with pytest.raises(ValueError, match='recurrence needs a scheduler without memory'):
        run(diffusion, hooks=[Pull(1., recurrence=2)])


def test_stages_are_fired_in_order():
    recorder = Recorder(*DENOISE_STAGES)
    run(GaussianDiffusion(steps=2), hooks=[recorder, Pull(1., stop=.5, recurrence=2)])
    step = ['before_denoise', 'after_denoise', 'after_step']
    assert [s.stage for s in recorder.seen] == ['before_sample', *step * 3, 'after_sample']
    assert [s.step for s in recorder.seen[1:-1]] == [0] * 6 + [1] * 3
    assert DENOISE_STAGES == ('before_sample', *step, 'after_sample')
    after_step = [s for s in recorder.seen if s.stage == 'after_step']
    before = [s for s in recorder.seen if s.stage == 'before_denoise']
    assert_close(before[-1].latents, after_step[-2].latents)  # what one step leaves, the next sees


def test_a_hook_may_change_the_latents_of_the_next_step():
    class Zero:
        def after_step(self, runner, state):
            state.latents = torch.zeros_like(state.latents)

    recorder = Recorder('before_denoise')
    latents, _ = run(GaussianDiffusion(steps=3), hooks=[Zero(), recorder])
    assert [bool(s.latents.any()) for s in recorder.seen] == [True, False, False]
    assert not latents.any()


def test_guidance_is_independent_of_batch_mates():
    together, _ = run(GaussianDiffusion(), 5, [Pull(3., max_norm=2., recurrence=2)])
    final = Recorder('after_sample')
    for i in (4, 0, 2):
        GaussianDiffusion().sample(slots(1, i), call_hook=caller(
            Pull(3., max_norm=2., recurrence=2), final))
        assert_close(final.seen[-1].latents[0], together[i])


HOOK_CLASSES = sorted({cls for cls in HOOKS.module_dict.values()
                       if cls.__module__.startswith('mmdd.')} | {TaskGuidanceHook},
                      key=lambda cls: cls.__name__)


@pytest.mark.parametrize('cls', HOOK_CLASSES)
def test_stage_methods_of_every_hook(cls):
    """A misspelt stage would never be called and never complained about."""
    assert issubclass(cls, Hook) and 'get_triggered_stages' not in vars(cls)
    known = {name for name in dir(Hook) if name.startswith(('before_', 'after_'))}
    for name in dir(cls):
        if not name.startswith(('before_', 'after_')):
            continue
        own = {'after_distill_iter', 'before_manifest'}
        assert name in known | set(DENOISE_STAGES) | own, name
        parameters = list(inspect.signature(getattr(cls, name)).parameters)
        if name in DENOISE_STAGES:
            assert parameters == ['self', 'runner', 'state'], name
        elif name == 'after_distill_iter':
            assert parameters == ['self', 'runner', 'samples'], name


def test_every_exported_hook_is_checked():
    exported = {cls for cls in vars(mmdd.engine).values()
                if inspect.isclass(cls) and issubclass(cls, Hook)}
    assert exported <= set(HOOK_CLASSES) and len(exported) >= 3


def test_task_guidance_needs_a_proxy():
    hook = TaskGuidanceHook()
    assert hook.scale == 100
    with pytest.raises(ValueError, match='needs model.proxy'):
        hook.check_model(dict(diffusion=dict(type='StableDiffusion')))
