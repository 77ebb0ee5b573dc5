"""Checks of a real set before any work is spent on it."""
import os
import os.path as osp
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import repeat
from typing import Any, Iterable, List, Mapping, Sequence, Tuple

import numpy as np
from mmengine.fileio import list_from_file
from mmengine.registry import DATASETS as ROOT_DATASETS
from PIL import Image, UnidentifiedImageError

from .annotations import check_boxes

EMPTY = ('the real set, or a part of it, is empty: check data_root, ann_file, data_prefix and '
         'filter_cfg of train_dataloader.dataset')


def open_real_set(cfg: Mapping[str, Any]):
    """Build a mm* dataset and check it.

    VOC annotations are checked before the dataset class reads them: it leaves
    out what it does not know and names no file where it stops.

    Args:
        cfg: Config of the dataset, ``train_dataloader.dataset``.

    Returns:
        The dataset, fully read.

    Raises:
        ValueError: With the first problem; the message names file and mend.
    """
    dataset = ROOT_DATASETS.build(_lazy(cfg))
    _raise_first(problem for part in _parts(dataset) for problem in _list_problems(part))
    try:
        dataset.full_init()
    except (OSError, KeyError, TypeError, AttributeError, ValueError, AssertionError) as e:
        if 'need at least one array to concatenate' in str(e):  # mmengine, of no image at all
            raise ValueError(EMPTY) from None
        reason = ' '.join(f'{type(e).__name__}: {e}'.split())
        raise ValueError(f'the real set cannot be read ({reason[:200]}); check '
                         f'train_dataloader.dataset and its annotations') from e
    check_real_set(dataset)
    return dataset


def check_real_set(dataset) -> None:
    """Check classes, annotations and images of a built mm* dataset.

    What was found sound is not opened again as long as its file is unchanged.

    Raises:
        ValueError: With the first problem: an empty set, a class that the
            dataset does not know, a box outside its image, an unreadable
            annotation or image.
    """
    if len(dataset) == 0:
        raise ValueError(EMPTY)
    for part in _parts(dataset):
        classes = tuple(part.metainfo.get('classes') or ())
        infos = [part.get_data_info(i) for i in range(len(part))]
        with ThreadPoolExecutor(8) as pool:
            _raise_first(pool.map(_problem, infos, repeat(classes)))


def _raise_first(problems: Iterable[str]) -> None:
    for problem in problems:
        if problem:
            raise ValueError(problem)


def _lazy(cfg: Mapping[str, Any]) -> dict:
    """The config with reading put off, in wrappers and in what they wrap."""
    lazy = dict(cfg, lazy_init=True)
    if 'dataset' in lazy:
        lazy['dataset'] = _lazy(lazy['dataset'])
    if 'datasets' in lazy:
        lazy['datasets'] = [_lazy(part) for part in lazy['datasets']]
    return lazy


def _parts(dataset) -> List:
    """The plain datasets inside of a ConcatDataset or another wrapper."""
    if hasattr(dataset, 'datasets'):
        return [part for inner in dataset.datasets for part in _parts(inner)]
    if hasattr(dataset, 'dataset'):
        return _parts(dataset.dataset)
    return [dataset]


def _list_problems(part) -> Iterable[str]:
    """Problems of the image list and the XML files of a dataset that reads some."""
    if part.ann_file and not osp.exists(part.ann_file):
        yield (f'{part.ann_file}: the list of the real images is missing; check data_root and '
               f'ann_file of train_dataloader.dataset')
        return
    if hasattr(part, 'ann_subdir'):
        folder = osp.join(part.sub_data_root, part.ann_subdir)
        classes = tuple(part.metainfo.get('classes') or ())
        for name in list_from_file(part.ann_file):
            yield _xml_problem(osp.join(folder, f'{name}.xml'), classes)


def _problem(info: dict, classes: Tuple[str, ...]) -> str:
    boxes = [instance['bbox'] for instance in info.get('instances', [])
             if 'bbox' in instance and not instance.get('ignore_flag')]
    size = (info['height'], info['width']) if 'height' in info else None
    if boxes and size:
        try:
            check_boxes(np.array(boxes), size, info.get('xml_path') or info['img_path'])
        except ValueError as e:
            return str(e)
    xml = info.get('xml_path')
    return (_xml_problem(xml, classes) if xml else '') or _image_problem(info['img_path'], size)


def _xml_problem(path: str, classes: Tuple[str, ...]) -> str:
    if not osp.isfile(path):
        return f'{path}: the annotation is missing; restore it or take it out of the image list'
    return _read_xml_problem(path, os.stat(path).st_mtime_ns, classes)


@cache
def _read_xml_problem(path: str, changed: int, classes: Sequence[str]) -> str:
    try:
        objects = ET.parse(path).getroot().findall('object')
    except (ET.ParseError, OSError) as e:
        return f'{path}: cannot be read as a VOC annotation ({e}); correct or remove it'
    for obj in objects:
        name = obj.findtext('name')
        if name not in classes:
            return (f'{path}: class {name!r} is unknown to the dataset ({len(classes)} classes: '
                    f'{", ".join(map(str, classes))[:120]}); correct metainfo.classes or the '
                    f'annotation')
        try:
            [float(obj.findtext(f'bndbox/{tag}')) for tag in ('xmin', 'ymin', 'xmax', 'ymax')]
        except (TypeError, ValueError):
            return (f'{path}: an object {name!r} has no bndbox with four numbers; correct the '
                    f'annotation')
    return ''


def _image_problem(path: str, size) -> str:
    if not osp.isfile(path):
        return f'{path}: the image is missing; restore it or take it out of the image list'
    return _read_image_problem(path, os.stat(path).st_mtime_ns, size)


@cache
def _read_image_problem(path: str, changed: int, size) -> str:
    try:
        with Image.open(path) as image:
            width, height = image.size
            # JPEGs are decoded at an eighth of their size: enough to notice damage.
            image.draft('RGB', (width // 8, height // 8))
            image.load()
    except (UnidentifiedImageError, OSError, SyntaxError) as e:
        return f'{path}: cannot be read as an image ({e}); replace or remove it'
    if size and size != (height, width):
        return (f'{path}: the image is {width}x{height}, its annotation says '
                f'{size[1]}x{size[0]}; correct the annotation')
    return ''
