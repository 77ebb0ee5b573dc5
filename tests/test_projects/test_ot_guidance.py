"""Optimal-transport guidance: the transport, its gradient, and what it does to a sample."""
import gaussian
import numpy as np
import pytest
import tiny
import torch
from project_files import load_module
from scipy.optimize import linear_sum_assignment, linprog

from mmdd.apis import distill
from mmdd.engine import Journal
from mmdd.registry import MODELS
from mmdd.structures import DenoiseState, DistillSlot


@pytest.fixture(scope='module')
def module():
    return load_module('ot_guidance')


class Runner:
    """A Runner whose distiller knows one class: centres (K, C, h, w) and their counts."""

    def __init__(self, module, centres, counts):
        statistics = object.__new__(module.ClassSupport)
        found = dict(centres=centres.numpy(), counts=np.array(counts))
        statistics.read = lambda label: found
        self.model = type('Model', (), dict(statistics=statistics))()


def slots(positions):
    """Slots of class 0; each is the given image of its class."""
    return [DistillSlot(id=i, seed=i, size=(32, 32), labels=np.array([0]), prompt='one',
                        prototype=dict(cluster=position))
            for i, position in enumerate(positions)]


def state_of(denoised, positions, **settings):
    return DenoiseState(slots(positions), denoised, [], decode=None, num_steps=50,
                        denoised=denoised, **settings)


@pytest.mark.parametrize('epsilon', [0.05, 0.5])
def test_two_points_and_two_centres_have_a_known_plan(module, epsilon):
    cost = torch.tensor([[0., 1.], [1., 0.]], dtype=torch.float64)
    plan = module.sinkhorn(cost, torch.full((2, ), 0.5).double(), epsilon, 1)
    own = 0.5 / (1 + np.exp(-1 / epsilon))
    expected = [[own, 0.5 - own], [0.5 - own, own]]
    np.testing.assert_allclose(plan.numpy(), expected, rtol=1e-6)


def test_the_plan_tends_to_the_best_assignment(module):
    draw = np.random.default_rng(0)
    for _ in range(5):
        cost = draw.uniform(size=(6, 6))
        plan = module.sinkhorn(torch.from_numpy(cost), torch.full((6, ), 1 / 6).double(),
                               2e-3, 5000).numpy()
        rows, columns = linear_sum_assignment(cost)
        expected = np.zeros((6, 6))
        expected[rows, columns] = 1 / 6
        np.testing.assert_allclose(plan, expected, atol=2e-2)


def test_unequal_masses_cost_what_the_linear_programme_says(module):
    draw = np.random.default_rng(1)
    cost, masses = draw.uniform(size=(3, 5)), draw.dirichlet(np.ones(5))
    rows = np.kron(np.eye(3), np.ones(5))
    columns = np.kron(np.ones(3), np.eye(5))
    exact = linprog(cost.ravel(), A_eq=np.vstack([rows, columns]),
                    b_eq=np.concatenate([np.full(3, 1 / 3), masses])).fun
    plan = module.sinkhorn(torch.from_numpy(cost), torch.from_numpy(masses), 2e-3, 5000).numpy()
    np.testing.assert_allclose(plan.sum(0), masses, rtol=1e-9)
    np.testing.assert_allclose(plan.sum(1), 1 / 3, rtol=1e-4)
    assert (plan * cost).sum() == pytest.approx(exact, abs=5e-3)


def test_a_single_image_is_moved_onto_all_centres(module):
    """One row can only be the masses, so the cost is the mean distance on the sphere."""
    centres = torch.eye(3).reshape(3, 3, 1, 1)
    hook = module.OTGuidanceHook()
    state = state_of(torch.tensor([2., 0., 0.]).reshape(1, 3, 1, 1), [0])
    hook.before_sample(Runner(module, centres, [5, 3, 2]), state)
    assert hook.energy(state).tolist() == pytest.approx([0.5 * 2**0.5])


@pytest.mark.parametrize('masses, expected', [
    ([1 / 4] * 4, [0, 1, 2, 3]), ([.5, .3, .2], [0, 1, 2, 0, 0, 1, 0, 2, 1, 0]), ([1.], [0, 0])])
def test_earlier_images_stand_where_mass_is_left(module, masses, expected):
    assert module.stand_ins(masses, len(expected)) == expected
    assert module.stand_ins(masses, 0) == []


