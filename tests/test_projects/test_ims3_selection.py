"""Subgroup selection of IMS3: the search, the centroids, and a job."""
import itertools
import json

import numpy as np
import pytest
import tiny
import torch
from project_files import load_module
from torch.nn.functional import normalize

from mmdd.apis import distill
from mmdd.structures import IPC, DistilledSample, DistillSlot


@pytest.fixture(scope='module')
def module():
    return load_module('ims3_selection')


def objective(stage, centroids, real, chosen):
    """The published sum over classes and pairs, term by term."""
    picked = [own[k].numpy() for own, k in zip(centroids, chosen)]
    close = sum(-np.log(1 - g @ r.numpy() + stage.eps) for g, r in zip(picked, real))
    apart = sum(np.log(1 - g @ h + stage.eps) for g, h in itertools.combinations(picked, 2))
    return stage.alpha * close + stage.beta * apart


def pool(seed, sizes, dim=6):
    generator = torch.Generator().manual_seed(seed)
    real = [normalize(torch.randn(dim, generator=generator).double(), dim=0) for _ in sizes]
    centroids = [normalize(r + 0.6 * torch.randn(size, dim, generator=generator), dim=1)
                 for r, size in zip(real, sizes)]
    return centroids, real


def best(stage, centroids, real):
    return max(itertools.product(*(range(len(own)) for own in centroids)),
               key=lambda chosen: objective(stage, centroids, real, chosen))


def closest(centroids, real):
    return [int((own @ r).argmax()) for own, r in zip(centroids, real)]


def test_the_search_against_all_choices(module):
    """No single exchange is better, and of 20 pools of 96 choices most end at the best one."""
    stage, found_best, moved = module.SubgroupSelection(), 0, 0
    for seed in range(20):
        centroids, real = pool(seed, [4, 3, 4, 2])
        chosen = stage.search(centroids, real)
        value, start = objective(stage, centroids, real, chosen), closest(centroids, real)
        assert value >= objective(stage, centroids, real, start) - 1e-9
        for c, own in enumerate(centroids):
            for k in range(len(own)):
                other = [*chosen[:c], k, *chosen[c + 1:]]
                assert value >= objective(stage, centroids, real, other) - 1e-9
        found_best += tuple(chosen) == best(stage, centroids, real)
        moved += chosen != start
    assert found_best > 10 and moved >= 5


@pytest.mark.parametrize('settings', [dict(beta=0.), dict(sweeps=0)])
def test_without_separation_the_closest_are_the_best(module, settings):
    stage = module.SubgroupSelection(**settings)
    for seed in range(5):
        centroids, real = pool(seed, [3, 5, 4])
        assert stage.search(centroids, real) == closest(centroids, real)
        if 'beta' in settings:
            assert closest(centroids, real) == list(best(stage, centroids, real))


def test_one_class_takes_its_closest_subgroup(module):
    centroids, real = pool(0, [6])
    assert module.SubgroupSelection().search(centroids, real) == closest(centroids, real)


class Pool(list):
    """Samples, class by class, whose images are their numbers."""

    def __init__(self, labels):
        super().__init__(DistilledSample(DistillSlot(i, i, (2, 2), np.array([label])))
                         for i, label in enumerate(labels))

    def image(self, index):
        return np.full((2, 2, 3), index, np.uint8)


class Proxy(torch.nn.Module):
    """Gives the image of number i the i-th row of features."""

    def __init__(self, rows):
        super().__init__()
        self.rows = torch.nn.Parameter(torch.tensor(rows))

    @torch.no_grad()
    def features(self, images):
        return self.rows[(images[:, 0, 0, 0] * 255).round().long()]


@pytest.fixture
def distiller(module, monkeypatch):
    """Class 0 lies on the first axis, class 1 on the second; their files are rows 8 and 9."""
    monkeypatch.setattr(module, 'load_image', lambda path, size: np.full(
        (*size, 3), int(path), np.uint8))
    rows = [[1., 4.], [4., 1.],  # 0, 1: class 0, spread, their centroid on the diagonal
            [9., 0.], [1., .2],  # 2, 3: class 0, close to its axis
            [2., 3.], [1., 2.],  # 4, 5: class 1, between the axes
            [.1, 1.], [.2, 5.],  # 6, 7: class 1, close to its axis
            [3., 0.], [0., 2.]]
    real = [type('Real', (), dict(path=path, labels=np.array([label])))
            for path, label in (('8', 0), ('9', 1))]
    return type('Distiller', (), dict(proxy=Proxy(rows), annotations=real, image_size=(2, 2)))


