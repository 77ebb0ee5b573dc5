"""Maps of features: who is where."""
import numpy as np
import pytest

from mmdd.utils.feature_plane import embed


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
