"""Maps of features: who is where, kept on disk, from a proxy."""
import numpy as np
import pytest
import report_data
import tiny

from mmdd.benchmark.report.embedding import embed, embed_group, evenly_chosen
from mmdd.benchmark.results import GroupResult


def test_two_clusters_stay_apart():
    rng = np.random.default_rng(0)
    features = dict(real=rng.normal(0, 1, (40, 5)), one=rng.normal(0, 1, (20, 5)),
                    two=rng.normal(30, 1, (20, 5)))
    points = embed(features)
    assert {name: xy.shape for name, xy in points.items()} == dict(
        real=(40, 2), one=(20, 2), two=(20, 2))
    near = np.linalg.norm(points['real'].mean(0) - points['one'].mean(0))
    far = np.linalg.norm(points['real'].mean(0) - points['two'].mean(0))
    assert far > 3 * near
    again = embed(features)
    assert all(np.array_equal(points[name], again[name]) for name in points)


def test_few_images_and_unknown_methods():
    assert embed(dict(real=np.ones((2, 1)), one=np.ones((1, 1))))['one'].shape == (1, 2)
    with pytest.raises(ValueError, match='choose tsne, umap or none'):
        embed({}, 'pca')


def test_evenly_chosen():
    assert evenly_chosen(range(101), 5) == [0, 25, 50, 75, 100]
    assert evenly_chosen('ab', 5) == ['a', 'b']


def test_a_group_by_its_proxy(digits, detector_checkpoint, tmp_path, monkeypatch):
    folders = [report_data.write_set(tmp_path / name) for name in 'abc']
    methods = [report_data.method(name, folder) for name, folder in zip('abc', folders)]
    group = GroupResult('G', 'detection', ['mAP'], methods=methods, ablation=['a', 'c'])
    assert embed_group(group, str(tmp_path)) is None  # no proxy
    methods[1].proxy_config = dict(type='DetectorProxy', cfg=tiny.detector_job(digits))
    methods[1].checkpoint = detector_checkpoint
    methods[1].dataset = tiny.voc_dataset(digits, images=False)
    points = embed_group(group, str(tmp_path), num_real=8)
    # 'a' is a step of the ablation, not its result
    assert {name: len(xy) for name, xy in points.items()} == dict(real=8, b=3, c=3)
    monkeypatch.setattr('mmdd.benchmark.report.embedding.embed', None)  # kept on disk
    again = embed_group(group, str(tmp_path), num_real=8)
    assert all(np.array_equal(points[name], again[name]) for name in points)
