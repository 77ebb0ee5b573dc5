"""The real images nearest to those of a set."""
import importlib
import os
import os.path as osp
import sys

import numpy as np
import pytest
import tiny

from mmdd.apis import distill
from mmdd.datasets.annotations import load_image
from mmdd.datasets.export.content import read_content
from mmdd.engine.nearest_real import nearest_real
from mmdd.models import DetectorProxy
from mmdd.models.proxies.feature_pass import extract


@pytest.fixture(scope='module')
def proxy_node(digits, detector_checkpoint, tmp_path_factory):
    path = str(tmp_path_factory.mktemp('config') / 'detector.py')
    with open(path, 'w') as f:
        f.writelines(f'{key} = {value!r}\n' for key, value in tiny.detector_job(digits).items())
    return dict(type='DetectorProxy', cfg=path, checkpoint=detector_checkpoint)


@pytest.fixture(scope='module')
def job(digits, proxy_node):
    """Config of a coreset of four images, with a hook that keeps features in the job."""
    config = tiny.coreset_job(digits, dict(type='RandomCoreset'), total=4)
    config['custom_hooks'] = [dict(type='FeatureMetricsHook', extractor=proxy_node, size=32, k=2,
                                   num_real=12)]
    return config


@pytest.fixture(scope='module')
def made(job, tmp_path_factory):
    return distill(job, str(tmp_path_factory.mktemp('set')))


def files_below(folder):
    return {osp.join(base, name): os.stat(osp.join(base, name)).st_mtime_ns
            for base, _, names in os.walk(folder) for name in names}


def test_a_chosen_image_is_its_own_neighbour(made, job, digits, proxy, monkeypatch):
    seen, features = [], DetectorProxy.features
    monkeypatch.setattr(DetectorProxy, 'features', lambda self, images: (
        seen.append(len(images)), features(self, images))[1])
    before, content = files_below(made), read_content(made)
    found = nearest_real(content, job, k=3)
    assert sum(seen) == 4, 'features of real images are those that the job has kept'
    assert files_below(made) == before
    real = [osp.join(digits, f'VOC2007/JPEGImages/train_{i:06d}.jpg') for i in range(12)]
    known = np.concatenate([extract(proxy, [load_image(path, (32, 32))]) for path in real])
    for image in content.images:
        near = found[image.file]
        own = extract(proxy, [load_image(content.path(image.file), (32, 32))])[0]
        gaps = np.linalg.norm(known - own, axis=1)
        assert [osp.abspath(one.path) for one in near] == [real[i] for i in gaps.argsort()[:3]]
        assert [one.distance for one in near] == pytest.approx(np.sort(gaps)[:3], abs=1e-3)
        assert near[0].name == image.entry['source'] and near[0].distance < 1e-3


def test_fewer_real_images_are_computed_and_not_kept(made, job):
    before = files_below(made)
    found = nearest_real(read_content(made), job, k=9, num_real=5)
    assert {len(near) for near in found.values()} == {5}
    assert len({one.path for near in found.values() for one in near}) == 5
    assert files_below(made) == before


def test_images_are_cut_as_those_of_the_metrics(made, job):
    """Of the set as of the real set, else no image would be its own neighbour."""
    hook = dict(job['custom_hooks'][0], size=(32, 48), crop=True)
    found = nearest_real(read_content(made), dict(job, custom_hooks=[hook]), k=1)
    assert [near[0].distance < 1e-3 for near in found.values()] == [True] * 4


def test_the_tool_puts_them_on_the_page(made, job, tmp_path, monkeypatch):
    (tmp_path / 'job.py').write_text(''.join(f'{key} = {value!r}\n' for key, value in job.items()))
    monkeypatch.setattr(sys, 'argv', [
        'export.py', made, '--to', 'viewer', '--out', str(tmp_path / 'page'),
        '--neighbours', str(tmp_path / 'job.py'), '--num-neighbours', '2', '--num-real', '3'])
    importlib.import_module('export').main()
    assert len(os.listdir(tmp_path / 'page/neighbours')) in (2, 3)


def test_the_proxy_is_the_extractor_of_a_job_without_metrics(made, job, digits, proxy_node):
    config = dict(job, custom_hooks=[])
    with pytest.raises(ValueError, match='neither model.proxy nor a FeatureMetricsHook'):
        nearest_real(read_content(made), config)
    config['model'] = dict(config['model'], proxy=proxy_node)
    found = nearest_real(read_content(made), config, k=1)
    assert all(near[0].name == osp.basename(near[0].path)[:-4] for near in found.values())
    config['model']['proxy'] = dict(proxy_node, checkpoint=None)
    with pytest.raises(ValueError, match='proxy.pth: the weights of model.proxy are missing'):
        nearest_real(read_content(made), config)


def test_no_neighbours(made, job):
    with pytest.raises(ValueError, match='0 neighbours: give at least 1'):
        nearest_real(read_content(made), job, k=0)