def test_the_last_image_is_drawn_to_the_centre_that_is_left(module):
    centres = torch.randn(4, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    hook = module.OTGuidanceHook(epsilon=0.02, iterations=200)
    energies = []
    for centre in centres:
        state = state_of(centre[None].clone() + 0.01, [3])
        hook.before_sample(Runner(module, centres, [1, 1, 1, 1]), state)
        energies.append(float(hook.energy(state)))
    assert int(np.argmin(energies)) == 3 and energies[3] < 0.1 * min(energies[:3])


def test_the_gradient_is_that_of_finite_differences(module):
    generator = torch.Generator().manual_seed(3)
    centres = torch.randn(4, 1, 2, 2, generator=generator).double()
    hook = module.OTGuidanceHook()
    denoised = torch.randn(2, 1, 2, 2, generator=generator).double()
    state = state_of(denoised, [1, 2], alpha=0.5, sigma=0.75**0.5)
    hook.before_sample(Runner(module, centres, [4, 3, 2, 1]), state)
    found = hook.guidance(state)
    for index in np.ndindex(*denoised.shape):
        energies = []
        for step in (1e-5, -1e-5):
            moved = denoised.clone()
            moved[index] += step
            energies.append(hook.energy(state_of(moved, [1, 2])).sum())
        slope = float(energies[0] - energies[1]) / 2e-5
        assert float(found[index]) == pytest.approx(0.5 * slope, rel=1e-4, abs=1e-7)


def test_the_window_is_that_of_the_paper(module):
    steps = module.OTGuidanceHook().guided_steps(50)
    assert [49 - step for step in steps] == list(range(45, 29, -1))


def test_a_sample_does_not_depend_on_its_batch(module):
    prior = MODELS.build(tiny.stable_diffusion(steps=6))
    centres = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    runner = Runner(module, centres, [4, 3, 2, 1])

    def sample(wanted, scale=0.5):
        hook = module.OTGuidanceHook(scale=scale, start=0, stop=1)
        return prior.sample(wanted, call_hook=lambda name, state: getattr(
            hook, name, lambda *args, **kwargs: None)(runner, state=state))[0]

    wanted = slots([0, 3, 1])
    together = sample(wanted)
    for i, slot in enumerate(wanted):
        torch.testing.assert_close(sample([slot])[0], together[i], atol=1e-5, rtol=1e-4)
    assert (sample(wanted, scale=0) - together).abs().max() > 1e-2


def test_guided_samples_cost_less(module):
    """With the exact denoiser of white latents; image 3 of 4 goes to the centre that is left."""
    prior = gaussian.GaussianDiffusion(steps=50, mean=0.)
    centres = torch.randn(4, *prior.shape, generator=torch.Generator().manual_seed(0))
    runner = Runner(module, centres, [1, 1, 1, 1])

    def cost(scale):
        hook, seen = module.OTGuidanceHook(scale=scale), []

        def call_hook(name, state):
            getattr(hook, name, lambda *args, **kwargs: None)(runner, state=state)
            if name == 'after_sample':
                seen.append(float(hook.energy(state_of(state.latents, [3] * 8)).mean()))
        prior.sample(slots([3] * 8), call_hook=call_hook)
        return seen[0]

    costs = [cost(scale) for scale in (0., 0.1, 0.3)]
    assert costs[0] > 1.02 * costs[1] > 1.04 * costs[2]


def test_a_class_is_summed_up_by_centres_and_counts(module):
    """Two heaps of 6 and 2 latents."""
    latents = np.zeros((8, 1, 2, 2), np.float32)
    latents[[1, 5]] = 4.
    latents[:, 0, 0, 0] += np.tile([-.5, -.5, .5, .5], 2)
    statistics = module.ClassSupport(points=2)
    found = statistics.summarize(iter([latents[:3], latents[3:]]), 8, 1, seed=0)
    order = np.argsort(found['counts'])
    assert found['counts'][order].tolist() == [2, 6] and found['images'] == 8
    np.testing.assert_allclose(found['centres'][order], [
        latents[[1, 5]].mean(0), latents[[0, 2, 3, 4, 6, 7]].mean(0)], atol=1e-6)
    same = module.ClassSupport(points=5).summarize(iter([latents[:1]]), 1, 1, seed=0)
    assert same['counts'].tolist() == [1]
    assert statistics.settings()['points'] == 2


@pytest.fixture
def job(module, tmp_path):
    digits = tiny.digit_scenes(tmp_path / 'scenes', train=1, singles=30)
    cfg = tiny.classification_job(digits, n=2, batch_size=10)
    cfg['model'].update(type='OTGuidance', statistics=dict(type='ClassSupport', points=3))
    cfg['custom_hooks'] = [dict(type='OTGuidanceHook', scale=0.5, start=0, stop=1)]
    return cfg


def test_a_job_is_guided(job, tmp_path):
    guided = Journal(distill(job, str(tmp_path / 'guided')))
    assert [slot['prototype']['cluster'] for slot in guided.read_plan()] == [0, 1] * 10
    assert guided.read((0, 0))['stats']['energy'] > 0
    job['custom_hooks'] = []
    free = Journal(distill(job, str(tmp_path / 'free')))
    assert np.abs(guided.read_image((0, 0)).astype(int) - free.read_image((0, 0))).max() > 2


def test_the_hook_needs_masses(module, job, tmp_path):
    job['model'].update(statistics=dict(type='LatentClusters'))
    with pytest.raises(ValueError, match="model.statistics=dict.type='ClassSupport'"):
        distill(job, str(tmp_path / 'work'))


@pytest.mark.parametrize('settings', [dict(epsilon=0.), dict(iterations=0),
                                      dict(epsilon=float('inf'))])
def test_settings_out_of_range(module, settings):
    with pytest.raises(ValueError, match='OTGuidanceHook: epsilon must be above 0'):
        module.OTGuidanceHook(**settings)
    with pytest.raises(ValueError, match='ClassSupport: points must be at least 1, got 0'):
        module.ClassSupport(points=0)
