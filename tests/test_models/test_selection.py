"""Label samplers and coresets: what they pick."""
import os.path as osp

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdd.datasets.annotations import load_image
from mmdd.models import (
    BalancedLabelSampler,
    CoresetBaseline,
    DensestCoreset,
    DensestLabelSampler,
    RandomCoreset,
    RandomLabelSampler,
    UniformCoreset,
    balanced_choice,
)
from mmdd.registry import MODELS
from mmdd.structures import Canvas, RealAnnotation, Total

LABELS = st.lists(st.lists(st.integers(0, 4), max_size=4).map(lambda x: np.array(x, np.int64)),
                  min_size=1, max_size=30)


def annotations(labels):
    return [RealAnnotation(str(i), f'{i}.jpg', (8, 8), np.asarray(own, np.int64),
                           np.tile(np.array([[0, 0, 5, 5]], np.float32), (len(own), 1)))
            for i, own in enumerate(labels)]


@settings(max_examples=80, deadline=None)
@given(LABELS, st.integers(0, 5), st.data())
def test_every_step_serves_the_rarest_class_that_is_left(labels, seed, data):
    num = data.draw(st.integers(1, len(labels)))
    chosen = balanced_choice(labels, num, 5, seed)
    assert len(set(chosen)) == num and set(chosen) <= set(range(len(labels)))
    assert chosen == balanced_choice(labels, num, 5, seed)
    total, free = np.zeros(5, int), set(range(len(labels)))
    for index in chosen:
        left = {c for i in free for c in labels[i].tolist()}
        if left:
            rarest = min(left, key=lambda c: (total[c], c))
            assert rarest in labels[index]
        total += np.bincount(labels[index], minlength=5)
        free.discard(index)


@settings(max_examples=80, deadline=None)
@given(LABELS, st.integers(0, 5), st.data())
def test_a_stratified_choice_takes_one_image_of_each_stratum(labels, seed, data):
    """Strata by hand: of the numbers of objects in order, each the next of equal parts."""
    num = data.draw(st.integers(1, len(labels)))
    chosen = balanced_choice(labels, num, 5, seed, stratified=True)
    assert len(set(chosen)) == num and set(chosen) <= set(range(len(labels)))
    assert chosen == balanced_choice(labels, num, 5, seed, stratified=True)
    sizes = sorted(len(own) for own in labels if len(own))
    parts = [[] for _ in range(min(num, len(sizes)))]
    for rank, size in enumerate(sizes):
        parts[rank * len(parts) // len(sizes)].append(size)
    taken = sorted(len(labels[i]) for i in chosen if len(labels[i]))
    assert len(taken) == len(parts) and max(map(len, parts), default=0) <= 1 + min(
        map(len, parts), default=0)
    assert all(min(part) <= size <= max(part) for part, size in zip(parts, taken))
    # Bare images are the last.
    assert all(len(labels[i]) for i in chosen[:len(parts)])


def test_strata_hold_the_number_of_objects_and_the_balance():
    """One to four objects, as often each: 50 in twenty images by any seed, else more or fewer."""
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, 10, size) for size in rng.permutation(np.repeat([1, 2, 3, 4], 50))]
    totals, spreads = dict(), dict()
    for stratified in (False, True):
        counts = np.array([np.bincount(np.concatenate([labels[i] for i in balanced_choice(
            labels, 20, 10, seed, stratified=stratified)]), minlength=10) for seed in range(40)])
        totals[stratified], spreads[stratified] = counts.sum(1), counts.std(1).mean()
    assert set(totals[True]) == {50} and np.ptp(totals[False]) > 10
    assert spreads[True] < spreads[False] + .1


def test_the_coreset_with_strata_takes_the_images_of_the_layouts():
    labels = [np.random.default_rng(i).integers(0, 4, 1 + i % 4) for i in range(40)]
    coreset = UniformCoreset(stratified=True, seed=2)
    coreset.classes = tuple('abcd')
    coreset.draw_seed = 2
    picked = list(coreset.select(None, labels, 9))
    layouts = BalancedLabelSampler(stratified=True).sample(
        annotations(labels), 9, 4, 2, Canvas((8, 8)))
    assert [int(layout.image_id) for layout in layouts] == picked
    assert picked != balanced_choice(labels, 9, 4, 2)


