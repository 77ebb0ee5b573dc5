"""RDED: a second implementation, the crop rule, kept scores, resumption, bad input."""
import glob
import hashlib
import math
import os
import os.path as osp
from contextlib import contextmanager
from unittest import mock

import numpy as np
import processes
import pytest
import tiny
import torch
from distilled import manifest
from mmpretrain.datasets.transforms import RandomResizedCrop
from PIL import Image

from mmdd.apis import distill
from mmdd.models import RDED, ClassifierProxy
from mmdd.models.distillers.patch_selection import ScorePass, ScoreStore, read_resized, score_pass
from mmdd.models.distillers.rded import CropScorer, random_windows
from mmdd.registry import MODELS
from mmdd.utils.seed import generator

CLASSES = ('cat', 'dog', 'owl')
MEAN, STD = np.array([60., 120, 180]), np.array([50., 60, 70])
SIZE = 72


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Class folders of nine smooth random photographs each, in three shapes."""
    root = tmp_path_factory.mktemp('photographs')
    for k, name in enumerate(CLASSES):
        folder = root / 'train' / name
        folder.mkdir(parents=True)
        for i in range(9):
            rng = np.random.default_rng((k, i))
            small = Image.fromarray(rng.integers(0, 255, (5, 5, 3), np.uint8))
            small.resize([(80, 80), (120, 70), (40, 90)][i % 3]).save(folder / f'{i}.png')
    return str(root)


def classifier(root):
    """mmpretrain config of a one-block network on the photographs."""
    return dict(
        default_scope='mmpretrain',
        model=dict(
            type='ImageClassifier', _scope_='mmpretrain',
            data_preprocessor=dict(type='ClsDataPreprocessor', mean=MEAN.tolist(),
                                   std=STD.tolist(), to_rgb=True),
            backbone=dict(type='mmdd.ConvNet', widths=(2, ), norm_cfg=dict(type='BN')),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=3, in_channels=2)),
        train_dataloader=dict(dataset=real_set(root)))


def real_set(root):
    return dict(type='CustomDataset', _scope_='mmpretrain', data_root=root, data_prefix='train',
                metainfo=dict(classes=CLASSES),
                pipeline=[dict(type='PackInputs', meta_keys=('img_path', ))])


@pytest.fixture(scope='module')
def teacher(root, tmp_path_factory):
    """Weights of a teacher that sees brightness b alone: its logits are 4 b, -4 b and 0."""
    model = MODELS.build(dict(type='ClassifierProxy', cfg=classifier(root))).model
    state = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    conv, = (value for value in state.values() if value.ndim == 4)
    conv[0, :, 1, 1], conv[1, :, 1, 1] = 1 / 3, -1 / 3  # b = relu(b) - relu(-b)
    norm, = (name[:-len('running_var')] for name in state if name.endswith('running_var'))
    state[f'{norm}weight'].fill_(1)
    state[f'{norm}running_var'].fill_(1)
    state['head.fc.weight'][0] = torch.tensor([4., -4])
    state['head.fc.weight'][1] = torch.tensor([-4., 4])
    path = str(tmp_path_factory.mktemp('teacher') / 'teacher.pth')
    torch.save(dict(state_dict=state), path)
    return path


def job(root, teacher, ipc=2, **model):
    cfg = tiny.distill_job(root, guidance=0)
    cfg['model'] = {**dict(
        type='RDED', image_size=SIZE, proxy=dict(
            type='ClassifierProxy', cfg=classifier(root), checkpoint=teacher,
            input_scale=None)), **model}
    cfg['train_dataloader']['dataset'] = real_set(root)
    cfg['train_cfg'].update(budget=dict(type='IPC', n=ipc), writer=dict(type='ClassFolderWriter'))
    return cfg


@contextmanager
def scored_crops():
    """Batch sizes of every call of the teacher inside of the block."""
    calls, energy = [], ClassifierProxy.energy

    def noted(self, images, slots):
        calls.append(len(images))
        return energy(self, images, slots)

    with mock.patch.object(ClassifierProxy, 'energy', noted):
        yield calls


def pixels(folder, entry):
    with Image.open(osp.join(folder, entry['files'][0])) as image:
        return np.asarray(image)


# The released code once more, one photograph at a time.

def naive_windows(width, height, key, num, scale=(0.08, 1.)):
    """Squares of a random area at a random place, drawn as torchvision does."""
    source, windows = generator('crops', 0, key), []
    while len(windows) < num:
        for _ in range(10):
            share = torch.rand((), dtype=torch.float64, generator=source).item()
            torch.rand((), dtype=torch.float64, generator=source)  # the ratio is 1
            side = round(math.sqrt(width * height * (scale[0] + (scale[1] - scale[0]) * share)))
            if side <= min(width, height):
                y = torch.randint(height - side + 1, (1, ), generator=source).item()
                x = torch.randint(width - side + 1, (1, ), generator=source).item()
                break
        else:
            side = min(width, height)
            x, y = (width - side) // 2, (height - side) // 2
        windows.append([x, y, x + side, y + side])
    return windows


def naive_loss(cell, label):
    """Cross-entropy of a crop in the centre of a canvas that is 0 elsewhere."""
    canvas = np.zeros((SIZE, SIZE, 3))
    edge = (SIZE - len(cell)) // 2
    canvas[edge:edge + len(cell), edge:edge + len(cell)] = (cell - MEAN) / STD
    b = canvas.mean()
    logits = np.array([4 * b, -4 * b, 0])
    return np.log(np.exp(logits).sum()) - logits[label]


def naive_best(path, label, side, num=5):
    """(loss, window, cell) of the best crop of a photograph."""
    with open(path, 'rb') as f:
        key = hashlib.sha256(f.read()).hexdigest()[:32]
    key += '-' + hashlib.sha256(str(label).encode()).hexdigest()[:8]
    with Image.open(path) as photograph:
        found = []
        for window in naive_windows(*photograph.size, key, num):
            cell = np.asarray(photograph.crop(window).resize((side, side), Image.BILINEAR))
            found.append((naive_loss(cell.astype(float), label), window, cell))
    return min(found, key=lambda item: item[0])


def naive_class(root, label, ipc, factor):
    """The images of a class and the windows of their crops."""
    side = SIZE // factor
    best = [naive_best(path, label, side)
            for path in glob.glob(f'{root}/train/{CLASSES[label]}/*')]
    best = sorted(best, key=lambda item: item[0])[:ipc * factor**2]
    images, windows = np.zeros((ipc, SIZE, SIZE, 3), np.uint8), [[] for _ in range(ipc)]
    for rank, (_, window, cell) in enumerate(best):
        place, image = divmod(rank, ipc)
        y, x = (side * n for n in divmod(place, factor))
        images[image, y:y + side, x:x + side] = cell
        windows[image].append(window)
    return images, windows


@pytest.mark.parametrize('ipc, factor', [(2, None), (4, 1), (1, 3)])
def test_images_are_those_of_the_released_code(root, teacher, tmp_path, ipc, factor):
    folder = distill(job(root, teacher, ipc, factor=factor), work_dir=str(tmp_path))
    entries = manifest(folder)['images']
    assert len(entries) == 3 * ipc
    for label, name in enumerate(CLASSES):
        images, windows = naive_class(root, label, ipc, factor or 2)
        own = [entry for entry in entries if entry['classes'] == [name]]
        for entry, image, places in zip(own, images, windows):
            assert [crop['window'] for crop in entry['prototype']['crops']] == places
            assert (pixels(folder, entry) == image).all()
            assert entry['label_source'] == 'real'


def test_scores_are_negative_cross_entropies_of_the_class(root, teacher, tmp_path):
    folder = distill(job(root, teacher), work_dir=str(tmp_path))
    for entry in manifest(folder)['images']:
        for crop in entry['prototype']['crops']:
            loss, window, _ = naive_best(crop['path'], CLASSES.index(entry['classes'][0]), 36)
            assert crop['score'] == pytest.approx(-loss, abs=1e-4)
            assert crop['window'] == window and crop['resize'] is None


def test_a_larger_share_of_photographs_and_more_crops_raise_the_scores(root, teacher, tmp_path):
    def scores(name, **model):
        folder = distill(job(root, teacher, 1, **model), work_dir=str(tmp_path / name))
        return np.array([[crop['score'] for crop in entry['prototype']['crops']]
                         for entry in manifest(folder)['images']])

    few, one, usual = scores('few', images_per_class=4), scores('one', crops=1), scores('usual')
    assert (usual >= few).all() and (usual > few).any()
    assert (usual >= one).all() and (usual > one).any()


# The crop rule.

def test_crops_follow_the_rule_of_random_resized_crop():
    """Quantiles of areas, ratios and places as those of mmpretrain's, which draws with NumPy."""
    scale, ratio = (0.2, 0.9), (0.5, 2.)
    stock = RandomResizedCrop(224, scale, ratio)
    np.random.seed(0)
    picture = np.zeros((90, 120, 3), np.uint8)
    theirs = []
    for _ in range(4000):
        y, x, h, w = stock.rand_crop_params(picture)
        theirs.append([x, y, x + w, y + h])
    ours = random_windows(90, 120, 4000, scale, ratio, generator('rule'))
    shares = np.linspace(0.05, 0.95, 10)
    for figure in (lambda w: w[:, 0], lambda w: w[:, 1], lambda w: w[:, 2], lambda w: w[:, 3],
                   lambda w: (w[:, 2] - w[:, 0]) * (w[:, 3] - w[:, 1]) / 200,
                   lambda w: 30 * np.log((w[:, 2] - w[:, 0]) / (w[:, 3] - w[:, 1]))):
        found = [np.quantile(figure(np.array(windows)), shares) for windows in (ours, theirs)]
        np.testing.assert_allclose(*found, atol=3.)


