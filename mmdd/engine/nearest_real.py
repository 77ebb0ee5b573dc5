"""The real images that are nearest to those of a distilled set, by features."""
import os.path as osp
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmdd.datasets.checks import open_real_set
from mmdd.datasets.export.content import ExportContent
from mmdd.datasets.export.neighbours import Neighbour
from mmdd.datasets.formats.base import image_size
from mmdd.models.proxies.feature_pass import FeaturePass
from mmdd.registry import HOOKS
from mmdd.utils.compat import setup
from mmdd.utils.components import class_of
from mmdd.utils.config import ConfigType
from .distill_job import read_job
from .hooks import FeatureMetricsHook
from .identity import weights_path
from .prepare import prepare


def nearest_real(content: ExportContent, config: ConfigType, k: int = 4,
                 num_real: Optional[int] = None) -> Dict[str, List[Neighbour]]:
    """Find the nearest real images of each image of a set.

    Features are those of the job's :class:`FeatureMetricsHook`, by Euclidean distance; those of
    real images that it has kept are not computed again. Nothing is written into the set.

    Args:
        content: The set.
        config: Config of the job: its real set, and its hook with an extractor, or its proxy.
        k: How many, the nearest first.
        num_real: How many real images are looked at, drawn at random; as many as the hook
            compares the set with if None.

    Returns:
        dict: Neighbours by file of the set.

    Raises:
        ValueError: If there is no extractor, its weights are missing, or ``k`` is below 1.
    """
    from sklearn.neighbors import NearestNeighbors
    if k < 1:
        raise ValueError(f'{k} neighbours: give at least 1')
    setup()
    cfg = read_job(config)
    prepare(cfg)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdd'):
        hook = metrics_hook(cfg, num_real)
        hook.build(proxy_with_weights(cfg, hook, content.folder), job_size(cfg, content),
                   osp.join(content.folder, '_job'))
        dataset = open_real_set(cfg.train_dataloader.dataset)
    paths = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    real = hook.real_pass(paths)
    known = real_features(real)
    files = [image.file for image in content.images]
    assert hook.size is not None
    made = FeaturePass(hook.model, [content.path(file) for file in files], hook.size,
                       hook.batch_size, name='features of the set', crop=hook.crop).run()
    assert made is not None, 'a pass that keeps nothing works alone'
    search = NearestNeighbors(n_neighbors=min(k, len(known)), algorithm='brute').fit(known)
    distances, found = search.kneighbors(made.numpy())
    names = short_names(real.paths)
    return {file: [Neighbour(real.paths[i], names[i], float(distance))
                   for i, distance in zip(own, gaps)]
            for file, own, gaps in zip(files, found, distances)}


def real_features(real: FeaturePass) -> np.ndarray:
    """Features (N, D) of real images: those that are kept, else computed and not kept."""
    found = real.kept()
    if found is None:
        real.folder = None
        features = real.run()
        assert features is not None, 'a pass that keeps nothing works alone'
        found = features.numpy()
    return found


def metrics_hook(cfg: Config, num_real: Optional[int]) -> FeatureMetricsHook:
    """The hook of a job that compares its set with the real one, or one of its own settings."""
    nodes = [*(cfg.get('custom_hooks') or []), *(cfg.get('default_hooks') or {}).values()]
    node: Dict[str, Any] = next(
        (dict(node) for node in nodes
         if isinstance(node, Mapping) and class_of(HOOKS, node) is FeatureMetricsHook),
        dict(type=FeatureMetricsHook))
    return HOOKS.build(node if num_real is None else dict(node, num_real=num_real))


def proxy_with_weights(cfg: Config, hook: FeatureMetricsHook, folder: str) -> Any:
    """Config of the job's proxy with its checkpoint; None where the hook needs no proxy.

    Raises:
        ValueError: If it is needed and there is none, or its weights are missing.
    """
    proxy = cfg.model.get('proxy')
    if hook.extractor is not None:
        return None
    if proxy is None:
        raise ValueError('neighbours need features: the config has neither model.proxy nor a '
                         'FeatureMetricsHook with an extractor; give it one of them')
    path = weights_path(proxy, osp.dirname(osp.abspath(folder)), 'proxy')
    if path is not None and not osp.isfile(path):
        raise ValueError(f'{path}: the weights of model.proxy are missing, by whose features '
                         f'neighbours are found; put them there, or set model.proxy.checkpoint')
    return proxy if path is None else dict(proxy, checkpoint=path)


def job_size(cfg: Config, content: ExportContent) -> Tuple[int, int]:
    """(height, width) of the images of a job: of its metrics, its config, its first image."""
    size = ((content.manifest.get('metrics') or {}).get('size') or cfg.model.get('image_size')
            or cfg.model.get('feature_size')
            or image_size(content.path(content.images[0].file)))
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def short_names(paths: List[str]) -> List[str]:
    """Paths relative to the folder that all have in common, without suffix."""
    root = osp.commonpath([osp.dirname(osp.abspath(path)) for path in paths])
    return [osp.splitext(osp.relpath(path, root))[0] for path in paths]
