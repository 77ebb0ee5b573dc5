"""Clusters of latents: a second implementation, every image counts, kept and shared files."""
import os
import shutil
from collections import Counter
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import tiny
import torch
from d4m_reference import algorithm_1, ordered
from PIL import Image
from sklearn.cluster import MiniBatchKMeans

from mmdd.datasets.annotations import load_image
from mmdd.models import LatentClusters
from mmdd.models.statistics.latent_clusters import nearest_rows, regroup
from mmdd.structures import RealAnnotation


def blobs(number, seed=0, shape=(2, 2, 3)):
    """Points around four well-separated places, in random order."""
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(4, *shape)) * 5
    return (places[rng.integers(0, 4, number)] + rng.normal(size=(number, *shape))).astype('f4')


def stream(points, size):
    return iter([points[i:i + size] for i in range(0, len(points), size)])


@pytest.mark.parametrize('number', [4, 5, 40, 43])
def test_centres_are_those_of_algorithm_1(number):
    points = blobs(number)
    found = LatentClusters().summarize(stream(points, 7), number, 4, seed=1)
    expected = algorithm_1(points.reshape(number, -1), 4)
    np.testing.assert_allclose(ordered(found['centres']), ordered(expected), rtol=1e-4, atol=1e-4)
    assert found['images'] == number and found['centres'].shape == (4, 2, 2, 3)


def test_the_last_latents_move_the_centres():
    """Trap: the released code drops what does not fill a mini-batch."""
    points = np.zeros((11, 1, 1, 1), np.float32)
    points[:, 0, 0, 0] = [0, 10, 1, 11, 2, 12, 1, 11, 0, 10, 101]
    found = LatentClusters().summarize(stream(points, 3), 11, 2, seed=0)
    # the last one joins the five around 10.8: (10 + 11 + 12 + 11 + 10 + 101) / 6
    np.testing.assert_allclose(sorted(found['centres'].ravel()), [0.8, 155 / 6], rtol=1e-5)
    # or not, as there; the last of 11 fills no mini-batch of two
    dropped = LatentClusters(drop_last=True, nearest=True).summarize(
        stream(points, 3), 11, 2, seed=0)
    np.testing.assert_allclose(sorted(dropped['centres'].ravel()), [1, 11])
    assert (dropped['images'], sorted(dropped['sources'])) == (10, [2, 3])
    # one mini-batch is all that there is
    few = LatentClusters(drop_last=True, expand=6).summarize(stream(points, 3), 11, 2, seed=0)
    assert few['images'] == 11


def test_dropping_is_part_of_what_statistics_are():
    plain, dropped = LatentClusters(), LatentClusters(drop_last=True)
    assert 'drop_last' not in plain.settings() and dropped.settings()['drop_last']


@pytest.mark.parametrize('expand', [1, 3, 100])
@pytest.mark.parametrize('number', [10, 11, 29, 30, 31])
def test_every_latent_is_fitted_once(monkeypatch, expand, number):
    seen, plain = [], MiniBatchKMeans.partial_fit
    monkeypatch.setattr(MiniBatchKMeans, 'partial_fit',
                        lambda self, X: (seen.append(X.copy()), plain(self, X))[1])
    points = blobs(number)
    found = LatentClusters(expand=expand).summarize(stream(points, 4), number, 5, seed=0)
    np.testing.assert_array_equal(np.concatenate(seen), points.reshape(number, -1))
    assert found['images'] == number
    assert all(len(batch) == 5 * expand for batch in seen[:-1]) and len(seen[0]) >= 5


def test_batches_of_the_encoder_change_nothing():
    points = blobs(37)
    found = [LatentClusters(expand=2).summarize(stream(points, size), 37, 4, seed=3)['centres']
             for size in (1, 5, 37)]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_regroup_keeps_order_and_remainder():
    rows = np.arange(11)
    assert [list(r) for r in regroup(stream(rows, 3), 4)] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert [len(r) for r in regroup(stream(rows, 11), 2)] == [2, 2, 2, 2, 2, 1]
    assert list(regroup(iter([]), 4)) == []


def test_nearest_real_latents():
    points = blobs(23)
    found = LatentClusters(nearest=True).summarize(stream(points, 4), 23, 4, seed=0)
    plain = LatentClusters().summarize(stream(points, 4), 23, 4, seed=0)['centres']
    flat, centres = points.reshape(23, -1), plain.reshape(4, -1)
    expected = [int(((flat - centre)**2).sum(1).argmin()) for centre in centres]
    assert found['sources'].tolist() == expected
    np.testing.assert_array_equal(found['centres'], points[expected])
    assert nearest_rows(flat[:1], np.concatenate([flat, flat]), 5).tolist() == [0]


