"""Patch selection: a second implementation, kept scores, mosaics to the pixel, bad input."""
import glob
import os
import os.path as osp
from contextlib import contextmanager

import numpy as np
import processes
import pytest
import tiny
import torch
from diffusers import UNet2DConditionModel
from distilled import manifest
from PIL import Image
from sklearn.exceptions import ConvergenceWarning
from torch.nn.modules.module import register_module_forward_pre_hook

from mmdd.apis import distill
from mmdd.datasets.digit_scenes import DigitScenes
from mmdd.models import PatchSelection
from mmdd.models.distillers.patch_selection import (
    PatchScorer,
    ScoreSettings,
    ScoreStore,
    best_window,
    choose_patches,
    compose,
    crop_photograph,
    read_resized,
    score_pass,
)
from mmdd.models.distillers.patch_selection.differential_loss import draw_timesteps
from mmdd.registry import MODELS
from mmdd.structures import RealAnnotation
from mmdd.utils.progress import Progress
from mmdd.utils.seed import generator

CLASSES = ('cat', 'dog', 'owl')
SETTINGS = dict(resize=32, window=16, num_draws=3)


def photographs(root, num=8, classes=CLASSES):
    """Class folders of smooth random photographs in three shapes."""
    for k, name in enumerate(classes):
        folder = root / 'train' / name
        folder.mkdir(parents=True)
        for i in range(num):
            rng = np.random.default_rng((k, i))
            small = Image.fromarray(rng.integers(0, 255, (5, 5, 3), np.uint8))
            small.resize([(32, 32), (45, 32), (64, 90)][i % 3]).save(folder / f'{i}.png')
    return str(root)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return photographs(tmp_path_factory.mktemp('photographs'))


def job(root, ipc=1, classes=CLASSES, prefix='train', **model):
    """A job with tiny networks."""
    cfg = tiny.distill_job(root, guidance=0)
    cfg['model'] = {**dict(
        type='PatchSelection', diffusion=tiny.stable_diffusion(), image_size=32,
        num_clusters=3, top_clusters=2), **SETTINGS, **model}
    cfg['train_dataloader']['dataset'] = dict(
        type='CustomDataset', _scope_='mmpretrain', data_root=root, data_prefix=prefix,
        metainfo=dict(classes=classes), pipeline=[dict(type='PackInputs',
                                                       meta_keys=('img_path', ))])
    cfg['train_cfg'].update(budget=dict(type='IPC', n=ipc), writer=dict(type='ClassFolderWriter'))
    return cfg


@contextmanager
def denoiser_calls():
    """Batch sizes of every call of a denoiser inside of the block."""
    calls = []

    def note(module, args):
        if isinstance(module, UNet2DConditionModel):
            calls.append(len(args[0]))

    handle = register_module_forward_pre_hook(note)
    yield calls
    handle.remove()


def pixels(folder, entry):
    with Image.open(osp.join(folder, entry['files'][0])) as image:
        return np.asarray(image)


# The paper once more, one photograph and one prompt at a time.

def run_unet(sd, z, t, prompt):
    with torch.no_grad():
        ids = sd.tokenizer([prompt], padding='max_length', max_length=77, return_tensors='pt')
        text = sd.text_encoder(ids.input_ids).last_hidden_state
        return sd.unet(torch.from_numpy(z)[None].float(), int(t), text).sample[0].numpy()


def naive_score(sd, image, prompt, key, settings):
    """R and window of equations 5 and 6, from z_0 on in numpy."""
    height, width = (n // 4 * 4 for n in image.shape[:2])
    x = torch.from_numpy(image[:height, :width] / 127.5 - 1).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        z0 = sd.vae.encode(x).latent_dist.mean[0].numpy() * sd.vae.config.scaling_factor
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000)**2
    alpha_bars = np.cumprod(1 - betas)
    source = generator('differential loss', settings.seed, key)
    steps = torch.randint(100, 701, (settings.num_draws, ), generator=source).tolist()
    noise = torch.randn((settings.num_draws, *z0.shape), generator=source).numpy()
    total = np.zeros(z0.shape[1:])
    for t, epsilon in zip(steps, noise):
        z = np.sqrt(alpha_bars[t]) * z0 + np.sqrt(1 - alpha_bars[t]) * epsilon
        for text, sign in ((settings.null_prompt, 1), (prompt, -1)):
            total += sign * ((epsilon - run_unet(sd, z, t, text))**2).sum(0)
    total /= settings.num_draws
    side = settings.window // 4
    means = {(y, x): total[y:y + side, x:x + side].mean()
             for y in range(total.shape[0] - side + 1) for x in range(total.shape[1] - side + 1)}
    (y, x), score = max(means.items(), key=lambda item: item[1])
    return score, [4 * x, 4 * y, 4 * (x + side), 4 * (y + side)]


