"""Set stages: how many samples an image takes, selection from a pool, several images of one."""
import json
import os.path as osp
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import tiny
from PIL import Image

from mmdd.apis import distill
from mmdd.engine.journal import Journal
from mmdd.engine.stored_samples import StoredSamples
from mmdd.models.set_stages import SetStage, SetStages, SubsetOfPool
from mmdd.registry import TASK_UTILS
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.seed import derive_seed


@TASK_UTILS.register_module()
class BrightestOfPool(SetStage):
    """Keeps the brightest third of a pool."""
    slots_per_image = 3

    def choose(self, samples, num, distiller):
        means = [samples.image(i).mean() for i in range(len(samples))]
        return np.argsort(means)[::-1][:num]


@TASK_UTILS.register_module()
class WithNegative(SetStage):
    """A sample and its negative."""
    slots_per_image = Fraction(1, 2)

    def expand(self, sample):
        return [sample, replace(sample, image=255 - sample.image)]


class Broken(SetStage):
    slots_per_image = 2

    def choose(self, samples, num, distiller):
        return [0] * num


@pytest.fixture
def stored(tmp_path):
    """Six samples in a journal, image i of grey 40 i."""
    journal = Journal(str(tmp_path / 'set'))
    journal.open(dict(fingerprint='x'), resume=False)
    slots = [DistillSlot(id=i, seed=i, size=(8, 8), labels=np.array([i % 2]), group=i % 2)
             for i in range(6)]
    for slot in slots:
        journal.write(DistilledSample(slot, np.full((8, 8, 3), 40 * slot.id, np.uint8),
                                      labels=slot.labels, score=slot.id / 10))
    return StoredSamples(journal, slots)


def test_slots_and_images_are_inverse():
    pool, pair = BrightestOfPool(), WithNegative()
    assert [pool.slots(n) for n in (1, 10)] == [3, 30]
    assert [pair.slots(n) for n in (2, 10)] == [1, 5]
    for stage, num in ((pool, 7), (pair, 8), (SetStage(), 5)):
        assert stage.images(stage.slots(num)) == num
    chain = SetStages([pool, pair])
    assert chain.slots(4) == 6 and chain.copies == 2 and SetStages([]).copies == 1


def test_a_budget_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match='WithNegative: 3 images take 1.5 samples; make the '
                                         'budget a multiple of 2'):
        WithNegative().slots(3)


def test_expansion_before_choice_is_refused():
    with pytest.raises(ValueError, match='WithNegative, BrightestOfPool: stages that choose'):
        SetStages([WithNegative(), BrightestOfPool()])


def test_samples_are_read_on_demand(stored):
    assert len(stored) == 6 and stored[4].image is None and stored[4].score == 0.4
    assert (stored.image(4) == 160).all() and (stored.subset([5, 1]).image(0) == 200).all()


def test_choice(stored):
    assert SetStages([BrightestOfPool()]).choose(stored, None) == [4, 5]
    assert SetStages([]).choose(stored, None) == list(range(6))


def test_samples_that_failed_are_made_up_for_by_the_pool(stored):
    stages = SetStages([BrightestOfPool()])
    some = stored.subset([0, 1, 3, 5])
    assert stages.choose(some, None) == [3]
    assert stages.choose(some, None, planned=6) == [2, 3]
    assert stages.choose(stored.subset([2]), None, planned=6) == [0]
    assert SetStages([BrightestOfPool(), WithNegative()]).images(6) == 4


def test_wrong_indices_are_refused(stored):
    with pytest.raises(ValueError, match=r'Broken.choose must return 3 distinct indices in '
                                         r'\[0, 6\), got 3 \(1 distinct\)'):
        SetStages([Broken()]).choose(stored, None)


@pytest.mark.parametrize('choose, words', [
    (lambda samples, num: samples[:num], r"got 'DistilledSample\(slot=.*' of type Distilled"),
    (lambda samples, num: list(samples)[:num], 'of type DistilledSample among them'),
    (lambda samples, num: list(range(num + 1)), r'got 4 \(4 distinct\)$'),
    (lambda samples, num: None, 'got None$')])
def test_a_choice_that_is_no_list_of_indices_names_the_stage(stored, choose, words):
    class Own(SetStage):
        slots_per_image = 2

        def choose(self, samples, num, distiller):
            return choose(samples, num)

    with pytest.raises(ValueError, match=words) as caught:
        SetStages([Own()]).choose(stored, None)
    assert str(caught.value).startswith('Own.choose must return 3 distinct indices in [0, 6)')
    assert '\n' not in str(caught.value)


def test_a_slice_of_samples_reads_none_of_them(stored):
    some = stored[1:5:2]
    assert [sample.slot.id for sample in some] == [1, 3]
    assert (some.image(1) == 120).all() and len(stored[7:]) == 0


@pytest.mark.parametrize('expand, got', [
    (lambda sample: None, 'an object of type NoneType'),
    (lambda sample: sample, 'an object of type DistilledSample'),
    (lambda sample: [sample], 'a list of 1 (DistilledSample)'),
    (lambda sample: [sample] * 3, 'a list of 3 (DistilledSample)'),
    (lambda sample: [], 'a list of 0'),
    (lambda sample: [sample, sample.image], 'a list of 2 (DistilledSample, ndarray)')])
