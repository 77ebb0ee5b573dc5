"""Metrics of a set while it is made and in its manifest."""
import json
import math
import os
import os.path as osp
import shutil
from pathlib import Path

import numpy as np
import processes
import pytest
import tiny
import torch
from distilled import manifest

from mmdd.apis import distill
from mmdd.datasets.annotations import load_image
from mmdd.engine import FeatureMetricsHook
from mmdd.engine.journal import Journal
from mmdd.evaluation.feature_metrics import coverage_density
from mmdd.models import DetectorProxy

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
NUM = 6


@pytest.fixture(scope='module')
def proxy_node(digits, detector_checkpoint, tmp_path_factory):
    """Config of a trained tiny proxy; from a file, as mmengine formats long configs slowly."""
    path = str(tmp_path_factory.mktemp('config') / 'detector.py')
    with open(path, 'w') as f:
        f.writelines(f'{key} = {value!r}\n' for key, value in tiny.detector_job(digits).items())
    return dict(type='DetectorProxy', cfg=path, checkpoint=detector_checkpoint, relabel_thr=0.)


@pytest.fixture(scope='module')
def job(digits, proxy_node):
    """Makes the config of an unguided job with the hook."""
    def make(threshold=0., hook=None, **train_cfg):
        config = tiny.distill_job(digits, total=NUM, guidance=0, threshold=threshold,
                                  **dict(dict(max_rounds=2), **train_cfg))
        config['model']['proxy'] = proxy_node
        config['custom_hooks'] = [dict(type='FeatureMetricsHook', num_real=9, k=3, batch_size=4,
                                       **(hook or {}))]
        return config
    return make


@pytest.fixture(scope='module')
def threshold(job, tmp_path_factory):
    """A threshold that two of the first attempts miss."""
    folder = distill(job(), str(tmp_path_factory.mktemp('probe')))
    scores = sorted(entry['score'] for entry in manifest(folder)['images'])
    return (scores[1] + scores[2]) / 2


@pytest.fixture(scope='module')
def whole(job, threshold, tmp_path_factory):
    """A finished set, and how many images its proxy made features of."""
    seen = []
    features = DetectorProxy.features

    def counted(self, images):
        seen.append(len(images))
        return features(self, images)

    DetectorProxy.features = counted
    try:
        return distill(job(threshold), str(tmp_path_factory.mktemp('whole'))), seen
    finally:
        DetectorProxy.features = features


def test_the_visualizer_gets_the_metrics_of_the_set(whole):
    file, = Path(whole[0]).parent.glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    found = next(entry for entry in entries if 'set/mmd2' in entry)
    metrics = manifest(whole[0])['metrics']
    assert {name: found[f'set/{name}'] for name in ('mmd2', 'coverage', 'density')} == {
        name: metrics[name] for name in ('mmd2', 'coverage', 'density')}


def naive_metrics(folder, proxy, paths):
    """Metrics from the files, one image at a time, by loops."""
    def feature(image):
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        return proxy.features(tensor)[0].double().numpy()

    journal = Journal(folder)
    made = [feature(journal.read_image((e['slot'], e['round'])))
            for e in manifest(folder)['images']]
    real = [feature(load_image(path, (32, 32))) for path in paths]
    m, n = len(real), len(made)
    pairs = [np.linalg.norm(real[i] - real[j]) for i in range(m) for j in range(i)]
    sigma = np.median(pairs)

    def total(a, b, same):
        return sum(math.exp(-np.sum((x - y)**2) / (2 * sigma**2)) for i, x in enumerate(a)
                   for j, y in enumerate(b) if not (same and i == j))

    value = total(real, real, True) / m / (m - 1) + total(made, made, True) / n / (n - 1) - (
        2 * total(real, made, False) / m / n)
    return value, sigma, real, made