def images(num=6):
    shapes = [(32, 32), (32, 46), (44, 32)]
    return [np.random.default_rng(i).integers(0, 255, (*shapes[i % 3], 3), np.uint8)
            for i in range(num)]


def scored(sd, batch_size=16, order=range(6), **settings):
    scorer = PatchScorer(sd, ScoreSettings(**{**SETTINGS, **settings}), batch_size)
    found = scorer.score([images()[i] for i in order], [f'a photo of {i}' for i in order],
                         [f'key {i}' for i in order])
    return {name: dict(zip(order, rows)) for name, rows in found.items()}


def test_scoring_counts_photographs_batch_by_batch(tiny_sd):
    progress, seen = Progress('scores', 6), []
    progress.add = seen.append
    scorer = PatchScorer(tiny_sd, ScoreSettings(**SETTINGS), 1)
    scorer.score(images(3), ['a photo'] * 3, ['a', 'b', 'c'], progress)
    assert seen == [1, 1, 1]


def test_scores_are_those_of_the_paper(tiny_sd):
    found = scored(tiny_sd)
    settings = ScoreSettings(**SETTINGS)
    for i, image in enumerate(images()):
        score, window = naive_score(tiny_sd, image, f'a photo of {i}', f'key {i}', settings)
        assert found['score'][i] == pytest.approx(score, rel=1e-3, abs=1e-5)
        assert found['window'][i].tolist() == window
    assert len({float(score) for score in found['score'].values()}) == 6


def test_features_are_the_activations_of_the_noised_patch(tiny_sd):
    found = scored(tiny_sd)
    for i in (0, 1):
        x1, y1, x2, y2 = (int(v) // 4 for v in found['window'][i])
        image = torch.from_numpy(images()[i]).permute(2, 0, 1)[None].float() / 255
        patch = tiny_sd.encode_images(image[:, :, :32, :44])[:, :, y1:y2, x1:x2]
        noise = torch.randn(patch.shape[1:], generator=generator('DIFT', 0, f'key {i}'))
        alpha_bar = tiny_sd.scheduler.alphas_cumprod[160]
        z = (alpha_bar**0.5 * patch[0] + (1 - alpha_bar)**0.5 * noise).numpy()
        seen = []
        handle = tiny_sd.unet.up_blocks[1].register_forward_hook(
            lambda _, args, output, seen=seen: seen.append(output))
        run_unet(tiny_sd, z, 160, f'a photo of {i}')
        handle.remove()
        assert seen[0].shape[2:] == (4, 4)
        np.testing.assert_allclose(found['dift'][i], seen[0][0].mean((1, 2)).numpy(), atol=1e-4)


def test_scores_do_not_depend_on_batches_or_order(tiny_sd):
    found = scored(tiny_sd)
    for other in (scored(tiny_sd, batch_size=1), scored(tiny_sd, 5, [5, 2, 0, 4, 1, 3])):
        for i in range(6):
            assert other['score'][i] == pytest.approx(found['score'][i], abs=1e-5)
            assert other['window'][i].tolist() == found['window'][i].tolist()
            np.testing.assert_allclose(other['dift'][i], found['dift'][i], atol=1e-4)


def test_another_seed_prompt_or_range_gives_another_score(tiny_sd):
    found = scored(tiny_sd)['score'][0]
    for change in (dict(seed=1), dict(null_prompt='dog'), dict(timestep_range=(0.1, 0.3))):
        assert abs(scored(tiny_sd, **change)['score'][0] - found) > 1e-6
    # without a difference of the prompts there is none of the losses
    same = scored(tiny_sd, null_prompt='a photo of 0', order=[0])
    assert same['score'][0] == pytest.approx(0, abs=1e-5)


def test_an_autoencoder_pass_and_draws_plus_one_denoiser_passes(tiny_sd):
    before = tiny_sd.passes
    encoded = []
    handle = tiny_sd.vae.encoder.register_forward_pre_hook(
        lambda _, args: encoded.append(len(args[0])))
    with denoiser_calls() as calls:
        scored(tiny_sd)
    handle.remove()
    assert sum(encoded) == 6
    assert tiny_sd.passes - before == sum(calls) == 6 * (2 * 3 + 1)


def test_whole_images_have_the_mean_of_the_map(tiny_sd):
    found = scored(tiny_sd, window=None)
    assert found['window'][1].tolist() == [0, 0, 44, 32]  # 46 pixels are 11 places
    side = ScoreSettings(resize=32, window=32, num_draws=3)
    score, _ = naive_score(tiny_sd, images()[0], 'a photo of 0', 'key 0', side)
    assert found['score'][0] == pytest.approx(score, rel=1e-3, abs=1e-5)


def test_best_window_against_all_windows():
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(20, 7, 9)).astype(np.float32)
    scores, corners = best_window(torch.from_numpy(maps), (3, 4))
    for own, score, (y, x) in zip(maps, scores, corners.tolist()):
        means = [[own[i:i + 3, j:j + 4].mean() for j in range(6)] for i in range(5)]
        assert score == pytest.approx(np.max(means), abs=1e-6)
        assert (y, x) == np.unravel_index(np.argmax(means), (5, 6))
    flat = torch.zeros(1, 7, 9)
    assert best_window(flat, (3, 4))[1].tolist() == [[0, 0]]