def test_an_expansion_that_is_no_list_of_samples_names_the_stage(stored, expand, got):
    class Own(SetStage):
        slots_per_image = Fraction(1, 2)

        def expand(self, sample):
            return expand(sample)

    with pytest.raises(ValueError) as caught:
        SetStages([Own(), WithNegative()]).expand(replace(stored[1], image=stored.image(1)))
    assert str(caught.value) == ('Own.expand must return a list of 2 DistilledSample, as many as '
                                 f'its slots_per_image says, got {got}')


def test_expansion_numbers_the_images(stored):
    sample = replace(stored[4], image=stored.image(4))
    first, second = SetStages([WithNegative()]).expand(sample)
    assert (first.slot.id, second.slot.id) == (8, 9)
    assert (first.image == 160).all() and (second.image == 95).all()


@pytest.fixture(scope='module')
def digits(tmp_path_factory):
    """Three single digits of each class."""
    return tiny.digit_scenes(tmp_path_factory.mktemp('digits') / 'scenes', train=1, singles=30)


def job(digits, n, **model):
    cfg = tiny.classification_job(digits, n=n)
    cfg['model'].update(model)
    return cfg


def read(folder):
    with open(osp.join(folder, 'manifest.json')) as f:
        return json.load(f)


def picture(folder, entry):
    with Image.open(osp.join(folder, entry['files'][0])) as image:
        return np.asarray(image).astype(int)


@pytest.fixture(scope='module')
def pool(digits, tmp_path_factory):
    """Three images per class without set stages."""
    return distill(job(digits, 3), str(tmp_path_factory.mktemp('pool')))


def test_a_pool_keeps_the_brightest_of_each_class(digits, pool, tmp_path):
    whole = read(pool)['images']
    folder = distill(job(digits, 1, set_stages=[dict(type='BrightestOfPool')]), str(tmp_path))
    found = read(folder)
    assert (found['budget_asked'], found['images_made'], found['discard_rate']) == (10, 30, 0)
    for label, entry in enumerate(found['images']):
        own = [e for e in whole if e['classes'] == [str(label)]]
        best = max(own, key=lambda e: picture(pool, e).mean())
        assert entry['classes'] == [str(label)] and entry['slot'] == best['slot']
        assert abs(picture(folder, entry) - picture(pool, best)).max() <= 1


def test_a_part_of_a_pool_is_drawn_class_by_class(digits, pool, tmp_path):
    """The images of the pool that the permutation of each class begins with."""
    whole = read(pool)['images']
    folder = distill(job(digits, 1, set_stages=[dict(type='SubsetOfPool', pool=3)]), str(tmp_path))
    found, drawn = read(folder), []
    assert (found['budget_asked'], found['images_made']) == (10, 30)
    for label, entry in enumerate(found['images']):
        place = np.random.default_rng(derive_seed('subset of a pool', 0, label)).permutation(3)[0]
        own = [e for e in whole if e['classes'] == [str(label)]]
        assert entry['slot'] == own[place]['slot']
        assert abs(picture(folder, entry) - picture(pool, own[place])).max() <= 1
        drawn.append(place)
    assert set(drawn) == {0, 1, 2}


def test_the_first_of_a_pool(stored):
    stage = SubsetOfPool('3/2', take='first')
    assert stage.slots(70) == 105 and SubsetOfPool('10/7').slots(70) == 100
    assert SetStages([stage]).choose(stored, None) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match='SubsetOfPool: 3 images take 4.5 samples; make the '):
        stage.slots(3)


@pytest.mark.parametrize('settings, words', [
    (dict(pool=0), 'pool must be at least 1, got 0'), (dict(pool='a'), "like '10/7', got 'a'"),
    (dict(pool='1/0'), "got '1/0'"), (dict(take='last'), "'random' or 'first', got 'last'")])
def test_settings_of_a_pool(settings, words):
    with pytest.raises(ValueError, match=words):
        SubsetOfPool(**settings)


def test_expansion_in_a_job(digits, tmp_path):
    folder = distill(job(digits, 2, set_stages=[dict(type='WithNegative')]), str(tmp_path))
    found = read(folder)
    assert (found['budget_asked'], found['images_made']) == (20, 10)
    assert [entry['slot'] for entry in found['images']] == list(range(20))
    for plain, negative in zip(found['images'][::2], found['images'][1::2]):
        assert plain['classes'] == negative['classes']
        assert (picture(folder, plain) + picture(folder, negative) == 255).all()


def test_a_coreset_is_expanded_too(digits, tmp_path):
    cfg = job(digits, 2)
    cfg['model'] = dict(type='RandomCoreset', set_stages=[dict(type='WithNegative')])
    found = read(distill(cfg, str(tmp_path)))
    assert len(found['images']) == 20 and len({e['source'] for e in found['images']}) == 10


def test_an_uneven_budget_is_refused_before_any_work(digits, tmp_path):
    with pytest.raises(ValueError, match='make the budget a multiple of 2'):
        distill(job(digits, 3, set_stages=[dict(type='WithNegative')]), str(tmp_path / 'work'))
    assert not osp.exists(tmp_path / 'work/distilled/_job/attempts/000000_r0.json')