@pytest.mark.parametrize('kwargs, message', [
    (dict(expand=0), 'expand must be at least 1'),
    (dict(reassignment_ratio=-1.), 'reassignment_ratio at least 0'),
    (dict(posterior='mode'), "posterior must be 'mean' or 'sample'"),
    (dict(resize='pad'), "resize 'stretch' or 'crop'"),
    (dict(batch_size=0), 'batch_size must be at least 1')])
def test_settings_out_of_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        LatentClusters(**kwargs)


@pytest.fixture(scope='module')
def members(tmp_path_factory):
    """Two classes of 7 and 5 pictures of random colours."""
    folder = tmp_path_factory.mktemp('pictures')
    rng = np.random.default_rng(0)
    classes = []
    for label, number in enumerate((7, 5)):
        own = []
        for i in range(number):
            path = folder / f'{label}_{i}.png'
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((40, 30)).save(path)
            own.append(RealAnnotation(f'{label}/{i}.png', str(path), (30, 40), np.array([label])))
        classes.append(own)
    return classes


class CountingPrior:
    """A prior that counts the images it encodes, and may stop after some."""

    def __init__(self, prior, stop=None):
        self.prior, self.device, self.stop, self.images = prior, prior.device, stop, 0

    def autoencoder_digest(self):
        return self.prior.autoencoder_digest()

    def encode_images(self, images, **options):
        self.images += len(images)
        if self.stop is not None and self.images > self.stop:
            raise KeyboardInterrupt
        return self.prior.encode_images(images, **options)


def fit(prior, members, folder=None, num=2, seed=0, size=(32, 32), **kwargs):
    statistics = LatentClusters(**{'batch_size': 3, **kwargs})
    statistics.fit(prior, members, num, size, seed, None if folder is None else str(folder))
    return statistics


def centres(statistics):
    return [statistics.read(label)['centres'] for label in range(2)]


def test_prototypes_are_centres_of_the_latents_of_their_class(tiny_sd, members, tmp_path):
    """The whole way by hand: read, stretch, encode, cluster; fp16 on disk."""
    statistics = fit(tiny_sd, members, tmp_path)
    for label, own in enumerate(members):
        images = np.stack([load_image(a.path, (32, 32)) for a in own])
        with torch.no_grad():
            latents = tiny_sd.encode_images(
                torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).numpy()
        expected = algorithm_1(latents.reshape(len(own), -1), 2)
        found = statistics.read(label)
        assert found['images'] == len(own) and found['centres'].dtype == np.float32
        np.testing.assert_allclose(ordered(found['centres']), ordered(expected), rtol=2e-3,
                                   atol=2e-3)
    files = os.listdir(tmp_path)
    assert len(files) == 2
    with np.load(tmp_path / files[0]) as content:
        assert content['centres'].dtype == np.float16
        assert content['centres'].shape == (2, *tiny_sd.latent_shape((32, 32)))


def test_without_a_folder_nothing_is_kept_on_disk(tiny_sd, members, tmp_path):
    for one, two in zip(centres(fit(tiny_sd, members)), centres(fit(tiny_sd, members, tmp_path))):
        np.testing.assert_array_equal(one, two)