def test_densest_images_have_no_strata():
    with pytest.raises(ValueError, match='give one of densest and stratified'):
        balanced_choice([np.array([0])], 1, 1, 0, densest=True, stratified=True)


def test_balance_where_it_is_possible():
    # 90 images of class 0, 10 of class 1, 10 of class 2; one object each.
    labels = [np.array([0])] * 90 + [np.array([1])] * 10 + [np.array([2])] * 10
    chosen = balanced_choice(labels, 30, 3, 0)
    assert np.bincount([labels[i][0] for i in chosen]).tolist() == [10, 10, 10]
    # Class 1 runs out; what is left is shared by the others.
    chosen = balanced_choice(labels, 36, 3, 0)
    assert np.bincount([labels[i][0] for i in chosen]).tolist() == [16, 10, 10]
    assert balanced_choice(labels, 30, 3, 0) != balanced_choice(labels, 30, 3, 1)


@pytest.mark.parametrize('sampler', [
    RandomLabelSampler(), BalancedLabelSampler(), DensestLabelSampler()])
def test_label_samplers(sampler):
    real = annotations([[i % 3] for i in range(20)])
    def ids(num, seed):
        layouts = sampler.sample(real, num, 3, seed, Canvas((8, 8)))
        assert all(layout is real[int(layout.image_id)] for layout in layouts)
        return [int(layout.image_id) for layout in layouts]

    chosen = ids(20, 4)
    assert sorted(chosen) == list(range(20)) and chosen != list(range(20))
    assert ids(7, 4) == chosen[:7] and ids(7, 5) != chosen[:7]
    np.random.seed(0)
    assert ids(20, 4) == chosen


@settings(max_examples=80, deadline=None)
@given(LABELS, st.integers(0, 5), st.data())
def test_the_densest_coreset_takes_the_fullest_image_of_the_rarest_class(labels, seed, data):
    num = data.draw(st.integers(1, len(labels)))
    coreset = DensestCoreset(seed=seed)
    coreset.classes = tuple('abcde')
    chosen = coreset.select(None, labels, num)
    assert len(set(chosen)) == num
    total, free = np.zeros(5, int), set(range(len(labels)))
    for index in chosen:
        left = {c for i in free for c in labels[i].tolist()}
        rarest = min(left, key=lambda c: (total[c], c)) if left else None
        rivals = [i for i in free if rarest in labels[i]] if left else free
        assert index in rivals
        assert len(labels[index]) == max(len(labels[i]) for i in rivals)
        total += np.bincount(labels[index], minlength=5)
        free.discard(index)


def test_ties_of_the_densest_coreset_follow_the_seed():
    labels = [np.array([0, 0])] * 20 + [np.array([0])] * 20
    first = set()
    for seed in range(8):
        coreset = DensestCoreset(seed=seed)
        coreset.classes = ('a', )
        chosen = coreset.select(None, labels, 10)
        assert max(chosen) < 20 and chosen == coreset.select(None, labels, 10)
        first.add(chosen[0])
    assert len(first) > 4


def test_the_densest_layouts_are_those_of_the_fullest_images():
    # class 0 with 4 objects, then the rarest class is 2, 2 again, and at 3 objects each 0
    real = annotations([[0], [0, 0, 2], [1, 1], [1, 0, 1, 1], [2, 2], [2]])
    found = DensestLabelSampler().sample(real, 4, 3, 7, Canvas((8, 8)))
    assert [layout.image_id for layout in found] == ['3', '1', '4', '0']
    assert all(layout is real[int(layout.image_id)] for layout in found)


