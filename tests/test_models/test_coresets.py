"""K-center, herding, balanced choice and the pass over the real images."""
import itertools
import json
import os
import os.path as osp
from fractions import Fraction

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmdd.apis import distill
from mmdd.models import (
    DensestCoreset,
    HerdingCoreset,
    KCenterCoreset,
    RandomCoreset,
    UniformCoreset,
    balanced_choice,
)
from mmdd.models.coresets import cover, grid
from mmdd.models.coresets.grid import Grid
from mmdd.models.coresets.herding import herd
from mmdd.models.coresets.k_center import farthest_first
from mmdd.models.proxies import feature_pass
from mmdd.models.proxies.feature_pass import FeaturePass
from mmdd.structures import IPC, Ratio, RealAnnotation, Total
from mmdd.utils.seed import derive_seed

ALL = (RandomCoreset, UniformCoreset, KCenterCoreset, HerdingCoreset, DensestCoreset)


@st.composite
def points(draw, power_of_two=False):
    """Small whole numbers, so that duplicates and ties are common."""
    num = draw(st.sampled_from([1, 2, 4, 8, 16]) if power_of_two else st.integers(1, 14))
    dim = draw(st.integers(1, 3))
    row = st.lists(st.integers(-3, 3), min_size=dim, max_size=dim)
    return np.array(draw(st.lists(row, min_size=num, max_size=num)), np.float32)


def naive_k_center(points, num, first):
    """Exact, from all distances, anew at every step."""
    rows = [[int(v) for v in row] for row in points]
    chosen = [first]
    while len(chosen) < num:
        best, at = -1, None
        for i, x in enumerate(rows):
            near = min(sum((a - b)**2 for a, b in zip(x, rows[j])) for j in chosen)
            if i not in chosen and near > best:
                best, at = near, i
        chosen.append(at)
    return chosen


def naive_herding(points, num):
    """The rule as iCaRL states it, in fractions."""
    rows = [[Fraction(int(v)) for v in row] for row in points]
    mean = [sum(column) / len(rows) for column in zip(*rows)]
    chosen = []
    for k in range(1, num + 1):
        best, at = None, None
        for i, x in enumerate(rows):
            total = [v + sum(rows[j][d] for j in chosen) for d, v in enumerate(x)]
            cost = sum((m - t / k)**2 for m, t in zip(mean, total))
            if i not in chosen and (best is None or cost < best):
                best, at = cost, i
        chosen.append(at)
    return chosen


@settings(max_examples=150, deadline=None)
@given(points(), st.data())
def test_k_center_is_exact(values, data):
    num = data.draw(st.integers(1, len(values)))
    first = data.draw(st.integers(0, len(values) - 1))
    assert farthest_first(torch.from_numpy(values), num, first) == naive_k_center(
        values, num, first)


@settings(max_examples=60, deadline=None)
@given(points(power_of_two=True))
def test_k_center_starts_next_to_the_mean(values):
    rows = [[int(v) for v in row] for row in values]
    mean = [Fraction(sum(column), len(rows)) for column in zip(*rows)]
    costs = [sum((v - m)**2 for v, m in zip(row, mean)) for row in rows]
    assert farthest_first(values, 1) == [costs.index(min(costs))]


@settings(max_examples=120, deadline=None)
@given(points(power_of_two=True), st.data())
def test_herding_is_exact(values, data):
    num = data.draw(st.integers(1, len(values)))
    assert herd(torch.from_numpy(values), num, normalize=False) == naive_herding(values, num)


def whole_k_center(values, num, first):
    """Every row against every center, on the grid."""
    values = Grid(values)[:]
    squares = np.einsum('nd,nd->n', values, values)
    nearest, chosen = np.full(len(values), np.inf), [first]
    while len(chosen) < num:
        last = chosen[-1]
        distances = squares - 2 * (values @ values[last]) + squares[last]
        nearest = np.minimum(nearest, distances)
        nearest[last] = -1
        chosen.append(int(nearest.argmax()))
    return chosen


