"""A map of real and distilled images by what a proxy sees in them."""
import hashlib
import json
import os.path as osp
from typing import Any, Dict, List, Mapping, Optional

import numpy as np
from mmengine.registry import DATASETS

from mmdd.datasets.set_facts import read_set_manifest
from mmdd.models.proxies.feature_pass import image_features
from mmdd.registry import MODELS
from mmdd.utils.compat import setup
from mmdd.utils.evenly import evenly_chosen
from mmdd.utils.feature_plane import embed
from mmdd.utils.state import read_arrays, write_arrays
from ..results import GroupResult

REAL = 'real'
MAX_METHODS = 6


def embed_group(group: GroupResult, work_dir: str, method: str = 'tsne',
                num_real: int = 1000, num_each: int = 300) -> Optional[Dict[str, np.ndarray]]:
    """Place the real set and the first sets of the methods in one plane: (N, 2) by name.

    Steps of an ablation are left out, and all but the last six methods. Features are those of the
    first proxy among the methods; None without one, or without sets. At most ``num_real`` real
    images, spread over the set, and ``num_each`` of a method are shown. ``method`` is that of
    :func:`embed`. The result is kept in ``<work_dir>/embeddings``.
    """
    first = next((one for one in group.methods
                  if one.proxy_config and osp.isfile(one.checkpoint or '')), None)
    shown = [one for one in group.methods if one.sets and one.sets[0].facts
             and one.name not in group.ablation[:-1]][-MAX_METHODS:]
    if first is None or not shown:
        return None
    jobs = [[one.name, facts['job']] for one in shown if (facts := one.sets[0].facts)]
    key = hashlib.sha256(json.dumps([method, num_real, num_each, jobs, first.name]).encode())
    path = osp.join(work_dir, 'embeddings', f'{key.hexdigest()[:16]}.npz')
    found = read_arrays(path, ('names', ))
    if found is None:
        setup()
        assert first.dataset is not None and first.proxy_config is not None
        paths = {REAL: real_paths(first.dataset, num_real)}
        for one in shown:
            folder = one.sets[0].folder
            images = evenly_chosen(read_set_manifest(folder)['images'], num_each)
            paths[one.name] = [osp.join(folder, entry['files'][0]) for entry in images]
        proxy = MODELS.build(dict(first.proxy_config, checkpoint=first.checkpoint))
        features = {name: image_features(proxy, files, first.image_size)
                    for name, files in paths.items()}
        points = embed(features, method)
        found = dict(names=np.array(list(points)),
                     **{f'points{i}': xy for i, xy in enumerate(points.values())})
        write_arrays(path, **found)
    return {str(name): found[f'points{i}'] for i, name in enumerate(found['names'])}


def real_paths(dataset: Mapping[str, Any], num: int) -> List[str]:
    """Image files of a mm* dataset, at most ``num``, at even distances."""
    built = DATASETS.build(dict(dataset))
    built.full_init()
    return [built.get_data_info(int(i))['img_path']
            for i in evenly_chosen(range(len(built)), num)]
