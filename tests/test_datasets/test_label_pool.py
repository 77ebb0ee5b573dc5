"""A pool of labelled batches: what is stored of it, what is drawn, how many bytes it takes."""
import re
from collections import Counter

import numpy as np
import pytest

from mmdd.datasets.replay import PoolSampler
from mmdd.datasets.soft_labels import (
    SoftLabelStore,
    draw_epoch,
    planned_bytes,
    planned_size,
    rows_of_epoch,
)

# 3 full batches an epoch, one image left over; 5 batches are 1 epoch and 2 batches.
SETTINGS = dict(images=10, num_classes=10, classes=[], epochs=2, topk=None, temperature=20.,
                seed=1, batch_size=3, image_size=16, crop_area=[0.2, 1.], flip_prob=0.5,
                cutmix=1., batches=5)


class Labelled:
    """As much of a ``SoftLabelDataset`` as the sampler reads."""

    def __init__(self, **settings):
        self.store = self
        self.settings = dict(SETTINGS, **settings)


def epoch_of(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


def test_full_batches_alone_are_stored():
    assert [rows_of_epoch(SETTINGS, epoch) for epoch in range(2)] == [9, 6]
    few = dict(SETTINGS, images=2, epochs=4, batches=4)  # less than a batch: all, each time
    assert [rows_of_epoch(few, epoch) for epoch in range(4)] == [2, 2, 2, 2]
    whole = {key: value for key, value in SETTINGS.items() if key != 'batches'}
    assert [rows_of_epoch(whole, epoch) for epoch in range(2)] == [10, 10]


def test_batches_stay_together_and_all_are_drawn():
    sampler = PoolSampler(Labelled(), seed=0)
    assert len(sampler) == 9
    known = {(0, 1, 2), (3, 4, 5), (6, 7, 8), (10, 11, 12), (13, 14, 15)}
    drawn = Counter()
    for epoch in range(200):
        rows = epoch_of(sampler, epoch)
        drawn.update(tuple(rows[i:i + 3]) for i in (0, 3, 6))
    assert set(drawn) == known
    # Uniform: 600 draws of 5, 120 each, with a standard deviation of 9.8.
    assert all(abs(count - 120) < 40 for count in drawn.values())


def test_seed_and_epoch_decide():
    one, same, other = (PoolSampler(Labelled(), seed=seed) for seed in (3, 3, 4))
    epochs = [epoch_of(one, epoch) for epoch in range(20)]
    assert [epoch_of(same, epoch) for epoch in reversed(range(20))] == epochs[::-1]
    assert [epoch_of(other, epoch) for epoch in range(20)] != epochs
    assert len(set(map(tuple, epochs))) > 10


def test_a_set_of_less_than_a_batch():
    sampler = PoolSampler(Labelled(images=2, batches=4, epochs=4), seed=0)
    assert len(sampler) == 2
    assert {tuple(epoch_of(sampler, epoch)) for epoch in range(50)} == {
        (0, 1), (2, 3), (4, 5), (6, 7)}


def test_ranks_share_the_drawn_batches(monkeypatch):
    whole = epoch_of(PoolSampler(Labelled(), seed=0), 1)
    found = []
    for rank in range(3):
        monkeypatch.setattr('mmdd.datasets.replay.get_dist_info', lambda rank=rank: (rank, 3))
        found.append(epoch_of(PoolSampler(Labelled(), seed=0), 1))
    assert [index for step in zip(*found) for index in step] == whole


@pytest.mark.parametrize('changes', [
    dict(), dict(precision='int8'), dict(topk=9, num_classes=1000), dict(batches=None)])
def test_the_told_size_is_that_on_disk(tmp_path, changes):
    """Also in MiB, with sets so large that the headers of the files do not count."""
    settings = dict(SETTINGS, images=1000, batch_size=300, num_classes=1000, batches=5)
    settings.update(changes)
    if settings['batches'] is None:
        del settings['batches']
    store = SoftLabelStore.create(str(tmp_path), settings)
    headers = 0
    for epoch in range(2):
        rows = draw_epoch(settings, epoch, np.full((1000, 2), 32), store.dtype)
        rows = rows[:rows_of_epoch(settings, epoch)]
        store.write(epoch, rows)
        headers += (tmp_path / store.file(epoch)).stat().st_size - rows.nbytes
        assert len(store.rows(epoch)) == len(rows)
    size = sum(path.stat().st_size for path in tmp_path.glob('*.npy'))
    assert store.info['bytes'] == planned_bytes(settings) == size - headers
    assert headers <= 2 * 512
    told = float(re.search(r'= ([\d.]+) MiB$', planned_size(settings))[1])
    assert told == pytest.approx(size / 2**20, abs=0.06)


def test_the_line_of_a_pool():
    line = planned_size(dict(SETTINGS, precision='int8'))
    assert line.startswith('soft labels: 5 batches x 3 images x 47 bytes (10 classes in int8)')
    image = dict(images=7, num_classes=10, topk=None, epochs=1, regime='image')
    assert planned_size(image).startswith('soft labels: 7 images x 20 bytes (10 classes in fp16)')
