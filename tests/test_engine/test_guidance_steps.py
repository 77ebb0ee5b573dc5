"""Step rules, schedules, inner steps, smoothing, branches and graphs of guidance."""
import math

import numpy as np
import pytest
import tiny
import torch
from gaussian import GaussianDiffusion, Recorder, caller, run, slots
from torch.testing import assert_close

from mmdd.engine import GuidanceHook
from mmdd.engine.hooks.guidance import RandomViews, step_factor
from mmdd.registry import HOOKS, MODELS
from mmdd.structures import DistillSlot, slot_seed
from mmdd.utils.seed import generator

VIEWS = dict(type='RandomViews', num=2, shift=.1, gain=.2, noise=.1)


class Pull(GuidanceHook):
    """Half the squared distance of the clean estimate to a target."""

    def __init__(self, scale=1., target=2., **kwargs):
        super().__init__(scale, **kwargs)
        self.target = target

    def energy(self, state):
        return ((state.denoised - self.target)**2).flatten(1).sum(1) / 2


class PullImage(Pull):
    """The same of the decoded image."""

    def energy(self, state):
        return ((state.decode(state.denoised) - self.target)**2).flatten(1).sum(1) / 2


class Idle(GuidanceHook):
    """Has no gradient."""

    def energy(self, state):
        return 0 * state.denoised.flatten(1).sum(1)


def states(diffusion, *hooks, num=2):
    recorder = Recorder('after_denoise')
    run(diffusion, num, [*hooks, recorder])
    return recorder.seen


def length(x):
    return x.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def coefficients(state):
    return state.alpha_bar**.5, (1 - state.alpha_bar)**.5


def exact_gradient(state, std, target):
    """Of Pull by z_t for a Gaussian prior, in closed form."""
    a = state.alpha_bar
    return a**.5 * std**2 / (a * std**2 + 1 - a) * (state.denoised - target)


@pytest.mark.parametrize('wrt', ['latent', 'denoised'])
def test_relative_step(wrt):
    std = .6 if wrt == 'latent' else 1.
    seen = states(GaussianDiffusion(.5, std), Pull(.2, step='relative', wrt=wrt))
    for s in seen:
        g = exact_gradient(s, std, 2.)
        expected = .2 * length(s.noise) * g / length(g)
        assert_close(s.guided - s.noise, expected, atol=1e-4, rtol=1e-4)
        assert_close(length(s.guided - s.noise), .2 * length(s.noise), atol=1e-5, rtol=1e-4)