def test_timesteps_fill_their_part_of_the_schedule():
    drawn = draw_timesteps((0.1, 0.7), 1000, 20000, generator('t'))
    assert drawn.min() == 100 and drawn.max() == 700
    assert draw_timesteps((1, 1), 1000, 3, generator('t')).tolist() == [999] * 3


# Ranking.

def naive_choice(scores, blobs, centres, features, num, top):
    """Section 3.3 and section 5 of the supplement, for clusters that are known."""
    order = sorted(set(blobs), key=lambda b: -np.median(
        [s for s, own in zip(scores, blobs) if own == b]))
    chosen = []
    for b in order[:top]:
        members = [i for i, own in enumerate(blobs) if own == b]
        members.sort(key=lambda i: np.linalg.norm(features[i] - centres[b]))
        chosen += members[:num // top]
    rest = sorted((i for i in range(len(scores)) if i not in chosen), key=lambda i: -scores[i])
    return chosen + rest[:num - len(chosen)]


@pytest.mark.parametrize('seed', range(6))
def test_choice_is_that_of_the_paper(seed):
    rng = np.random.default_rng(seed)
    blobs = np.concatenate([np.arange(8), rng.integers(0, 8, 72)])
    places = rng.normal(size=(8, 3)) * 100
    features = places[blobs] + rng.normal(size=(80, 3))
    scores = rng.normal(size=80)
    centres = np.stack([features[blobs == b].mean(0) for b in range(8)])
    for num in (1, 4, 7, 12, 40, 80):
        found = choose_patches(scores, features, num, 8, 3, seed)
        assert [i for i, _ in found] == naive_choice(scores, blobs, centres, features, num, 3)
        ranks = [rank for _, rank in found]
        assert all(ranks.count(rank) <= num // 3 for rank in range(3)) and len(found) == num


@pytest.mark.parametrize('num', [4, 40, 20, 50, 100])
def test_quotas_of_the_papers_budgets(num):
    """IPC 1 and 10 of four patches, IPC 20, 50 and 100 of one: P // 10 of each cluster."""
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(32, 4)) * 50, 12, 0) + rng.normal(size=(384, 4))
    ranks = [rank for _, rank in choose_patches(rng.normal(size=384), features, num)]
    expected = [rank for rank in range(10) for _ in range(num // 10)]
    assert ranks == expected + [-1] * (num - len(expected))
    assert (-1 in ranks) == (num == 4)


def test_a_short_cluster_is_filled_with_the_highest_scores():
    features = np.array([[0.], [10], [10.1], [10.3], [50], [50.1], [50.2], [50.3]])
    scores = np.array([9., 1, 2, 3, 8, 0, 0.5, -1])
    # medians: 9, 2, .25; four patches of two clusters: the first one has only one
    assert choose_patches(scores, features, 4, 3, 2) == [(0, 0), (2, 1), (1, 1), (4, -1)]


def test_equal_patches_make_fewer_clusters():
    with pytest.warns(ConvergenceWarning):
        found = choose_patches(np.arange(6.), np.zeros((6, 2)), 4, 3, 2)
    assert found == [(0, 0), (1, 0), (5, -1), (4, -1)]


def test_without_clusters_the_highest_scores():
    assert choose_patches(np.array([1., 3, 2, 3]), None, 3) == [(1, -1), (3, -1), (2, -1)]


def test_too_few_patches():
    with pytest.raises(ValueError, match='5 patches make no 8 clusters'):
        choose_patches(np.zeros(5), np.zeros((5, 2)), 2, 8)
    with pytest.raises(ValueError, match='6 patches are needed, but there are only 5'):
        choose_patches(np.zeros(5), np.zeros((5, 2)), 6, 2, 1)


# Mosaics.

def test_four_patches_fill_four_quarters():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)]
    patches = [np.full((224, 224, 3), colour, np.uint8) for colour in colours]
    image = compose(patches, (224, 224))
    assert image.shape == (224, 224, 3)
    for k, colour in enumerate(colours):
        y, x = 112 * (k // 2), 112 * (k % 2)
        assert (image[y:y + 112, x:x + 112] == colour).all()
    assert (compose(patches[:1], (224, 224)) == patches[0]).all()
    for wrong in (patches[:3], []):
        with pytest.raises(ValueError, match='do not fill an image of 224x224'):
            compose(wrong, (224, 224))


def test_patches_are_the_pixels_of_the_resized_photograph(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (50, 80, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'a.png')
    path = str(tmp_path / 'a.png')
    # the short side has the size already
    assert (crop_photograph(path, 50, [8, 4, 40, 36]) == pixels[4:36, 8:40]).all()
    assert (crop_photograph(path, 7, None) == pixels).all()
    small = np.asarray(Image.fromarray(pixels).resize((40, 25), Image.BILINEAR))
    assert (crop_photograph(path, 25, [0, 1, 24, 25]) == small[1:25, :24]).all()
    # smaller than the window: scaled up first
    large = np.asarray(Image.fromarray(pixels).resize((160, 100), Image.BILINEAR))
    assert (crop_photograph(path, 100, [8, 0, 96, 88]) == large[:88, 8:96]).all()


# Jobs.

@pytest.mark.parametrize('ipc, composition, each', [(1, 'auto', 4), (2, 'C', 4), (3, 'S', 1)])
def test_images_are_made_of_what_the_manifest_says(root, tmp_path, ipc, composition, each):
    folder = distill(job(root, ipc, composition=composition), work_dir=str(tmp_path))
    found = manifest(folder)
    assert len(found['images']) == 3 * ipc
    used = []
    for entry in found['images']:
        crops = entry['prototype']['crops']
        assert len(crops) == each and entry['label_source'] == 'real'
        assert entry['prototype']['composition'] == ('C' if each == 4 else 'S')
        assert entry['prompt'] == f'An image of {entry["classes"][0]}'
        image = pixels(folder, entry)
        side = 32 // (2 if each == 4 else 1)
        for k, crop in enumerate(crops):
            assert crop['source'].startswith(f'{entry["classes"][0]}/')
            x1, y1, x2, y2 = crop['window']
            assert (x2 - x1, y2 - y1) == (16, 16) and crop['resize'] == 32
            with Image.open(crop['path']) as real:
                factor = 32 / min(real.size)
                patch = real.resize([int(n * factor + .5) for n in real.size], Image.BILINEAR)
                patch = np.asarray(patch.crop((x1, y1, x2, y2)).resize((side, ) * 2,
                                                                       Image.BILINEAR))
            y, x = side * (k // 2), side * (k % 2)
            assert (image[y:y + side, x:x + side] == patch).all()
        used += [crop['path'] for crop in crops]
    assert len(used) == len(set(used))
    stage = found['cost']['stages']['score']
    assert (stage['denoiser_passes'], stage['kind']) == (24 * 7, 'deploy')


def test_another_budget_and_fewer_classes_run_no_denoiser(root, tmp_path):
    store = dict(score_dir=str(tmp_path / 'scores'))
    with denoiser_calls() as calls:
        distill(job(root, 1, **store), work_dir=str(tmp_path / 'a'))
    assert sum(calls) == 24 * 7
    os.makedirs(tmp_path / 'two' / 'train')
    for name in CLASSES[:2]:
        os.symlink(osp.join(root, 'train', name), tmp_path / 'two' / 'train' / name)
    others = dict(
        budget=job(root, 5, composition='S', **store),
        clusters=job(root, 1, cluster_features=None, **store),
        classes=job(str(tmp_path / 'two'), 1, classes=CLASSES[:2], **store))
    with denoiser_calls() as calls:
        folders = {name: distill(cfg, work_dir=str(tmp_path / name))
                   for name, cfg in others.items()}
    assert calls == []

    def chosen(folder):
        return [[(crop['source'], crop['window'], crop['score'], crop['cluster'])
                 for crop in entry['prototype']['crops']] for entry in manifest(folder)['images']]

    assert chosen(folders['classes']) == chosen(str(tmp_path / 'a' / 'distilled'))[:2]
    # without clusters: R alone
    for crops in chosen(folders['clusters']):
        values = [score for _, _, score, _ in crops]
        assert values == sorted(values, reverse=True)
    with denoiser_calls() as calls:
        distill(job(root, 1, num_draws=2, **store), work_dir=str(tmp_path / 'draws'))
    assert sum(calls) == 24 * 5  # other settings, other scores
    assert len(os.listdir(tmp_path / 'scores')) == 2


def test_a_subset_of_photographs_is_nested_and_blind_to_the_classes(root, tmp_path):
    store = dict(score_dir=str(tmp_path / 'scores'), composition='S')
    with denoiser_calls() as calls:
        distill(job(root, 1, num_images=3, **store), work_dir=str(tmp_path / 'a'))
    assert sum(calls) == 9 * 7
    with denoiser_calls() as calls:
        distill(job(root, 1, num_images=5, **store), work_dir=str(tmp_path / 'b'))
    assert sum(calls) == 6 * 7


def test_a_killed_scoring_goes_on(root, tmp_path, monkeypatch):
    whole = distill(job(root), work_dir=str(tmp_path / 'whole'))
    monkeypatch.setattr(score_pass, 'SHARD', 5)
    write = ScoreStore.write

    def dies(store, keys, rows):
        write(store, keys, rows)
        if len(glob.glob(osp.join(store.folder, '*.npz'))) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(ScoreStore, 'write', dies)
    with pytest.raises(KeyboardInterrupt):
        distill(job(root), work_dir=str(tmp_path / 'killed'))
    monkeypatch.setattr(ScoreStore, 'write', write)
    shard, = glob.glob(str(tmp_path / 'killed/distilled/_job/scores/*/*.npz'))[:1]
    with denoiser_calls() as calls:
        folder = distill(job(root), work_dir=str(tmp_path / 'killed'), resume=True)
    assert sum(calls) == (24 - 10) * 7
    for ours, theirs in zip(manifest(folder)['images'], manifest(whole)['images']):
        assert (pixels(folder, ours) == pixels(whole, theirs)).all()
        assert ours['source'] == theirs['source']
    # a damaged shard is computed again
    with open(shard, 'wb') as f:
        f.write(b'torn')
    store = dict(score_dir=osp.dirname(osp.dirname(shard)))
    with denoiser_calls() as calls:
        distill(job(root, **store), work_dir=str(tmp_path / 'again'))
    assert sum(calls) == 5 * 7


def test_an_edited_photograph_is_scored_again(tmp_path):
    root = photographs(tmp_path / 'real', num=4)
    cfg = job(root, score_dir=str(tmp_path / 'scores'))
    distill(cfg, work_dir=str(tmp_path / 'a'))
    Image.new('RGB', (40, 40), (200, 10, 10)).save(osp.join(root, 'train/dog/2.png'))
    with denoiser_calls() as calls:
        distill(cfg, work_dir=str(tmp_path / 'b'))
    assert sum(calls) == 7


def test_low_resolution_takes_whole_photographs(tmp_path):
    folder_of = tmp_path / 'real' / 'train'
    for name in CLASSES:
        os.makedirs(folder_of / name)
        for i in range(6):
            Image.fromarray(np.random.default_rng(i).integers(0, 255, (8, 8, 3), np.uint8)).save(
                folder_of / name / f'{i}.png')
    folder = distill(job(str(tmp_path / 'real'), 2, window=None, composition='S', image_size=8),
                     work_dir=str(tmp_path / 'work'))
    for entry in manifest(folder)['images']:
        crop, = entry['prototype']['crops']
        assert crop['window'] is None
        with Image.open(crop['path']) as real:
            assert (pixels(folder, entry) == np.asarray(real)).all()


def test_clusters_by_clip(root, tmp_path):
    clip = dict(type='CLIPFeatures', vision=dict(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        image_size=32, patch_size=8, projection_dim=6))
    cfg = job(root, 2, composition='S', cluster_features=clip)
    folder = distill(cfg, work_dir=str(tmp_path))
    features = glob.glob(osp.join(folder, '_job/features/*/000000.npz'))
    assert len(features) == 3
    with np.load(features[0]) as content:
        assert content['features'].shape == (8, 6) and content['features'].std(0).min() > 0
    assert {crop['cluster'] for entry in manifest(folder)['images']
            for crop in entry['prototype']['crops']} == {0, 1}


COUNTED = '''
from mmengine.dist import get_rank

from mmdd.models.distillers.patch_selection import PatchScorer, score_pass

score_pass.SHARD = 4
score = PatchScorer.score


def noted(self, images, prompts, keys, progress):
    with open({log!r}, 'a') as f:
        f.write(f'{{get_rank()}} {{len(images)}}\\n')
    return score(self, images, prompts, keys, progress)


PatchScorer.score = noted
'''


@pytest.mark.slow
def test_two_ranks_share_the_scoring_and_make_the_same_set(root, tmp_path):
    cfg = job(root, 2, composition='S')
    alone = distill(cfg, work_dir=str(tmp_path / 'alone'))
    log = tmp_path / 'log.txt'
    (tmp_path / 'counted.py').write_text(COUNTED.format(log=str(log)))
    processes.distill_by_ranks(cfg, tmp_path, 'counted')
    assert sorted(log.read_text().splitlines()) == ['0 4'] * 3 + ['1 4'] * 3
    found = manifest(str(tmp_path / 'two/distilled'))
    assert found['sha256'] == manifest(alone)['sha256']
    assert found['cost']['denoiser_passes'] == 24 * 7


# Bad input.

def build(**model):
    return MODELS.build(job('', **model)['model'])


@pytest.mark.parametrize('settings, message', [
    (dict(composition='D'), "composition must be 'C', 'S' or 'auto', got 'D'"),
    (dict(cluster_features='clip'), "must be 'dift', None or the config"),
    (dict(top_clusters=4), 'top_clusters no more than num_clusters'),
    (dict(num_images=0), 'num_images, .* must be at least 1'),
    (dict(num_draws=0), 'num_draws and resize must be at least 1'),
    (dict(timestep_range=(0.7, 0.1)), 'timestep_range must ascend'),
    (dict(window=36), 'a window of 36 pixels does not fit .* short side is 32'),
    (dict(window=18), 'must be multiples of the 4 pixels'),
    (dict(prompt='a dog'), 'must have the place {} for the class'),
    (dict(dift_block=2), "no part 'up_blocks.2'; did you mean 'up_blocks.[01]'"),
])
def test_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)


@pytest.mark.parametrize('kind', ['DiT', 'StableDiffusionXL'])
def test_a_prior_that_takes_more_than_a_text_or_none(kind, tmp_path):
    cfg = job('', diffusion=dict(type=kind))
    with pytest.raises(ValueError, match=f'text-to-image model.diffusion .* that of {kind} is no'):
        distill(cfg, work_dir=str(tmp_path))


def test_settings_are_checked_before_weights_are_loaded():
    for wrong in (dict(window=99), dict(num_images=0), dict(composition='D')):
        with pytest.raises(ValueError, match='PatchSelection: '):
            PatchSelection.check_config(job('', **wrong)['model'])
    PatchSelection.check_config(job('')['model'])


def test_budgets_that_do_not_fit(root, tmp_path):
    def message(cfg):
        with pytest.raises(ValueError) as info:
            distill(cfg, work_dir=str(tmp_path / str(len(os.listdir(tmp_path)))))
        return str(info.value)

    store = dict(score_dir=str(tmp_path / 'scores'))
    assert ("class 0 (cat) needs 12 patches, 4 per image, of 8 photographs; lower the budget, "
            "raise model.num_images or set model.composition='S'") in message(
                job(root, 3, **store))
    assert ('class 0 (cat) has 5 photographs for 9 clusters; lower model.num_clusters') in message(
        job(root, 1, num_clusters=9, num_images=5, **store))
    cfg = job(root, 1, **store)
    cfg['train_cfg']['budget'] = dict(type='Total', n=3)
    assert "PatchSelection selects class by class; give train_cfg.budget=dict(type='IPC'" in (
        message(cfg))
    assert not osp.exists(tmp_path / 'scores')  # before anything is scored


def test_losses_that_are_not_finite(root, tmp_path):
    prior = MODELS.build(tiny.stable_diffusion())
    prior.unet.conv_out.bias.fill_(float('nan'))
    store = ScoreStore(str(tmp_path), {}, PatchScorer.fields)
    scoring = score_pass.ScorePass(PatchScorer(prior, ScoreSettings(**SETTINGS), 4), store,
                                   [f'{root}/train/cat/0.png'], ['a cat'])
    with pytest.raises(ValueError, match="cat/0.png: its denoiser's loss .* 'bf16' or 'fp32'"):
        scoring.run()
    assert os.listdir(tmp_path) == []


def test_detection_sets_are_refused(digits, tmp_path):
    cfg = job('')
    cfg['train_dataloader']['dataset'] = tiny.voc_dataset(digits, images=False)
    cfg['train_cfg'].update(budget=dict(type='Total', n=3), writer=dict(type='VOCWriter'))
    with pytest.raises(ValueError, match='PatchSelection distills classification sets'):
        distill(cfg, work_dir=str(tmp_path))


def test_class_names_in_prompts():
    settings = ScoreSettings()
    assert settings.class_prompt('tench, Tinca tinca') == 'An image of tench'
    assert settings.class_prompt('aquarium_fish') == 'An image of aquarium fish'


def test_the_pool_ignores_the_order_of_the_real_set():
    def pool(order, classes=('a', 'b')):
        distiller = build(num_images=3)
        distiller.classes = classes
        distiller.annotations = [RealAnnotation(
            f'{classes[i % 2]}/{i}.png', f'{i}.png', (0, 0), np.array([i % 2])) for i in order]
        return {label: [own.path for own in members]
                for label, members in distiller.choose_pool().items()}

    assert pool(range(20)) == pool(range(19, -1, -1))
    assert all(len(members) == 3 for members in pool(range(20)).values())


def test_composition_by_ipc():
    distiller = build()
    assert ''.join(distiller.choose_composition(n) for n in (1, 10, 15, 19, 20, 50, 100)) == (
        'CCCCSSS')
    assert build(composition='S').choose_composition(1) == 'S'


@pytest.mark.slow
def test_the_embedded_prior_knows_which_digit_it_sees(tmp_path):
    """R is higher for the right class (the zero-shot classifier of equation 4)."""
    root = DigitScenes(str(tmp_path), num_scenes=dict(train=1, val=1, test=1),
                       num_singles=dict(train=20, val=1, test=1), size=64).build()
    prior = MODELS.build(dict(type='mmdd.StableDiffusion', pretrained='mmdd::priors/digits-sd'))
    scorer = PatchScorer(prior, ScoreSettings(
        resize=64, window=None, num_draws=4, prompt='a photo of a {}', null_prompt=''), 16)
    files = sorted(glob.glob(osp.join(root, 'single/train/*/*')))
    labels = [int(osp.basename(osp.dirname(file))) for file in files]
    right, wrong = (scorer.score(
        [read_resized(file, 64) for file in files],
        [f'a photo of a {(label + shift) % 10}' for label in labels],
        [str(i) for i in range(len(files))])['score'] for shift in (0, 3))
    assert len(files) == 20 and (right > wrong).mean() >= 0.8
    assert right.mean() > 0 > wrong.mean()
