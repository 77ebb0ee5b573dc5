"""A map of real and distilled images by what a proxy sees in them."""
import hashlib
import importlib.util
import json
import os.path as osp
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.registry import DATASETS

from mmdd.datasets.annotations import load_image
from mmdd.datasets.set_facts import read_set_manifest
from mmdd.models.coresets.feature_pass import extract
from mmdd.registry import MODELS
from mmdd.utils.compat import setup
from mmdd.utils.state import read_arrays, write_arrays
from ..results import GroupResult

REAL = 'real'
MAX_METHODS = 6


def check_embedding(method: Optional[str]) -> None:
    """Check that a method is known and installed; ValueError if not."""
    if method not in (None, 'tsne', 'umap'):
        raise ValueError(f'--embedding {method}: choose tsne, umap or none')
    if method == 'umap' and importlib.util.find_spec('umap') is None:
        raise ValueError('--embedding umap: the package umap-learn is not installed; install it '
                         'or choose tsne')


def embed_group(group: GroupResult, work_dir: str, method: str = 'tsne',
                num_real: int = 1000, num_each: int = 300) -> Optional[Dict[str, np.ndarray]]:
    """Place the real set and the first sets of the methods in one plane: (N, 2) by name.

    Steps of an ablation are left out, and all but the last six methods. Features are those of the
    first proxy among the methods; None without one, or without sets. At most ``num_real`` real
    images, spread over the set, and ``num_each`` of a method are shown. The result is kept in
    ``<work_dir>/embeddings``.
    """
    judge = next((one for one in group.methods
                  if one.proxy_config and osp.isfile(one.checkpoint or '')), None)
    shown = [one for one in group.methods if one.sets and one.sets[0].facts
             and one.name not in group.ablation[:-1]][-MAX_METHODS:]
    if judge is None or not shown:
        return None
    jobs = [[one.name, facts['job']] for one in shown if (facts := one.sets[0].facts)]
    key = hashlib.sha256(json.dumps([method, num_real, num_each, jobs, judge.name]).encode())
    path = osp.join(work_dir, 'embeddings', f'{key.hexdigest()[:16]}.npz')
    found = read_arrays(path, ('names', ))
    if found is None:
        setup()
        assert judge.dataset is not None and judge.proxy_config is not None
        paths = {REAL: real_paths(judge.dataset, num_real)}
        for one in shown:
            folder = one.sets[0].folder
            images = evenly_chosen(read_set_manifest(folder)['images'], num_each)
            paths[one.name] = [osp.join(folder, entry['files'][0]) for entry in images]
        proxy = MODELS.build(dict(judge.proxy_config, checkpoint=judge.checkpoint))
        features = {name: image_features(proxy, files, judge.image_size)
                    for name, files in paths.items()}
        points = embed(features, method)
        found = dict(names=np.array(list(points)),
                     **{f'points{i}': xy for i, xy in enumerate(points.values())})
        write_arrays(path, **found)
    return {str(name): found[f'points{i}'] for i, name in enumerate(found['names'])}


def evenly_chosen(items: Sequence[Any], num: int) -> List[Any]:
    """At most ``num`` items at even distances."""
    if len(items) <= num:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, num).round().astype(int)]


def real_paths(dataset: Mapping[str, Any], num: int) -> List[str]:
    """Image files of a mm* dataset, at most ``num``, at even distances."""
    built = DATASETS.build(dict(dataset))
    built.full_init()
    return [built.get_data_info(int(i))['img_path']
            for i in evenly_chosen(range(len(built)), num)]


@torch.no_grad()
def image_features(proxy: Any, paths: Sequence[str], image_size: Any,
                   batch_size: int = 32) -> np.ndarray:
    """Features (N, D) fp32 of image files by a proxy, stretched to (height, width) or squares."""
    proxy = proxy.to(get_device())
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    return np.concatenate([
        extract(proxy, [load_image(path, size) for path in paths[i:i + batch_size]])
        for i in range(0, len(paths), batch_size)])


def embed(features: Mapping[str, np.ndarray], method: str = 'tsne') -> Dict[str, np.ndarray]:
    """Map features (N, D) of several sets together into one plane, (N, 2) fp32 by name.

    The method is 'tsne' (scikit-learn) or 'umap'. The same features give the same map.
    """
    check_embedding(method)
    together = np.concatenate(list(features.values())).astype(np.float32)
    spread = together.std(0)
    together = (together - together.mean(0)) / np.where(spread > 0, spread, 1.)
    if method == 'umap':
        import umap
        flat = umap.UMAP(n_components=2, random_state=0).fit_transform(together)
    elif len(together) < 4:
        flat = np.pad(together, ((0, 0), (0, 2)))[:, :2]
    else:
        from sklearn.manifold import TSNE
        perplexity = min(30., (len(together) - 1) / 3)
        flat = TSNE(2, perplexity=perplexity, init='random' if together.shape[1] < 2 else 'pca',
                    random_state=0).fit_transform(together)
    ends = np.cumsum([len(values) for values in features.values()])[:-1]
    return dict(zip(features, np.split(flat.astype(np.float32), ends)))