def test_crops_of_the_released_code_are_squares_of_8_to_100_percent():
    windows = np.array(random_windows(100, 100, 3000, (0.08, 1), (1, 1), generator('squares')))
    sides = windows[:, 2:] - windows[:, :2]
    assert (sides[:, 0] == sides[:, 1]).all()
    areas = (sides[:, 0] / 100)**2
    assert 0.075 < areas.min() < 0.09 and 0.99 < areas.max() <= 1
    assert areas.mean() == pytest.approx(0.54, abs=0.02)
    assert windows.min() == 0 and windows.max() == 100


def test_a_photograph_that_no_crop_fits_gives_its_centre():
    assert random_windows(10, 1000, 1, (0.9, 1), (1, 1), generator(0)) == [[495, 0, 505, 10]]
    assert random_windows(1000, 10, 1, (0.9, 1), (0.5, 2), generator(0)) == [[0, 490, 10, 510]]


def test_more_crops_begin_with_those_of_fewer():
    few, many = (random_windows(50, 60, num, (0.08, 1), (1, 1), generator(7)) for num in (3, 9))
    assert many[:3] == few and len(set(map(tuple, many))) > 5


# Randomness, kept scores, resumption.

def scorer(root, teacher, **model):
    return MODELS.build(job(root, teacher, **model)['model']).scorer