def test_a_killed_job_goes_on_with_the_next_class(tiny_sd, members, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(CountingPrior(tiny_sd, stop=9), members, tmp_path)
    prior = CountingPrior(tiny_sd)
    resumed = fit(prior, members, tmp_path)
    assert prior.images == len(members[1])  # the first class was finished
    for one, two in zip(centres(resumed), centres(fit(tiny_sd, members))):
        np.testing.assert_array_equal(one, two)


def test_finished_statistics_are_reused_where_they_are_the_same(tiny_sd, members, tmp_path):
    """Another seed, size, number, setting or file does not take them; speed does."""
    shared = dict(statistics_dir=str(tmp_path / 'shared'))
    first = fit(tiny_sd, members, tmp_path / 'one', **shared)
    assert not (tmp_path / 'one').exists()
    for kwargs in (dict(batch_size=1), dict(folder=tmp_path / 'two')):
        prior = CountingPrior(tiny_sd)
        again = fit(prior, members, **{**shared, **kwargs})
        assert prior.images == 0
        np.testing.assert_array_equal(centres(again)[0], centres(first)[0])
    for kwargs in (dict(seed=1), dict(num=3), dict(size=(64, 64)), dict(posterior='sample'),
                   dict(resize='crop'), dict(expand=2), dict(nearest=True)):
        prior = CountingPrior(tiny_sd)
        fit(prior, members, **{**shared, **kwargs})
        assert prior.images == 12, kwargs
    other = type(tiny_sd)(**{k: v for k, v in tiny.stable_diffusion(seed=1).items()
                             if k != 'type'})
    assert other.autoencoder_digest() != tiny_sd.autoencoder_digest()
    prior = CountingPrior(other)
    fit(prior, members, **shared)
    assert prior.images == 12


def test_a_changed_image_or_a_damaged_file_is_made_again(tiny_sd, members, tmp_path):
    own = [list(m) for m in members]
    copy = str(shutil.copyfile(own[0][0].path, tmp_path / 'copy.png'))
    own[0][0] = RealAnnotation('0/copy.png', copy, (30, 40), np.array([0]))
    folder = tmp_path / 'statistics'
    fit(tiny_sd, own, folder)
    os.utime(copy, (1, 1))
    prior = CountingPrior(tiny_sd)
    statistics = fit(prior, own, folder)
    assert prior.images == len(own[0])
    with open(statistics._file(1), 'r+b') as f:
        f.truncate(100)
    prior = CountingPrior(tiny_sd)
    fit(prior, own, folder)
    assert prior.images == len(own[1])


def test_ranks_share_the_classes(tiny_sd, members, tmp_path, monkeypatch):
    """Two ranks one after the other: each does its classes, together the same files."""
    module = 'mmdd.utils.shards'
    monkeypatch.setattr(f'{module}.get_world_size', lambda: 2)
    monkeypatch.setattr(f'{module}.together', nullcontext)
    counted = []
    for rank in (0, 1):
        monkeypatch.setattr(f'{module}.get_rank', partial(int, rank))
        prior = CountingPrior(tiny_sd)
        statistics = fit(prior, members, tmp_path)
        counted.append(prior.images)
    assert counted == [7, 5]
    for one, two in zip(centres(statistics), centres(fit(tiny_sd, members))):
        np.testing.assert_array_equal(one, two)


def test_sampled_latents_depend_on_the_image_alone(tiny_sd, members):
    """Not on its batch, nor on what else is in the class."""
    class Keep(LatentClusters):
        def summarize(self, latents, total, num, seed):
            return dict(latents=np.concatenate(list(latents)))

    def latents(own, batch_size):
        statistics = Keep(posterior='sample', batch_size=batch_size)
        statistics.fit(tiny_sd, [own], 1, (32, 32), 0)
        return statistics.read(0)['latents']

    whole, single = latents(members[0], 4), latents(members[0][2:3], 1)
    np.testing.assert_allclose(whole[2], single[0], atol=2e-3)
    assert len(Counter(np.round(whole[:, 0, 0, 0], 4))) == 7


def test_too_few_images_for_the_clusters(tiny_sd, members):
    with pytest.raises(ValueError, match='class 1 has 5 real images, fewer than the 6 clusters '
                                         'asked for; lower the budget or leave the class out'):
        fit(CountingPrior(tiny_sd, stop=0), members, num=6)


def test_a_latent_that_is_not_finite_names_its_image(tiny_sd, members):
    class Broken(CountingPrior):
        def encode_images(self, images, **options):
            latents = self.prior.encode_images(images)
            latents[-1, 0, 0, 0] = float('nan')
            return latents

    with pytest.raises(ValueError, match=r'0_2\.png: its latents are not finite .*; set '):
        fit(Broken(tiny_sd), members)


def test_cropping_keeps_shapes_and_stretching_does_not(tmp_path):
    """A square mark in a wide picture stays square where the picture is cropped."""
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[10:30, 30:50] = 255
    Image.fromarray(picture).save(tmp_path / 'wide.png')
    sides = {}
    for crop in (False, True):
        mark = load_image(str(tmp_path / 'wide.png'), (40, 40), crop)[..., 0] > 127
        sides[crop] = (int(mark.any(1).sum()), int(mark.any(0).sum()))
    assert sides == {False: (20, 10), True: (20, 20)}
