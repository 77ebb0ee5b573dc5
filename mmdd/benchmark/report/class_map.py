"""A map of the classes of several sets by what a network sees, a panel for each set."""
import os.path as osp
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from matplotlib.figure import Figure

from mmdd.datasets.checks import open_real_set
from mmdd.datasets.class_names import spoken_names
from mmdd.utils.config import suggestion
from ..set_facts import read_set_manifest
from .embedding import REAL, embed, evenly_chosen, image_features
from .plots import COLOURS, MARKERS, legend_below, themed

# Image files by class.
Files = Dict[str, List[str]]
# Coordinates (N, 2) by class.
Points = Dict[str, np.ndarray]


def set_files(folder: str) -> Files:
    """Image files of a distilled set by class, under the name that a class is called by."""
    content = read_set_manifest(folder)
    said = dict(zip(content['classes'], first_names(content['classes'])))
    found: Files = {name: [] for name in said.values()}
    for entry in content['images']:
        for name in set(entry['classes']):
            found[said[name]].append(osp.join(folder, entry['files'][0]))
    return found


def real_files(dataset: Mapping[str, Any]) -> Files:
    """The same of a mm* dataset of classification."""
    built = open_real_set(dataset)
    names = first_names(built.metainfo['classes'])
    found: Files = {name: [] for name in names}
    for i in range(len(built)):
        info = built.get_data_info(i)
        found[names[int(info['gt_label'])]].append(info['img_path'])
    return found


def first_names(classes: Sequence[str]) -> List[str]:
    """The first synonym of each class, with spaces."""
    return [name.split(',')[0].replace('_', ' ').strip() for name in spoken_names(classes)]


def class_points(network: Any, sets: Mapping[str, Files], image_size: int,
                 classes: Optional[Sequence[str]] = None, num: int = 100,
                 method: str = 'tsne') -> Dict[str, Points]:
    """Place the images of sets together in one plane.

    Args:
        network: Gives ``features(images) -> (B, D)``.
        sets: Image files by class, by name of the set.
        image_size: Side to which images are brought.
        classes: Those that are shown; all of the first set if None.
        num: Images of a class at most, spread over it.
        method: 'tsne' or 'umap'.

    Returns:
        dict: (N, 2) coordinates by set and class.

    Raises:
        ValueError: If a set lacks a class.
    """
    shown = list(classes or next(iter(sets.values())))
    chosen: Dict[Tuple[str, str], List[str]] = {}
    for name, files in sets.items():
        for label in shown:
            if not files.get(label):
                raise ValueError(f'{name} has no images of the class {label!r}'
                                 f'{suggestion(label, list(files))}')
            chosen[name, label] = evenly_chosen(files[label], num)
    paths = [path for own in chosen.values() for path in own]
    ends = np.cumsum([len(own) for own in chosen.values()])[:-1]
    flat = embed({REAL: image_features(network, paths, image_size)}, method)[REAL]
    found: Dict[str, Points] = {name: {} for name in sets}
    for (name, label), points in zip(chosen, np.split(flat, ends)):
        found[name][label] = points
    return found


def class_map(found: Mapping[str, Points], theme: str = 'light') -> Figure:
    """Panels of one map: a panel for each set, a colour and a marker for each class."""
    with themed(theme):
        figure = Figure(figsize=(3.2 * len(found), 3.8), layout='constrained')
        panels = figure.subplots(1, len(found), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (name, points) in zip(panels, found.items()):
            for i, (label, xy) in enumerate(points.items()):
                axes.scatter(xy[:, 0], xy[:, 1], s=14, color=COLOURS[i % len(COLOURS)],
                             marker=MARKERS[i // len(COLOURS) % len(MARKERS)], alpha=0.8,
                             linewidths=0, label=label)
            axes.set_title(name)
            axes.set_axis_off()
        legend_below(figure, panels[0])
        return figure