def whole_herding(values, num):
    """The rule in whole numbers, by every row."""
    unit = Grid(values, normalize=True)
    rows, mean = unit[:].astype(np.int64), unit.mean.astype(np.int64)
    squares, total = (rows * rows).sum(1), np.zeros(rows.shape[1], np.int64)
    chosen = []
    for k in range(1, num + 1):
        costs = squares + 2 * (rows @ (total - k * mean))
        costs[chosen] = np.iinfo(np.int64).max
        chosen.append(int(costs.argmin()))
        total += rows[chosen[-1]]
    return chosen


def scattered(kind, dtype):
    rng = np.random.default_rng(4)
    values = rng.standard_normal((360, 12))
    if kind == 'clusters':
        values += 4 * rng.standard_normal((9, 12))[rng.integers(0, 9, 360)]
    elif kind == 'plane':
        values = rng.random((360, 2)) @ values[:2]
    elif kind == 'copies':
        values[90:] = np.tile(values[:90], (3, 1))
    elif kind == 'few numbers':
        values = rng.integers(-1, 2, (360, 3))
    elif kind == 'zeros':
        values[:] = 0
    return values.astype(dtype)


@pytest.mark.parametrize('dtype', ['float16', 'float32'])
@pytest.mark.parametrize('kind', ['noise', 'clusters', 'plane', 'copies', 'few numbers', 'zeros'])
def test_selections_by_blocks_are_those_by_everything(kind, dtype, monkeypatch, tmp_path):
    """With tiny blocks, so that bounds are old and rows come from a file piece by piece."""
    values = scattered(kind, dtype)
    by_all = whole_k_center(values, 90, 7), whole_herding(values, 90)
    np.save(tmp_path / 'features.npy', values)
    for active, rows, centers, block in ((4, 3, 2, 64), (40, 16, 5, 1024)):
        for module, name, number in ((cover, 'ACTIVE', active), (cover, 'ROWS', rows),
                                     (cover, 'CENTERS', centers), (grid, 'BLOCK', block)):
            monkeypatch.setattr(module, name, number)
        stored = np.load(tmp_path / 'features.npy', mmap_mode='r')
        assert farthest_first(stored, 90, 7) == by_all[0]
        assert herd(stored, 90) == by_all[1]


def test_k_center_measures_few_distances():
    rng = np.random.default_rng(5)
    values = rng.standard_normal((20000, 64)).astype(np.float32)
    found = cover.Cover(Grid(values), 200)
    found.begin(0)
    while len(found.chosen) < 200:
        found.advance()
    assert found.chosen == whole_k_center(values, 200, 0)
    assert found.measured < 0.25 * 200 * len(values)


@pytest.mark.parametrize('select', [
    lambda x: farthest_first(x, 60), lambda x: herd(x, 60, False), lambda x: herd(x, 60)])
def test_nothing_depends_on_the_order_of_summation(select):
    rng = np.random.default_rng(0)
    values = rng.standard_normal((300, 40)).astype(np.float32)
    values[200:] = values[:100]  # ties at every step
    shuffled = values[:, rng.permutation(40)]
    assert select(values) == select(shuffled) == select(values * 4)
    # Equal images: the lower index first.
    order = select(values)
    twins = [i for i in order if i >= 200]
    assert all(i - 200 in order[:order.index(i)] for i in twins)


def test_products_on_the_grid_are_exact():
    rng = np.random.default_rng(1)
    values = Grid(rng.standard_normal((6, 700)).astype(np.float32) * 1e-20)[:]
    assert np.array_equal(values, np.rint(values)) and np.abs(values).max() > 2**20
    whole = [[int(v) for v in row] for row in values]
    for i, j in itertools.product(range(6), repeat=2):
        exact = sum(a * b for a, b in zip(whole[i], whole[j]))
        assert int(values[i] @ values[j]) == exact and abs(exact) < 2**51
    unit = Grid(np.array([[3., 4.], [0., 0.]], np.float32), normalize=True)[:]
    assert np.allclose(unit / 2**24, [[.6, .8], [0, 0]], atol=1e-7)
    assert Grid(np.zeros((2, 3), np.float32))[:].tolist() == [[0.] * 3] * 2


