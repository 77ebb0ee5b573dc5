"""Checks of a real set before any work is spent on it."""
import os.path as osp
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from typing import List, Sequence

from PIL import Image, UnidentifiedImageError


def check_real_set(dataset) -> None:
    """Check classes, annotations and images of a built mm* dataset.

    Raises:
        ValueError: With the first problem: an empty set, a class that the
            dataset does not know, an unreadable annotation or image.
    """
    if len(dataset) == 0:
        raise ValueError(
            'the real set is empty: check data_root, ann_file and data_prefix of '
            'train_dataloader.dataset')
    for part in _parts(dataset):
        classes = part.metainfo.get('classes') or ()
        infos = [part.get_data_info(i) for i in range(len(part))]
        with ThreadPoolExecutor(8) as pool:
            problems = pool.map(lambda info: _problem(info, classes), infos)
            for problem in problems:
                if problem:
                    raise ValueError(problem)


def _parts(dataset) -> List:
    """The plain datasets inside of a ConcatDataset or another wrapper."""
    if hasattr(dataset, 'datasets'):
        return [part for inner in dataset.datasets for part in _parts(inner)]
    if not hasattr(dataset, 'get_data_info') and hasattr(dataset, 'dataset'):
        return _parts(dataset.dataset)
    return [dataset]


def _problem(info: dict, classes: Sequence[str]) -> str:
    return _xml_problem(info.get('xml_path'), classes) or _image_problem(info['img_path'])


def _xml_problem(path, classes: Sequence[str]) -> str:
    if path is None:
        return ''
    try:
        names = [obj.findtext('name') for obj in ET.parse(path).getroot().findall('object')]
    except (ET.ParseError, OSError) as e:
        return f'{path}: cannot be read as a VOC annotation ({e}); correct or remove it'
    for name in names:
        if name not in classes:
            return (f'{path}: class {name!r} is unknown to the dataset ({len(classes)} classes: '
                    f'{", ".join(map(str, classes))[:120]}); correct metainfo.classes or the '
                    f'annotation')
    return ''


def _image_problem(path: str) -> str:
    if not osp.isfile(path):
        return f'{path}: the image is missing; restore it or take it out of the image list'
    try:
        with Image.open(path) as image:
            # JPEGs are decoded at an eighth of their size: enough to notice damage.
            image.draft('RGB', (image.width // 8, image.height // 8))
            image.load()
    except (UnidentifiedImageError, OSError, SyntaxError) as e:
        return f'{path}: cannot be read as an image ({e}); replace or remove it'
    return ''