def test_whole_subgroups_are_kept(module, distiller):
    stage = module.SubgroupSelection(groups=2, batch_size=1)
    assert stage.choose(Pool([0] * 4 + [1] * 4), 4, distiller) == [2, 3, 6, 7]
    # one image per class: subgroups of one; 2 lies on the axis of class 0, 7 closest to the other
    stage = module.SubgroupSelection(groups=4)
    assert stage.choose(Pool([0] * 4 + [1] * 4), 2, distiller) == [2, 7]
    assert stage.choose([], 0, distiller) == []


def test_a_centroid_is_the_middle_of_directions(module, distiller):
    stage = module.SubgroupSelection()
    found = stage.centroid(Pool([0] * 8).image, [2, 7], distiller.proxy)
    angle = np.arctan2(5., .2) / 2  # lengths do not count
    np.testing.assert_allclose(found, [np.cos(angle), np.sin(angle)], rtol=1e-6)


def test_real_images_are_spread_over_the_class(module, distiller, monkeypatch):
    read = []
    monkeypatch.setattr(module, 'load_image', lambda path, size: read.append(
        path) or np.full((*size, 3), 8, np.uint8))
    distiller.annotations = [type('Real', (), dict(path=str(i), labels=np.array([i // 7])))
                             for i in range(14)]
    stage = module.SubgroupSelection(groups=2, num_real=3)
    stage.choose(Pool([0] * 4 + [1] * 4), 4, distiller)
    assert read == ['0', '3', '6', '7', '10', '13']


def test_failed_samples_cost_a_subgroup(module, distiller):
    stage = module.SubgroupSelection(groups=2)
    assert stage.choose(Pool([0] * 4 + [1] * 3), 4, distiller) == [2, 3, 4, 5]
    with pytest.raises(ValueError, match=r'4 images .* \{0: 4, 1: 1\} samples: too many failed'):
        stage.choose(Pool([0] * 4 + [1]), 4, distiller)
    with pytest.raises(ValueError, match='too many failed'):
        stage.choose(Pool([0] * 2 + [1] * 3), 5, distiller)


def plan_of(labels, groups=None):
    return [DistillSlot(i, i, (2, 2), np.array(own), group=groups[i] if groups else 0)
            for i, own in enumerate(labels)]


@pytest.mark.parametrize('slots', [
    plan_of([[0], [1]], groups=[0, 1]), plan_of([[0], [0], [1]]), plan_of([[0, 1], [0, 1]]),
    plan_of([[], []])])
def test_a_plan_that_has_no_subgroups_is_refused(module, slots):
    stage = module.SubgroupSelection()
    stage.check(plan_of([[0], [1]]))
    with pytest.raises(ValueError, match='SubgroupSelection needs images of one class'):
        stage.check(slots)


@pytest.mark.parametrize('settings', [dict(groups=0), dict(alpha=-1.), dict(eps=0.),
                                      dict(batch_size=0)])
def test_settings_out_of_range(module, settings):
    with pytest.raises(ValueError, match='SubgroupSelection: groups, num_real and batch_size'):
        module.SubgroupSelection(**settings)


def test_a_job_keeps_one_subgroup_of_each_class(module, digits, classifier_proxy, tmp_path):
    scenes = tiny.digit_scenes(tmp_path / 'scenes', train=1, singles=20)
    cfg = tiny.classification_job(scenes, n=2, batch_size=20)
    cfg['model'].update(
        type='IMS3Selection', set_stages=[dict(type='SubgroupSelection', groups=3)],
        proxy=dict(type='ClassifierProxy', cfg=tiny.classifier_job(digits),
                   checkpoint=classifier_proxy.checkpoint))
    folder = distill(cfg, str(tmp_path / 'work'))
    manifest = json.loads(open(f'{folder}/manifest.json').read())
    assert manifest['budget'] == str(IPC(2)) and manifest['images_made'] == 60
    assert manifest['budget_asked'] == manifest['budget_met'] == 20
    ids = np.array(sorted(image['slot'] for image in manifest['images'])).reshape(10, 2)
    assert (ids[:, 1] == ids[:, 0] + 1).all() and (ids[:, 0] % 2 == 0).all()
    assert (ids[:, 0] // 6 == np.arange(10)).all()