def test_polyak_step():
    for s in states(GaussianDiffusion(.5, .6), Pull(.1, step='polyak')):
        g = exact_gradient(s, .6, 2.)
        energy = ((s.denoised - 2)**2).flatten(1).sum(1).view(-1, 1, 1, 1) / 2
        assert_close(s.guided - s.noise, .1 * length(s.noise) * energy / length(g)**2 * g,
                     atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('step, same', [('scale', False), ('relative', True), ('polyak', True)])
def test_which_steps_know_the_units_of_the_energy(step, same):
    class Louder(Pull):
        def energy(self, state):
            return 7 * super().energy(state)

    quiet, loud = (run(GaussianDiffusion(), 2, [kind(.1, step=step)])[0]
                   for kind in (Pull, Louder))
    assert torch.allclose(quiet, loud, atol=1e-4) == same
    assert not torch.allclose(quiet, run(GaussianDiffusion(), 2)[0], atol=1e-3)


def test_polyak_stops_where_the_energy_ends():
    gradient, reference = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    factor = step_factor('polyak', gradient, reference, torch.tensor([0., -2., 3.]))
    assert factor.flatten()[:2].tolist() == [0, 0]
    expected = 3 * reference[2].norm() / gradient[2].norm()**2
    assert_close(factor[2, 0, 0, 0], expected)


@pytest.mark.parametrize('step', ['relative', 'polyak'])
def test_a_gradient_without_direction_moves_nothing(step):
    _, stats = run(GaussianDiffusion(), 2, [Idle(1., step=step)])
    assert all('skipped_gradients' not in s for s in stats)
    assert_close(run(GaussianDiffusion(), 2, [Idle(1., step=step)])[0],
                 run(GaussianDiffusion(), 2)[0])
    gradient = torch.full((3, 1, 1, 1), 1.) * torch.tensor([2e-6, 5e-7, float('nan')]).view(
        3, 1, 1, 1)
    factor = step_factor(step, gradient, torch.ones(3, 1, 1, 1), torch.ones(3)).flatten()
    assert factor[0] > 0 and factor[1] == 0 and torch.isnan(factor[2])  # the last is counted


@pytest.mark.parametrize('step', ['relative', 'polyak'])
def test_a_direction_without_energy(step):
    class Direction(GuidanceHook):
        def guidance(self, state):
            return 3 * torch.ones_like(state.latents)

    if step == 'polyak':
        with pytest.raises(ValueError, match="Direction: .*step='polyak' need an energy"):
            Direction(.2, step=step)
        return
    for s in states(GaussianDiffusion(), Direction(.2, step=step)):
        assert_close(s.guided - s.noise,
                     .2 * length(s.noise) * torch.ones_like(s.noise) / math.sqrt(32))


@pytest.mark.parametrize('schedule, expected', [
    ('constant', lambda i, n, a: 1.), ('linear', lambda i, n, a: 1 - i / n),
    ('cosine', lambda i, n, a: math.cos(math.pi * i / n / 2)**2),
    ('sigma', lambda i, n, a: (1 - a)**.5), ('alpha', lambda i, n, a: a**.5)])
@pytest.mark.parametrize('window, guided', [
    (dict(), list(range(10))), (dict(start=.2, stop=.8, every=2), [2, 4, 6])])
def test_schedules(schedule, expected, window, guided):
    """Of a constant direction; the share is that of the guided steps that are done."""
    class Constant(GuidanceHook):
        def guidance(self, state):
            return torch.ones_like(state.latents)

    seen = states(GaussianDiffusion(steps=10), Constant(2., schedule=schedule, **window))
    for s in seen:
        change = torch.zeros_like(s.noise)
        if s.step in guided:
            factor = expected(guided.index(s.step), len(guided), s.alpha_bar)
            change = torch.full_like(s.noise, 2 * factor * (1 - s.alpha_bar)**.5)
        assert_close(s.guided - s.noise, change, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('steps', [1, 3])
def test_inner_steps_move_the_clean_estimate(steps):
    """Gradient descent on a quadratic; the noise is rebuilt from where it ends."""
    hook = Pull(0., inner_steps=steps, inner_scale=.2, schedule='linear')
    for s in states(GaussianDiffusion(.5, .6), hook):
        a, sigma = coefficients(s)
        keep = (1 - .2 * (1 - s.step / 4))**steps
        moved = 2 + keep * (s.denoised - 2)
        assert_close((s.latents - sigma * s.guided) / a, moved, atol=1e-4, rtol=1e-4)
        assert_close(s.guided, (s.latents - a * moved) / sigma, atol=2e-3, rtol=1e-3)


def test_inner_steps_need_no_graph_and_add_to_the_outer_one():
    diffusion, graphs = GaussianDiffusion(.5, .6), []
    original = diffusion.predict_noise
    diffusion.predict_noise = lambda z, t, c: graphs.append(z.requires_grad) or original(z, t, c)
    inner = states(diffusion, Pull(0., inner_steps=2, inner_scale=.1))[0]
    assert graphs == [False] * 4
    outer = states(diffusion, Pull(3.))[0]
    both = states(diffusion, Pull(3., inner_steps=2, inner_scale=.1))[0]
    assert_close(both.guided - both.noise,
                 inner.guided - inner.noise + outer.guided - outer.noise, atol=1e-4, rtol=1e-4)
    assert graphs[4:] == [True] * 8


def test_what_the_papers_move_is_longer_by_the_factor_of_the_docstring():
    """TFG and MPGD keep the noise where this rebuilds it."""
    guided, plain = ({s.step: s for s in states(GaussianDiffusion(.5, .6), hook)} for hook in (
        Pull(0., inner_steps=1, inner_scale=.3, stop=.25), Idle(1.)))
    before, after = plain[0], plain[1]
    a, sigma = coefficients(before)
    a_next, sigma_next = coefficients(after)
    clean = (before.latents - sigma * guided[0].guided) / a
    tfg = a_next * (clean - before.denoised)
    ours = guided[1].latents - after.latents
    assert_close(tfg * (1 - sigma_next * a / (sigma * a_next)), ours, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize('step', ['relative', 'polyak'])
def test_inner_steps_by_rule(step):
    for s in states(GaussianDiffusion(.5, .6), Pull(0., step=step, inner_steps=1,
                                                    inner_scale=.1)):
        a, sigma = coefficients(s)
        g = s.denoised - 2
        factor = length(s.denoised) / length(g)
        if step == 'polyak':
            factor = factor * (g**2).flatten(1).sum(1).view(-1, 1, 1, 1) / 2 / length(g)
        assert_close((s.latents - sigma * s.guided) / a, s.denoised - .1 * factor * g,
                     atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('wrt', ['latent', 'denoised'])
def test_smoothing_is_the_mean_over_noisy_copies(wrt):
    """Of a cubic, whose gradient at a copy is not that of the mean."""
    class Cubic(GuidanceHook):
        def energy(self, state):
            return (state.denoised**3).flatten(1).sum(1) / 3

    std = .6 if wrt == 'latent' else 1.
    seen = states(GaussianDiffusion(.5, std),
                  Cubic(.3, wrt=wrt, smoothing=.5, smoothing_draws=4, stop=.25))
    for s in seen[:1]:
        a, sigma = coefficients(s)
        mean = torch.stack([sum(
            (s.denoised[i] + .5 * sigma * torch.randn(2, 4, 4, generator=generator(
                'smoothing', slot.seed, 0, 0, 0, draw)))**2 for draw in range(4)) / 4
            for i, slot in enumerate(slots(2))])
        jacobian = a * std**2 / (a**2 * std**2 + 1 - a**2)
        assert_close(s.guided - s.noise, .3 * sigma * jacobian * mean, atol=1e-4, rtol=1e-3)


def test_switching_views_and_smoothing_on_changes_no_other_draw():
    """Idle guidance with all of them leaves the images, ancestral noise included."""
    class IdleImage(GuidanceHook):
        def energy(self, state):
            return 0 * state.decode(state.denoised).flatten(1).sum(1)

    def sample(*hooks):
        diffusion = GaussianDiffusion(shape=(3, 4, 4))
        return run(diffusion, 3, hooks)[0]

    hook = IdleImage(1., views=VIEWS, smoothing=.5, smoothing_draws=2, inner_steps=2,
                     inner_scale=.1, recurrence=2)
    assert torch.equal(sample(hook), sample(IdleImage(1., recurrence=2)))


def test_views_of_guidance_are_the_mean_of_the_energy():
    views = RandomViews(**{k: v for k, v in VIEWS.items() if k != 'type'})
    diffusion = GaussianDiffusion(.5, .6, shape=(3, 4, 4))
    batch = slots(2)
    for s in states(diffusion, PullImage(3., views=VIEWS)):
        z = s.latents.requires_grad_()
        a, sigma = coefficients(s)
        clean = .5 + a * .36 / (a**2 * .36 + sigma**2) * (z - a * .5)
        images = views(clean, views.draw(batch, s.step, 0, 0))
        energy = ((images - 2)**2).flatten(1).sum(1).view(2, 2).mean(0) / 2
        gradient, = torch.autograd.grad(energy.sum(), z)
        assert_close(s.guided - s.noise, 3 * sigma * gradient, atol=1e-4, rtol=1e-4)


def test_fresh_views_at_every_evaluation():
    seen = []

    class Look(PullImage):
        def energy(self, state):
            assert len(state.slots) == len(state.stats) == len(state.generators) == 4
            images = state.decode(state.denoised)
            seen.append((images - state.denoised.repeat(2, 1, 1, 1)).detach())
            return super().energy(state)

    run(GaussianDiffusion(shape=(3, 4, 4), steps=2), 2, [Look(
        1., wrt='denoised', views=VIEWS, inner_steps=1, inner_scale=.1, recurrence=2)])
    assert len(seen) == 2 * 2 * 2
    for i, one in enumerate(seen):
        assert all((one - other).abs().max() > 1e-3 for other in seen[:i])


def test_everything_is_independent_of_batch_mates():
    hook = PullImage(.2, step='relative', views=VIEWS, inner_steps=2, inner_scale=.1,
                     smoothing=.2, smoothing_draws=2, recurrence=2, schedule='cosine')

    def make():
        return GaussianDiffusion(shape=(3, 4, 4))

    together, stats = run(make(), 4, [hook])
    final = Recorder('after_sample')
    for i in (3, 0):
        _, alone = make().sample(slots(1, i), call_hook=caller(hook, final))
        assert_close(final.seen[-1].latents[0], together[i])
        assert alone[0]['energy'] == pytest.approx(stats[i]['energy'], rel=1e-4)


def test_views_of_an_energy_of_latents_are_refused():
    with pytest.raises(ValueError, match='with views it must look at state.decode'):
        run(GaussianDiffusion(shape=(3, 4, 4)), 2, [Pull(1., views=VIEWS)])


def prompts(num=2):
    return [DistillSlot(i, slot_seed(0, i), (32, 32), np.array([i]), prompt=f'a photo of {i}')
            for i in range(num)]


def adapters(**kwargs):
    return [pytest.param(cfg, id=cfg['type']) for cfg in (
        tiny.stable_diffusion(**kwargs), tiny.dit(**kwargs),
        tiny.stable_diffusion_xl(scheduler=tiny.dit()['scheduler'], steps=3, cfg_scale=2.))]


@pytest.mark.parametrize('cfg', adapters())
@pytest.mark.parametrize('wrt', ['latent', 'denoised'])
@pytest.mark.parametrize('branch', ['combined', 'text', 'uncond'])
def test_branches(cfg, wrt, branch):
    """Against a denoiser that is run for one branch alone."""
    diffusion = MODELS.build(cfg)
    found, calls = [], []
    network = diffusion.denoiser
    network.register_forward_hook(lambda *_: calls.append(1))

    class Keep:
        def after_denoise(self, runner, state):
            found.append((state.latents.detach().clone(), state.guided_noise - state.noise_pred,
                          state.alpha, state.sigma, torch.tensor(state.timestep)))

    diffusion.sample(prompts(), call_hook=caller(Pull(3., wrt=wrt, branch=branch), Keep()))
    assert len(calls) == diffusion.steps  # the branches cost no further pass
    condition = diffusion.encode_conditions(prompts())
    for latents, change, alpha, sigma, t in found:
        z = latents.requires_grad_()
        if branch == 'combined':
            noise = diffusion.predict_noise(z, t, condition)
        else:
            single = MODELS.build(dict(cfg, cfg_scale=1.))
            single.load_state_dict(diffusion.state_dict())
            first = cfg['type'].endswith('DiT') == (branch == 'text')
            half = one_branch(condition, slice(0, 2) if first else slice(2, 4))
            noise = single.predict_noise(z, t, half)
        clean = (z - sigma * noise) / alpha
        energy = ((clean - 2)**2).sum() / 2
        gradient, = torch.autograd.grad(energy, z if wrt == 'latent' else clean)
        expected = 3 * sigma * gradient * (1 if wrt == 'latent' else alpha)
        assert_close(change, expected.detach(), atol=1e-3, rtol=1e-3)


def one_branch(condition, half):
    if isinstance(condition, torch.Tensor):
        return condition[half]
    return type(condition)(*[value[half] for value in vars(condition).values()])


def test_a_branch_that_is_not_run():
    diffusion = MODELS.build(tiny.stable_diffusion(cfg_scale=1.))
    with pytest.raises(ValueError, match="branch='uncond' needs model.diffusion.cfg_scale above"):
        diffusion.sample(prompts(), call_hook=caller(Pull(1., branch='uncond')))
    text, plain = (diffusion.sample(prompts(), call_hook=caller(Pull(1., branch=branch)))[0]
                   for branch in ('text', 'combined'))
    assert_close(text, plain, atol=1e-5, rtol=0)
    with pytest.raises(NotImplementedError, match='GaussianDiffusion has no predict_branches'):
        run(GaussianDiffusion(), 2, [Pull(1., branch='text')])


@pytest.mark.parametrize('scale', [1., 2.**10, 2.**-6])
def test_loss_scaling_is_exact_in_fp32(scale):
    expected = run(GaussianDiffusion(), 2, [Pull(3., inner_steps=1, inner_scale=.1)])[0]
    found = run(GaussianDiffusion(), 2, [Pull(3., inner_steps=1, inner_scale=.1,
                                              loss_scale=scale)])[0]
    assert torch.equal(found, expected)


class Faint(GuidanceHook):
    """An energy in half precision whose gradient is below the least number there."""

    def energy(self, state):
        return 2e-9 * (state.denoised.half().float() - 2).square().flatten(1).sum(1)


def test_loss_scaling_saves_small_gradients_of_half_precision():
    lost, kept = (states(GaussianDiffusion(std=1.), Faint(1e9, wrt='denoised', loss_scale=scale))
                  for scale in (1., 2.**16))
    for s in lost:
        assert torch.equal(s.guided, s.noise)
    for s in kept:
        a, sigma = coefficients(s)
        assert_close(s.guided - s.noise, 4 * sigma * a * (s.denoised - 2), atol=1e-2, rtol=1e-2)


def test_the_graph_is_kept_only_for_hooks_that_still_need_it():
    kept = []

    class Watched(Pull):
        """Counts how often its graph can be used once more."""

        def after_denoise(self, runner, state):
            super().after_denoise(runner, state)
            try:
                torch.autograd.grad(self.seen, state.latents, torch.ones(2), retain_graph=True)
                kept.append(True)
            except RuntimeError as error:
                assert 'backward through the graph a second time' in str(error)
                kept.append(False)

        def energy(self, state):
            # Unlike sums, products keep what their gradient needs, until the graph is freed.
            self.seen = (state.denoised * state.denoised * state.latents).flatten(1).sum(1)
            return self.seen

    run(GaussianDiffusion(steps=1), 2, [Watched(1e-3), Watched(1e-3), Watched(1e-3)])
    assert kept == [True, True, False]
    kept.clear()
    run(GaussianDiffusion(steps=1), 2, [Watched(1e-3), Pull(1., wrt='denoised')])
    assert kept == [False]


def test_hooks_of_every_kind_add_up():
    hooks = [Pull(.1, step='relative'), Pull(2., -1., wrt='denoised'),
             Pull(0., 3., inner_steps=2, inner_scale=.1), Pull(1e-3, 1., step='polyak')]
    alone = [states(GaussianDiffusion(), hook)[0] for hook in hooks]
    change = sum(s.guided - s.noise for s in alone)
    for order in (hooks, hooks[::-1]):
        both = states(GaussianDiffusion(), *order)[0]
        assert_close(both.guided - both.noise, change, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('kwargs, word', [
    (dict(step='adam'), 'step'), (dict(schedule='exp'), 'schedule'),
    (dict(branch='image'), 'branch'), (dict(inner_steps=2), 'inner_steps and inner_scale'),
    (dict(inner_scale=.1), 'inner_steps and inner_scale'), (dict(inner_steps=-1), 'inner_steps'),
    (dict(smoothing=-.1), 'smoothing'), (dict(smoothing_draws=3), 'smoothing'),
    (dict(smoothing_draws=0), 'smoothing_draws'), (dict(loss_scale=0.), 'loss_scale')])
def test_bad_settings(kwargs, word):
    with pytest.raises(ValueError, match=f'Pull: .*{word}'):
        Pull(**kwargs)


def test_options_from_a_config():
    hook = HOOKS.build(dict(type='mmdd.TaskGuidanceHook', scale=.2, step='relative', views=VIEWS,
                            branch='text', schedule='cosine', inner_steps=2, inner_scale=.1))
    assert hook.views.num == 2 and hook.scale == .2 and hook.step == 'relative'
    with pytest.raises(ValueError, match='GuidanceHook: views, .* need an energy'):
        GuidanceHook(1., views=VIEWS)