def test_metrics_of_the_kept_images(whole, threshold, digits, proxy):
    folder, seen = whole
    found = manifest(folder)
    metrics = found['metrics']
    assert metrics['num_real'] == 9 and metrics['num_distilled'] == NUM
    assert (metrics['extractor'], metrics['dim'], metrics['size']) == (
        'DetectorProxy', 16, [32, 32])
    real_folder = osp.join(folder, '_job/metrics', metrics['extractor_id'], 'real')
    with np.load(osp.join(real_folder, '000000.npz')) as content:
        reference = content['features']
    paths = [osp.join(digits, f'VOC2007/JPEGImages/train_{i:06d}.jpg') for i in range(12)]
    every = np.stack([naive_feature(proxy, path) for path in paths])
    # Nine different real images, in the order of the set.
    rows = [int(np.abs(every - row).max(1).argmin()) for row in reference]
    assert rows == sorted(set(rows)) and len(rows) == 9
    value, sigma, real, made = naive_metrics(folder, proxy, [paths[i] for i in rows])
    assert metrics['mmd2'] == pytest.approx(value, abs=2e-4)
    assert metrics['bandwidth'] == pytest.approx(sigma, rel=1e-3)
    assert metrics['mmd_linear'] == pytest.approx(
        np.linalg.norm(np.mean(real, 0) - np.mean(made, 0)), rel=1e-3)
    assert (metrics['coverage'], metrics['density']) == pytest.approx(
        coverage_density(np.stack(real), np.stack(made), 3), abs=1e-9)
    scores = [entry['score'] for entry in found['images']]
    assert metrics['score']['mean'] == pytest.approx(np.mean(scores))
    assert metrics['score']['threshold'] == threshold
    assert metrics['score']['share_passed'] == found['budget_met'] / NUM
    # Rejects that are not kept were never looked at, all others once.
    assert found['images_made'] > NUM and sum(seen) == 9 + NUM


def naive_feature(proxy, path):
    tensor = torch.from_numpy(load_image(path, (32, 32)).copy()).permute(2, 0, 1)[None]
    return proxy.features(tensor.float() / 255)[0].numpy()


def test_the_log_shows_a_running_value(whole):
    logs = [osp.join(base, name) for base, _, names in os.walk(osp.dirname(whole[0]))
            for name in names if name.endswith('.log')]
    with open(logs[0]) as f:
        text = f.read()
    assert 'mmd2: ' in text
    assert f"distance to the real set: mmd2 {manifest(whole[0])['metrics']['mmd2']:.4f}" in text


def test_a_resumed_job_has_the_same_metrics(whole, job, threshold, tmp_path):
    folder = shutil.copytree(whole[0], tmp_path / 'distilled')
    metrics = manifest(folder)['metrics']
    place = osp.join(folder, '_job/metrics', metrics['extractor_id'])
    kept = sorted(name for name in os.listdir(place) if name.endswith('.npz'))
    assert len(kept) == NUM
    os.unlink(osp.join(place, kept[0]))
    with open(osp.join(place, kept[1]), 'wb') as f:
        f.write(b'half')
    os.unlink(folder / 'manifest.json')
    first = Journal(str(folder))
    os.unlink(first._path((5, 0), '.json'))
    assert distill(job(threshold), str(tmp_path), resume=True) == str(folder)
    again = manifest(folder)['metrics']
    for name in ('mmd2', 'bandwidth', 'coverage', 'density'):
        assert again[name] == pytest.approx(metrics[name], abs=1e-4)
    assert again['score'] == metrics['score']


def test_a_finished_set_gets_metrics_later(whole, job, threshold, tmp_path):
    """The hook is no part of what a set is: a finished job can be resumed with it."""
    folder = shutil.copytree(whole[0], tmp_path / 'distilled')
    shutil.rmtree(folder / '_job/metrics')
    before = manifest(folder)
    distill(job(threshold, dict(size=24)), str(tmp_path), resume=True)
    found = manifest(folder)
    assert found['sha256'] == before['sha256'] and found['metrics']['size'] == [24, 24]
    assert found['metrics']['extractor_id'] != before['metrics']['extractor_id']
    assert found['metrics']['num_distilled'] == NUM