@pytest.mark.parametrize('kind', [KCenterCoreset, HerdingCoreset])
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_features_that_are_no_numbers_are_named(kind, value, mean):
    features = torch.zeros(4, 3)
    features[2, 1] = value
    with pytest.raises(ValueError, match='NaN or infinity: check the weights of model.proxy'):
        kind(proxy=mean).select(features, [], 2)


def test_herding_follows_the_mean_and_random_does_not():
    """DeepCore's herding went the other way: away from the mean."""
    rng = np.random.default_rng(2)
    values = rng.standard_normal((2000, 8)).astype(np.float32) + 1
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    order = herd(values, 400)
    mean = values.mean(0)

    def error(chosen):
        return np.linalg.norm(values[chosen].mean(0) - mean)

    for k in (5, 20, 80, 400):
        draws = [error(rng.permutation(2000)[:k]) for _ in range(20)]
        # O(1/k) with a constant that no k exceeds; a random choice falls like its root.
        assert error(order[:k]) <= 1.2 / k and error(order[:k]) < np.mean(draws) / 2
    assert error(order[:1]) == min(error([i]) for i in range(2000))


def test_k_center_is_within_twice_the_best_radius():
    rng = np.random.default_rng(3)
    values = rng.standard_normal((14, 2)).astype(np.float32)
    distances = np.linalg.norm(values[:, None] - values[None], axis=-1)

    def radius(centers):
        return distances[:, list(centers)].min(1).max()

    best = min(radius(c) for c in itertools.combinations(range(14), 3))
    for first in range(14):
        assert radius(farthest_first(values, 3, first)) <= 2 * best + 1e-6


class Mean(torch.nn.Module):
    """Mean colour of an image; counts the images it saw."""

    def __init__(self):
        super().__init__()
        self.seen, self.sizes = [], []

    def features(self, images):
        self.seen += images.mean((1, 2, 3)).tolist()
        self.sizes.append(tuple(images.shape))
        return images.mean((2, 3))


@pytest.fixture()
def mean():
    return dict(type=Mean)


def test_features_that_are_not_finite_name_the_image(tmp_path):
    class Overflowing(Mean):
        def features(self, images):
            features = super().features(images)
            features[2] = float('inf')
            return features

    paths = pictures(tmp_path, 5)
    with pytest.raises(ValueError, match=rf'^{paths[2]}: its features are not finite \(so in 1 of '
                                         r'4 of its batch\); '):
        FeaturePass(Overflowing(), paths, (8, 8), 4).run()


def test_images_are_cut_instead_of_stretched(tmp_path):
    """White at both ends of a wide image, which only stretching shows; kept apart on disk."""
    path, wide = str(tmp_path / 'wide.png'), np.zeros((4, 12, 3), np.uint8)
    wide[:, :4] = wide[:, 8:] = 255
    Image.fromarray(wide).save(path)
    stretched, cut = (FeaturePass(Mean(), [path], (4, 4), 1, str(tmp_path / 'kept'),
                                  crop=crop).run()[0].numpy().copy() for crop in (False, True))
    assert (cut == 0).all() and (stretched > 0.5).all()


def pictures(folder, num):
    paths = []
    for i in range(num):
        paths.append(str(folder / f'{i:03d}.png'))
        Image.new('RGB', (6, 4), (i, 2 * i, 255 - i)).save(paths[-1])
    return paths


def annotation(path, labels, mask=False):
    from mmdd.structures import encode_mask
    png = encode_mask(np.resize(np.array([0, *labels], np.uint8), (4, 6))) if mask else None
    return RealAnnotation(osp.basename(path), path, (4, 6), np.array(labels, np.int64),
                          mask_png=png)


def make(kind, proxy, annotations, classes, **kwargs):
    if kind.uses_features:
        kwargs.update(proxy=proxy, feature_size=(4, 6))
    coreset = kind(**kwargs)
    coreset.classes, coreset.annotations = classes, annotations
    coreset.read_batch = 4
    return coreset


