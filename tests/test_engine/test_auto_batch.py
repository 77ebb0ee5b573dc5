"""The batch size that a job finds by itself."""
import json
import os
import os.path as osp
from types import SimpleNamespace

import pytest
import tiny
import torch

from mmdd.apis import distill
from mmdd.engine import auto_batch
from mmdd.engine.auto_batch import check_batches, largest_batch
from mmdd.starter.shrink import small_batch
from mmdd.utils.io import sha256

MEMORY = 1000


@pytest.mark.parametrize('weights, image, room, fits, tried', [
    (100, 50, MEMORY, 16, [1, 2, 4, 8, 16]),  # 900 of 16, 1700 of 32: not tried
    (100, 50, 899, 8, [1, 2, 4, 8]),
    (100, 50, 900, 16, [1, 2, 4, 8, 16]),
    (100, 50, 149, 0, [1]),
    (0, 1, 10**6, 32, [1, 2, 4, 8, 16, 32])])
def test_batches_double_as_long_as_they_are_expected_to_fit(weights, image, room, fits, tried):
    asked = []

    def peak(size):
        asked.append(size)
        return weights + image * size

    assert largest_batch(peak, room, 32) == fits
    assert asked == tried


@pytest.mark.parametrize('limit', [0, 1, 3, 4])
def test_a_batch_that_runs_out_of_memory_does_not_fit(limit):
    """Also where its growth did not tell: blocks of other processes, workspaces."""
    def peak(size):
        if size > limit:
            raise torch.cuda.OutOfMemoryError('CUDA out of memory')
        return size

    assert largest_batch(peak, MEMORY) == {0: 0, 1: 1, 3: 2, 4: 4}[limit]


@pytest.fixture
def gpu(monkeypatch):
    """A GPU whose memory a test sets; trials run, and take 100 bytes an image."""
    def make(memory, trials):
        def peak_of(loop, size):
            auto_batch.run_trial(loop, size)
            trials.append(size)
            return 100 * size
        monkeypatch.setattr(auto_batch, 'gpu_memory', lambda: memory)
        monkeypatch.setattr(auto_batch, 'usable_memory', lambda: memory)
        monkeypatch.setattr(auto_batch, 'peak_of', peak_of)
    return make


def job(digits, detector_checkpoint, **train_cfg):
    return tiny.distill_job(digits, detector_checkpoint, guidance=1000., **train_cfg)


def files(folder):
    with open(osp.join(folder, 'manifest.json')) as f:
        return json.load(f)['sha256']


def test_the_set_is_that_of_the_size_it_finds(digits, detector_checkpoint, gpu, tmp_path):
    """Trials leave no trace in the images; a resumed job keeps the size that was found."""
    trials = []
    gpu(300, trials)
    make = lambda size: job(digits, detector_checkpoint, batch_size=size)  # noqa: E731
    found = distill(make('auto'), str(tmp_path / 'auto'))
    assert trials == [1, 2]
    with open(osp.join(found, '_job', 'batch_size.json')) as f:
        assert json.load(f)['batch_size'] == 2
    assert files(found) == files(distill(make(2), str(tmp_path / 'two')))
    kept = sha256(osp.join(found, '_job', 'batch_size.json'))
    trials.clear()
    gpu(10**9, trials)
    for name in os.listdir(osp.join(found, '_job', 'attempts')):
        if name.startswith('000003'):
            os.remove(osp.join(found, '_job', 'attempts', name))
    with pytest.raises(ValueError, match=r'slots are not finished: shard 0/1 \(1 slots\)'):
        distill(make('auto'), str(tmp_path / 'auto'), merge=True)
    again = distill(make('auto'), str(tmp_path / 'auto'), resume=True)
    assert trials == [] and sha256(osp.join(again, '_job', 'batch_size.json')) == kept
    assert files(again) == files(str(tmp_path / 'two/distilled'))


def test_an_image_that_does_not_fit(digits, detector_checkpoint, gpu, tmp_path):
    gpu(90, [])
    with pytest.raises(ValueError, match='one image does not fit .*gradient_checkpointing=True'):
        distill(job(digits, detector_checkpoint, batch_size='auto'), str(tmp_path))


@pytest.mark.parametrize('memory, draws, raw', [
    (None, True, None), (MEMORY, False, None), (MEMORY, True, 'kept')])
def test_where_the_memory_is_no_bound_it_is_eight(monkeypatch, memory, draws, raw):
    """On a CPU, for a coreset, and where the images are taken over from another set."""
    monkeypatch.setattr(auto_batch, 'gpu_memory', lambda: memory)
    distiller = SimpleNamespace(draws=draws, diffusion=object())
    assert auto_batch.auto_batch_size(SimpleNamespace(distiller=distiller, raw=raw)) == 8


@pytest.mark.parametrize('given, words', [
    ('most', "'auto'"), (0, 'at least 1'), (1.5, 'a whole number')])
def test_other_words_are_refused(digits, detector_checkpoint, tmp_path, given, words):
    with pytest.raises(ValueError, match=words):
        distill(job(digits, detector_checkpoint, batch_size=given), str(tmp_path))


def test_a_dry_run_takes_four():
    assert small_batch(dict(batch_size='auto')) == 4
    assert small_batch(dict(batch_size=2)) == 2 and small_batch({}) == 4


@pytest.mark.parametrize('numbers, words', [
    ((0, 1), 'must be at least 1, got 0 and 1'), ((8, 0), 'must be at least 1, got 8 and 0'),
    (('auto', 1, '1/2'), 'does not go with shards')])
def test_batches_that_cannot_be(numbers, words):
    with pytest.raises(ValueError, match=words):
        check_batches(*numbers)
    check_batches('auto', 1)
    check_batches(8, 1, '1/2')