def test_a_coreset_with_an_extractor_of_its_own(digits, proxy_node, tmp_path):
    config = tiny.coreset_job(digits, dict(type='RandomCoreset'), total=4)
    config['custom_hooks'] = [dict(type='FeatureMetricsHook', extractor=proxy_node, size=32, k=2)]
    metrics = manifest(distill(config, str(tmp_path)))['metrics']
    assert metrics['num_real'] == 12 and metrics['num_distilled'] == 4
    assert metrics['score'] is None
    # Each chosen image is in its own ball and in those of its neighbours.
    assert 4 / 12 <= metrics['coverage'] <= 1


@pytest.mark.parametrize('settings, words', [
    (dict(num_real=1), 'num_real must be at least 2'), (dict(k=0), 'k and batch_size at least 1'),
    (dict(batch_size=0), 'at least 1, got 2000, 5 and 0'),
    (dict(extractor=dict(type='ClassifierProxy', cfg='x')), 'extractor needs a checkpoint')])
def test_bad_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        FeatureMetricsHook(**settings)


def test_nothing_is_made_without_an_extractor(digits, tmp_path):
    config = tiny.coreset_job(digits, dict(type='RandomCoreset'))
    config['custom_hooks'] = [dict(type='FeatureMetricsHook')]
    with pytest.raises(ValueError, match='RandomCoreset has no proxy; set extractor'):
        distill(config, str(tmp_path))
    assert not os.listdir(tmp_path)


PLUGIN = '''
from mmengine.dist import get_rank

from mmdd.models.proxies import feature_pass

feature_pass.BLOCK = 1
extract, describe = feature_pass.extract, feature_pass.AnnotationPass._extract


def note(number):
    with open({log!r}, 'a') as f:
        f.write(f'{{get_rank()}} {{number}}\\n')


def noted(extractor, images):
    images = list(images)
    note(len(images))
    return extract(extractor, images)


def described(self, images, items):
    note(len(items))
    return describe(self, images, items)


feature_pass.extract = noted
feature_pass.AnnotationPass._extract = described
'''


@pytest.mark.slow
def test_two_ranks_share_the_work_and_give_the_same_figures(digits, proxy_node, tmp_path):
    config = tiny.coreset_job(digits, dict(type='KCenterCoreset', proxy=proxy_node,
                                           feature_size=32), total=5)
    config['custom_hooks'] = [dict(type='FeatureMetricsHook', num_real=9, batch_size=9)]
    alone = distill(config, str(tmp_path / 'alone'))
    log = tmp_path / 'log.txt'
    (tmp_path / 'small_blocks.py').write_text(PLUGIN.format(log=str(log)))
    processes.distill_by_ranks(config, tmp_path, 'small_blocks')
    # Three batches of four real images in turn; then the nine of the metrics on rank 0.
    assert sorted(log.read_text().splitlines()) == ['0 4', '0 4', '0 9', '1 4']
    folder = str(tmp_path / 'two/distilled')
    assert len(os.listdir(osp.join(folder, '_job/features'))) == 4, 'three blocks, then all'
    found, expected = manifest(folder), manifest(alone)
    assert found['sha256'] == expected['sha256']
    for name, value in expected['metrics'].items():
        same = pytest.approx(value) if isinstance(value, float) else value
        assert found['metrics'][name] == same, name


def test_jobs_share_features_of_real_images(digits, proxy_node, monkeypatch, tmp_path):
    """A second job computes those of its own images only, and other real images anew."""
    seen = []
    features = DetectorProxy.features
    monkeypatch.setattr(DetectorProxy, 'features', lambda self, images: (
        seen.append(len(images)), features(self, images))[1])

    def metrics(name, num_real=12, **hook):
        config = tiny.coreset_job(digits, dict(type='RandomCoreset'), total=4)
        config['custom_hooks'] = [dict(type='FeatureMetricsHook', extractor=proxy_node, size=32,
                                       num_real=num_real, **hook)]
        seen.clear()
        return manifest(distill(config, str(tmp_path / name)))['metrics'], sum(seen)

    shared = dict(cache=str(tmp_path / 'cache'))
    alone, computed = metrics('alone')
    assert computed == 12 + 4
    assert metrics('first', **shared) == (alone, 12 + 4)
    assert metrics('second', **shared) == (alone, 4)
    assert metrics('others', num_real=7, **shared)[1] == 7 + 4
    assert len(os.listdir(tmp_path / 'cache')) == 2