@pytest.mark.parametrize('kind', ALL)
def test_classification_by_ipc(kind, mean, tmp_path):
    real = [annotation(path, [i % 3]) for i, path in enumerate(pictures(tmp_path, 24))]
    coreset = make(kind, mean, real, ('a', 'b', 'c'))
    slots = coreset.plan(IPC(2))
    assert [int(slot.labels[0]) for slot in slots] == [0, 0, 1, 1, 2, 2]
    assert len({slot.source for slot in slots}) == 6
    if kind.uses_features:
        features = FeaturePass(Mean(), [a.path for a in real], (4, 6), 4).run()
        for label in range(3):
            own = features[label::3]
            picked = farthest_first(own, 2) if kind is KCenterCoreset else herd(own, 2)
            assert [real.index(next(a for a in real if a.image_id == s.source)) // 3
                    for s in slots[2 * label:2 * label + 2]] == picked
    else:
        # Classes of one size draw by seeds of their own.
        places = [[int(s.source[:3]) // 3 for s in slots[i:i + 2]] for i in (0, 2, 4)]
        assert len({tuple(own) for own in places}) > 1
        assert [s.source for s in make(kind, mean, real, ('a', 'b', 'c')).plan(IPC(2))] == [
            s.source for s in slots]


def test_a_share_draws_as_before(mean, tmp_path):
    real = [annotation(f'{i:03d}.png', [i % 3]) for i in range(20)]
    slots = make(RandomCoreset, None, real, ('a', 'b', 'c'), seed=5).plan(Total(6))
    rng = np.random.default_rng(derive_seed('random coreset', 5))
    assert [int(s.source[:3]) for s in slots] == rng.permutation(20)[:6].tolist()


@pytest.mark.parametrize('kind', ALL)
def test_segmentation_selects_over_all_images(kind, mean, tmp_path):
    labels = [[1]] * 12 + [[2], [3], [2, 3], []]
    real = [annotation(path, own, mask=True)
            for path, own in zip(pictures(tmp_path, 16), labels)]
    slots = make(kind, mean, real, ('background', 'x', 'y', 'z')).plan(Ratio(37.5))
    assert len(slots) == 6 and len({slot.source for slot in slots}) == 6
    for slot in slots:
        source = next(a for a in real if a.image_id == slot.source)
        assert np.array_equal(slot.mask, source.mask)
        assert sorted(set(slot.mask.ravel().tolist()) - {0}) == slot.labels.tolist()
    if kind is UniformCoreset:
        # One image each of x, y and z, then the rarest again: y and z are used up.
        present = np.bincount(np.concatenate([s.labels for s in slots]), minlength=4)
        assert present[2] == present[3] == 2 and present[1] <= 4


def old_balanced_choice(labels, num, num_classes, seed):
    """The rule by whole tables."""
    order = np.random.default_rng(derive_seed('balanced', seed)).permutation(len(labels))
    counts = np.stack([np.bincount(labels[i], minlength=num_classes) for i in order])
    free, chosen, total = np.ones(len(order), bool), [], np.zeros(num_classes, np.int64)
    while len(chosen) < num:
        available = (counts[free] > 0).any(0)
        if available.any():
            rarest = np.where(available, total, np.iinfo(np.int64).max).argmin()
            position = int(np.flatnonzero(free & (counts[:, rarest] > 0))[0])
        else:
            position = int(np.flatnonzero(free)[0])
        free[position] = False
        total += counts[position]
        chosen.append(int(order[position]))
    return chosen


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), max_size=5), min_size=1, max_size=40), st.data())
def test_balanced_choice_by_queues_is_that_by_tables(labels, data):
    labels = [np.array(own, np.int64) for own in labels]
    num, seed = data.draw(st.integers(1, len(labels))), data.draw(st.integers(0, 3))
    assert balanced_choice(labels, num, 5, seed) == old_balanced_choice(labels, num, 5, seed)


def test_bad_start():
    with pytest.raises(ValueError, match="start must be 'mean' or 'random', got 'first'"):
        KCenterCoreset(start='first')


def test_random_start_follows_the_seed(mean):
    features = torch.arange(30.).view(-1, 1)
    picked = [KCenterCoreset(start='random', proxy=mean, seed=seed).select(features, [], 3)
              for seed in range(6)]
    assert len({own[0] for own in picked}) > 3
    for own in picked:
        assert own == farthest_first(features, 3, own[0])
    assert picked[2] == KCenterCoreset(start='random', proxy=mean, seed=2).select(
        features, [], 3)