def test_scores_do_not_depend_on_batches_or_order(root, teacher):
    files = sorted(glob.glob(f'{root}/train/*/*'))
    images = [read_resized(file, None) for file in files]
    labels = [str(i // 9) for i in range(27)]

    def scored(order, **model):
        rows = scorer(root, teacher, **model).score(
            [images[i] for i in order], [labels[i] for i in order], [files[i] for i in order])
        return {name: np.array(rows[name])[np.argsort(order)] for name in rows}

    usual = scored(range(27))
    assert usual['window'].dtype == np.int32 and usual['window'].shape == (27, 4)
    for other in (scored(range(27), score_batch=1), scored(range(26, -1, -1), score_batch=17)):
        np.testing.assert_allclose(other['score'], usual['score'], atol=1e-5)
        assert (other['window'] == usual['window']).all()
    assert (scored(range(27), score_seed=1)['window'] != usual['window']).any()


def test_another_budget_scores_nothing_and_another_teacher_all(root, teacher, tmp_path):
    store = dict(score_dir=str(tmp_path / 'scores'))
    with scored_crops() as calls:
        distill(job(root, teacher, 1, score_batch=10, **store), work_dir=str(tmp_path / 'a'))
    assert calls == [10] * 13 + [5]
    with scored_crops() as calls:
        folder = distill(job(root, teacher, 2, **store), work_dir=str(tmp_path / 'b'))
    assert calls == []
    assert manifest(folder)['cost']['stages']['score']['kind'] == 'deploy'
    state = torch.load(teacher, weights_only=True)
    state['state_dict']['head.fc.bias'] += torch.tensor([1., 0, 0])
    torch.save(state, tmp_path / 'other.pth')
    with scored_crops() as calls:
        distill(job(root, str(tmp_path / 'other.pth'), 1, **store), work_dir=str(tmp_path / 'c'))
    assert sum(calls) == 27 * 5


def test_what_decides_a_score_decides_where_it_is_kept(root, teacher):
    usual = scorer(root, teacher).identity()
    assert scorer(root, teacher, score_batch=3, images_per_class=None).identity() == usual
    for change in (dict(crops=4), dict(factor=1), dict(crop_scale=(0.5, 1)), dict(score_seed=1),
                   dict(crop_ratio=(0.5, 2))):
        assert scorer(root, teacher, **change).identity() != usual
    cfg = job(root, teacher)['model']
    cfg['proxy']['cfg']['model']['data_preprocessor']['std'] = [1., 1, 1]
    assert MODELS.build(cfg).scorer.identity() != usual


def test_a_killed_scoring_goes_on(root, teacher, tmp_path, monkeypatch):
    whole = distill(job(root, teacher), work_dir=str(tmp_path / 'whole'))
    monkeypatch.setattr(score_pass, 'SHARD', 5)
    write = ScoreStore.write

    def dies(store, keys, rows):
        write(store, keys, rows)
        if len(glob.glob(osp.join(store.folder, '*.npz'))) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(ScoreStore, 'write', dies)
    with pytest.raises(KeyboardInterrupt):
        distill(job(root, teacher), work_dir=str(tmp_path / 'killed'))
    monkeypatch.setattr(ScoreStore, 'write', write)
    with scored_crops() as calls:
        folder = distill(job(root, teacher), work_dir=str(tmp_path / 'killed'), resume=True)
    assert sum(calls) == (27 - 10) * 5
    assert manifest(folder)['sha256'] == manifest(whole)['sha256']


COUNTED = '''
from mmengine.dist import get_rank

from mmdd.models.distillers.patch_selection import score_pass
from mmdd.models.distillers.rded import CropScorer

score_pass.SHARD = 9
score = CropScorer.score


def noted(self, images, labels, keys, *rest):
    with open({log!r}, 'a') as f:
        f.write(f'{{get_rank()}} {{len(images)}}\\n')
    return score(self, images, labels, keys, *rest)


CropScorer.score = noted
'''


@pytest.mark.slow
def test_two_ranks_share_the_scoring_and_make_the_same_set(root, teacher, tmp_path):
    cfg = job(root, teacher)
    alone = distill(cfg, work_dir=str(tmp_path / 'alone'))
    log = tmp_path / 'log.txt'
    (tmp_path / 'counted.py').write_text(COUNTED.format(log=str(log)))
    processes.distill_by_ranks(cfg, tmp_path, 'counted')
    assert sorted(log.read_text().splitlines()) == ['0 9', '0 9', '1 9']
    assert manifest(str(tmp_path / 'two/distilled'))['sha256'] == manifest(alone)['sha256']


# What the teacher sees.

@pytest.mark.parametrize('to_rgb', [True, False])
def test_the_frame_of_a_crop_is_zero_in_the_networks_input(root, teacher, to_rgb):
    cfg = job(root, teacher)['model']
    cfg['proxy']['cfg']['model']['data_preprocessor']['to_rgb'] = to_rgb
    own = MODELS.build(cfg).scorer
    cells = np.random.default_rng(0).integers(0, 255, (2, 36, 36, 3), np.uint8)
    seen = own.proxy.normalize(own._canvases(cells))
    colours = cells if to_rgb else cells[..., ::-1]
    inside = torch.from_numpy((colours - MEAN) / STD).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(seen[:, :, 18:54, 18:54], inside, atol=1e-4, rtol=0)
    seen[:, :, 18:54, 18:54] = 0
    assert seen.abs().max() < 1e-5


def test_factor_by_the_size_of_images(root, teacher):
    sizes = {32: 1, 64: 1, 66: 2, 224: 2, (64, 224): 1}
    for size, factor in sizes.items():
        built = MODELS.build(job(root, teacher, image_size=size)['model'])
        assert (built.factor, built.patches_per_image(10)) == (factor, factor**2)


# Bad input.

@pytest.mark.parametrize('settings, message', [
    (dict(crops=0), 'model.crops must be at least 1, got 0'),
    (dict(crop_scale=(0, 1)), r'model.crop_scale must ascend in \(0, 1\], got \(0, 1\)'),
    (dict(crop_scale=(0.5, 0.2)), 'model.crop_scale must ascend'),
    (dict(crop_ratio=(2, 1)), 'model.crop_ratio must ascend from above 0'),
    (dict(images_per_class=0), 'model.images_per_class must be at least 1, got 0'),
    (dict(score_batch=0), 'model.score_batch must be at least 1, got 0'),
    (dict(factor=5), 'model.image_size 72x72 does not divide into 5 x 5 cells'),
    (dict(factor=0), 'model.image_size 72x72 does not divide into 0 x 0 cells'),
])
def test_settings(root, teacher, settings, message):
    cfg = job(root, teacher, **settings)['model']
    for check in (RDED.check_config, MODELS.build):
        with pytest.raises(ValueError, match=message):
            check(cfg)


@pytest.mark.parametrize('proxy', [
    {}, dict(proxy=dict(type='BackboneFeatures', cfg=dict(type='torchvision', name='resnet18')))])
def test_something_else_than_a_classifier(root, teacher, tmp_path, proxy):
    cfg = job(root, teacher)
    del cfg['model']['proxy']
    cfg['model'].update(proxy)
    with pytest.raises(ValueError, match='RDED needs a classifier .* give model.proxy=dict'):
        distill(cfg, work_dir=str(tmp_path))


def test_budgets_that_do_not_fit(root, teacher, tmp_path):
    store = dict(score_dir=str(tmp_path / 'scores'))
    with pytest.raises(ValueError) as info:
        distill(job(root, teacher, 3, **store), work_dir=str(tmp_path / 'work'))
    assert ('class 0 (cat) needs 12 patches, 4 per image, of 9 photographs; lower the budget or '
            'model.factor, or raise model.images_per_class') in str(info.value)
    assert not osp.exists(tmp_path / 'scores')  # before anything is scored


def test_detection_sets_are_refused(digits, root, teacher, tmp_path):
    cfg = job(root, teacher)
    cfg['train_dataloader']['dataset'] = tiny.voc_dataset(digits, images=False)
    cfg['train_cfg'].update(budget=dict(type='Total', n=3), writer=dict(type='VOCWriter'))
    cfg['model']['proxy']['cfg']['train_dataloader']['dataset']['metainfo'] = dict(
        classes=tiny.CLASSES)
    cfg['model']['proxy']['cfg']['model']['head']['num_classes'] = len(tiny.CLASSES)
    cfg['model']['proxy']['checkpoint'] = fresh_weights(cfg['model']['proxy'], tmp_path)
    with pytest.raises(ValueError, match='RDED distills classification sets'):
        distill(cfg, work_dir=str(tmp_path / 'work'))


def fresh_weights(proxy, folder):
    """Weights of a network as it is built."""
    built = MODELS.build(dict(proxy, checkpoint=None))
    torch.save(dict(state_dict=built.model.state_dict()), folder / 'fresh.pth')
    return str(folder / 'fresh.pth')


def test_a_teacher_that_is_not_finite(root, teacher, tmp_path):
    own = scorer(root, teacher)
    own.proxy.model.head.fc.bias.fill_(float('nan'))
    scoring = ScorePass(own, ScoreStore(str(tmp_path), {}, CropScorer.fields),
                        [f'{root}/train/cat/0.png'], ['0'])
    with pytest.raises(ValueError, match="cat/0.png: its crops' cross-entropies are not finite "
                                         '.* give model.proxy other weights'):
        scoring.run()
    assert os.listdir(tmp_path) == []