@settings(max_examples=40, deadline=None)
@given(LABELS, st.integers(0, 5), st.data())
def test_the_densest_layouts_are_those_of_the_densest_coreset(labels, seed, data):
    num = data.draw(st.integers(1, len(labels)))
    coreset = DensestCoreset(seed=seed)
    coreset.classes, coreset.annotations = tuple('abcde'), annotations(labels)
    layouts = DensestLabelSampler().sample(coreset.annotations, num, 5, seed, Canvas((8, 8)))
    assert [a.image_id for a in layouts] == [s.source for s in coreset.plan(Total(num))]


@pytest.mark.parametrize('kind', [RandomCoreset, UniformCoreset, DensestCoreset])
def test_coresets_copy_distinct_real_images(kind):
    coreset = kind(seed=1)
    coreset.classes = ('a', 'b', 'c')
    coreset.annotations = annotations([[i % 3] for i in range(21)])
    slots = coreset.plan(Total(9))
    assert [slot.id for slot in slots] == list(range(9))
    assert len({slot.source for slot in slots}) == 9
    for sample in coreset.distill_step(slots, None):
        assert sample.path == f'{sample.slot.source}.jpg' and sample.label_source == 'real'
        assert sample.labels.tolist() == [int(sample.slot.source) % 3]
        assert sample.bboxes.tolist() == [[0, 0, 5, 5]] and sample.image is None
    if kind is not RandomCoreset:
        counts = np.bincount([slot.labels[0] for slot in slots])
        assert counts.tolist() == [3, 3, 3]
    other = kind(seed=2)
    other.classes, other.annotations = coreset.classes, coreset.annotations
    assert [s.source for s in other.plan(Total(9))] != [s.source for s in slots]


@pytest.mark.parametrize('answer', [[0, 1], [0, 1, 1], [0, 1, 9], [0, 1, -1], [0, 1, 2, 3], []])
def test_a_broken_select_is_named(answer):
    class Broken(CoresetBaseline):
        def select(self, features, labels, budget):
            return answer

    coreset = Broken()
    coreset.classes, coreset.annotations = ('a', ), annotations([[0]] * 5)
    with pytest.raises(ValueError, match=r'Broken.select must return 3 distinct indices in \[0'):
        coreset.plan(Total(3))


@MODELS.register_module(force=True)
class FirstByFeature(CoresetBaseline):
    """Keeps what ``select`` was given."""
    uses_features = True

    def select(self, features, labels, budget):
        self.seen = features, labels
        return features[:, 0].argsort()[:budget].numpy()


def collect(coreset, digits, batch_size):
    from mmengine.runner import Runner
    dataset = tiny.voc_dataset(digits, images=False)
    loader = Runner.build_dataloader(dict(
        batch_size=batch_size, num_workers=0, dataset=dataset,
        sampler=dict(type='DefaultSampler', shuffle=False)))
    coreset.classes = tiny.CLASSES
    for batch in loader:
        coreset.collect(batch)
    coreset.plan(Total(2))
    return coreset.seen


def test_features_are_those_of_each_image_alone(digits, detector_checkpoint):
    proxy = dict(type='DetectorProxy', cfg=tiny.detector_job(digits),
                 checkpoint=detector_checkpoint)
    coreset = FirstByFeature(proxy=proxy, feature_size=(32, 40))
    features, labels = collect(coreset, digits, 5)
    assert features.shape == (12, 16) and features.dtype == torch.float32
    for i, annotation in enumerate(coreset.annotations):
        assert annotation.image_id == f'train_{i:06d}'
        image = load_image(osp.join(digits, 'VOC2007/JPEGImages', f'train_{i:06d}.jpg'), (32, 40))
        tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
        alone = coreset.proxy.features(tensor)[0]
        assert torch.allclose(features[i], alone, atol=1e-5) and alone.abs().sum() > 0
    assert features.std(0).max() > 1e-4
    stock = tiny.read_stock(digits)
    assert [own.tolist() for own in labels] == [
        [label for _, label in stock[f'train_{i:06d}.jpg']] for i in range(12)]


def test_features_need_a_proxy():
    with pytest.raises(ValueError, match='give model.proxy'):
        FirstByFeature()
    assert RandomCoreset(proxy=dict(type='NotBuilt')).proxy is None