def test_the_pass_keeps_blocks_for_a_resumed_job(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_pass, 'BLOCK', 2)
    paths, model = pictures(tmp_path, 10), Mean()
    folder = str(tmp_path / 'features')

    def run(model, paths=paths, batch=2):
        return FeaturePass(model, paths, (4, 6), batch, folder).run()

    features = run(model)
    expected = torch.tensor([[i, 2 * i, 255 - i] for i in range(10)]) / 255.
    assert features.dtype == torch.float32 and torch.allclose(features, expected, atol=1e-6)
    assert model.sizes == [(2, 3, 4, 6)] * 5
    assert sorted(os.listdir(folder)) == ['000000.npz', '000001.npz', '000002.npz',
                                          'features.npy']
    again = Mean()
    assert torch.equal(run(again), features) and again.seen == []
    # A damaged block, a missing one, and one of a file that changed are made anew.
    with open(osp.join(folder, '000000.npz'), 'wb') as f:
        f.write(b'half')
    os.unlink(osp.join(folder, '000002.npz'))
    assert torch.equal(run(again), features) and len(again.seen) == 6
    Image.new('RGB', (6, 4), (200, 0, 0)).save(paths[5])
    changed = run(model)
    assert changed[5].tolist() == pytest.approx([200 / 255, 0, 0], abs=1e-6)
    assert torch.equal(changed[[0, 1, 2, 3, 8]], features[[0, 1, 2, 3, 8]])
    assert FeaturePass(model, [], (4, 6), 2).run().shape == (0, 0)


@pytest.fixture(scope='module')
def proxy(digits, detector_checkpoint, tmp_path_factory):
    """Config of a trained tiny proxy; from a file, as mmengine formats long configs slowly."""
    path = str(tmp_path_factory.mktemp('config') / 'detector.py')
    with open(path, 'w') as f:
        f.writelines(f'{key} = {value!r}\n' for key, value in tiny.detector_job(digits).items())
    return dict(type='DetectorProxy', cfg=path, checkpoint=detector_checkpoint)


@pytest.mark.parametrize('kind', ['RandomCoreset', 'UniformCoreset', 'KCenterCoreset',
                                  'HerdingCoreset'])
def test_a_whole_detection_job(kind, digits, proxy, tmp_path):
    model = dict(type=kind)
    if kind in ('KCenterCoreset', 'HerdingCoreset'):
        model.update(proxy=proxy, feature_size=32)
    job = tiny.coreset_job(digits, model, total=5)
    folder = distill(job, str(tmp_path))
    with open(osp.join(folder, 'manifest.json')) as f:
        found = json.load(f)
    assert found['method'] == kind and found['budget_met'] == 5
    sources = [entry['source'] for entry in found['images']]
    stock, real = tiny.read_stock(folder), tiny.read_stock(digits)
    for entry in found['images']:
        assert stock[osp.basename(entry['files'][0])] == real[f"{entry['source']}.jpg"]
    features = osp.join(folder, '_job/features/000000.npz')
    if 'proxy' not in model:
        labels = [np.array([label for _, label in real[f'train_{i:06d}.jpg']]) for i in range(12)]
        rng = np.random.default_rng(derive_seed('random coreset', 0))
        picked = rng.permutation(12)[:5] if kind == 'RandomCoreset' else old_balanced_choice(
            labels, 5, 10, 0)
        assert sources == [f'train_{i:06d}' for i in picked] and not osp.exists(features)
        return
    with np.load(features) as content:
        values = content['features']
    assert values.shape == (12, 16)
    picked = farthest_first(values, 5) if kind == 'KCenterCoreset' else herd(values, 5)
    assert sources == [f'train_{i:06d}' for i in picked]
    # A resumed job takes the features that are there.
    os.unlink(osp.join(folder, 'manifest.json'))
    before = os.stat(features).st_mtime_ns
    distill(job, str(tmp_path), resume=True)
    assert os.stat(features).st_mtime_ns == before
