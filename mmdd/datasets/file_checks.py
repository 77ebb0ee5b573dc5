"""Checks of single files of a real set: images, masks, VOC annotations.

Each gives the problem as one line, '' where there is none. What was found sound
is not opened again as long as the file is unchanged.
"""
import math
import os
import os.path as osp
import xml.etree.ElementTree as ET
from functools import cache
from typing import List, Optional, Tuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmdd.structures import check_mask
from mmdd.utils.photograph import is_sideways, upright_size

UNREADABLE = (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError,
              ValueError)


def xml_problem(path: str, classes: Tuple[str, ...]) -> str:
    """The problem of a VOC annotation: missing, unreadable, an object without a box.

    Objects of other classes are no problem: mmdet passes over them.
    """
    if not osp.isfile(path):
        return missing_file(path, 'annotation')
    problem, names = _read_xml(path, os.stat(path).st_mtime_ns)
    boxless = [name for name, has_box in names if name in classes and not has_box]
    if not problem and boxless:
        problem = (f'{path}: an object {boxless[0]!r} has no bndbox with four numbers; correct '
                   f'the annotation')
    return problem


def xml_names(path: str) -> List[str]:
    """Class names of the objects of a sound VOC annotation."""
    return [name for name, _ in _read_xml(path, os.stat(path).st_mtime_ns)[1]]


@cache
def _read_xml(path: str, changed: int) -> Tuple[str, Tuple[Tuple[str, bool], ...]]:
    """The problem of a file, and of each object the name and whether it has a box."""
    try:
        root = ET.parse(path).getroot()
    except (ET.ParseError, OSError, ValueError, LookupError) as e:
        return f'{path}: cannot be read as a VOC annotation ({e}); correct or remove it', ()
    for tag in ('width', 'height') if root.find('size') is not None else ():
        text = root.findtext(f'size/{tag}')
        if not (text or '').strip().isdecimal():
            return f'{path}: size/{tag} must be a number of pixels, got {text!r}; correct it', ()
    return '', tuple((str(obj.findtext('name')), _has_box(obj))
                     for obj in root.findall('object'))


def _has_box(obj: ET.Element) -> bool:
    try:
        return all(math.isfinite(float(obj.findtext(f'bndbox/{tag}')))
                   for tag in ('xmin', 'ymin', 'xmax', 'ymax'))
    except (TypeError, ValueError):
        return False


def missing_file(path: str, kind: str) -> str:
    """The problem of a file that is not there: an 'image', 'mask' or 'annotation'."""
    if osp.islink(path):
        return (f'{path}: the {kind} is missing, the link goes to {os.readlink(path)}; restore '
                f'that, or take it out of the image list')
    return f'{path}: the {kind} is missing; restore it or take it out of the image list'


def image_problem(path: str, size: Optional[Tuple[int, int]]) -> str:
    """The problem of an image: missing, unreadable, of another (height, width)."""
    if not osp.isfile(path):
        return missing_file(path, 'image')
    return _read_image_problem(path, os.stat(path).st_mtime_ns, size)


@cache
def _read_image_problem(path: str, changed: int, size: Optional[Tuple[int, int]]) -> str:
    try:
        with Image.open(path) as image:
            sideways, (height, width) = is_sideways(image), upright_size(image)
            # JPEGs are decoded at an eighth of their size: enough to notice damage.
            image.draft('RGB', (image.width // 8, image.height // 8))
            image.load()
    except UNREADABLE as e:
        return f'{path}: cannot be read as an image ({e}); replace or remove it'
    if size and size != (height, width):
        turned = ' once it is turned as its EXIF says, as mmcv does' if sideways else ''
        return (f'{path}: the image is {width}x{height}{turned}, its annotation says '
                f'{size[1]}x{size[0]}; correct the annotation')
    return ''


def mask_problem(path: str, image: str, num_classes: int, reduce_zero_label: bool,
                 label_map: Optional[dict]) -> str:
    """The problem of a mask: missing, unreadable, coloured, of another size, unknown ids.

    Args:
        path: The mask.
        image: Its image, which is there.
        num_classes: Number of classes.
        reduce_zero_label: Whether 0 is to be ignored and the others count from 1.
        label_map: New class index by the index in the file; None where they agree.
    """
    if not osp.isfile(path):
        return missing_file(path, 'mask')
    changed = tuple(os.stat(file).st_mtime_ns for file in (path, image))
    mapping = None if label_map is None else tuple(sorted(label_map.items()))
    return _read_mask_problem(path, image, changed, num_classes, reduce_zero_label, mapping)


@cache
def _read_mask_problem(path: str, image: str, changed: Tuple[int, int], num_classes: int,
                       reduce_zero_label: bool, label_map: Optional[tuple]) -> str:
    try:
        with Image.open(path) as picture:
            if picture.mode not in ('P', 'L', '1'):
                return (f'{path}: the mask has mode {picture.mode}, not one channel of 8 bits; '
                        f'save it with class ids as pixel values, as PNG with or without a '
                        f'palette')
            mask = np.asarray(picture).astype(np.uint8)
    except UNREADABLE as e:
        return f'{path}: cannot be read as a mask ({e}); replace or remove it'
    with Image.open(image) as picture:
        height, width = upright_size(picture)
    if mask.shape != (height, width):
        return (f'{path}: the mask is {mask.shape[1]}x{mask.shape[0]}, its image '
                f'{width}x{height}; make the mask anew from the image')
    ids = np.arange(256)
    if reduce_zero_label:
        ids = np.concatenate([[255], ids[:254], [255]])
    mapping = dict(label_map or ())
    ids = np.array([mapping.get(i, i) for i in ids.tolist()])
    try:
        # the ids that occur, as the dataset will number them
        check_mask(ids[np.bincount(mask.ravel(), minlength=256) > 0], num_classes, path)
    except ValueError as e:
        return str(e)
    return ''
