"""Pascal VOC files: annotation XML, image-set lists, the mask palette."""
import math
import os
import os.path as osp
import xml.etree.ElementTree as ET
from functools import cache
from typing import Iterable, List, Optional, Sequence, Tuple

import numpy as np

from mmdd.utils.io import atomic_write_text
from ..file_checks import missing_file


def voc_palette() -> np.ndarray:
    """The Pascal VOC colour map, (256, 3) uint8, index 255 is the void colour."""
    palette = np.zeros((256, 3), np.uint8)
    for index in range(256):
        value = index
        for bit in range(7, -1, -1):
            for channel in range(3):
                palette[index, channel] |= ((value >> channel) & 1) << bit
            value >>= 3
    return palette


def write_voc_xml(path: str,
                  filename: str,
                  shape: Sequence[int],
                  bboxes: np.ndarray,
                  names: Sequence[str],
                  segmented: bool = False,
                  objects: Optional[Sequence[ET.Element]] = None) -> None:
    """Write one annotation in Pascal VOC's format, atomically.

    VOC counts pixels from 1 and mmdet's reader subtracts 1 from all four
    numbers; this writer adds 1 to all four, so that what mmdet reads is what
    was given, rounded to whole pixels.

    Args:
        path: File to write.
        filename: Name of the image file inside JPEGImages.
        shape: (H, W) or (H, W, channels) of the image; three channels if they are left out.
        bboxes: (M, 4) xyxy, 0-based pixel indices, the last one inclusive.
        names: M class names.
        segmented: Whether a segmentation mask belongs to the image.
        objects: ``object`` elements to write as they are, in place of those of ``bboxes``.

    Raises:
        ValueError: If a box is empty after rounding or exceeds the image.
    """
    height, width = shape[:2]
    root = ET.Element('annotation')
    ET.SubElement(root, 'folder').text = 'VOC2007'
    ET.SubElement(root, 'filename').text = filename
    ET.SubElement(ET.SubElement(root, 'source'), 'database').text = 'mmdd'
    size = ET.SubElement(root, 'size')
    depth = shape[2] if len(shape) > 2 else 3
    for tag, value in (('width', width), ('height', height), ('depth', depth)):
        ET.SubElement(size, tag).text = str(value)
    ET.SubElement(root, 'segmented').text = str(int(segmented))
    if objects is None:
        objects = _box_objects(filename, (height, width), bboxes, names)
    root.extend(objects)
    ET.indent(root)
    atomic_write_text(path, ET.tostring(root, encoding='unicode') + '\n')


def _box_objects(filename: str, size: Tuple[int, int], bboxes: np.ndarray,
                 names: Sequence[str]) -> List[ET.Element]:
    """The ``object`` elements of boxes."""
    (height, width), objects = size, []
    for box, name in zip(np.asarray(bboxes).reshape(-1, 4), names):
        x1, y1, x2, y2 = (int(round(float(v))) for v in box)
        if x1 < 0 or y1 < 0 or x2 >= width or y2 >= height or x2 <= x1 or y2 <= y1:
            raise ValueError(
                f'{filename}: box {[x1, y1, x2, y2]} of class {name!r} is empty '
                f'or outside the {width}x{height} image')
        obj = ET.Element('object')
        for tag, text in (('name', name), ('pose', 'Unspecified'),
                          ('truncated', '0'), ('difficult', '0')):
            ET.SubElement(obj, tag).text = text
        bndbox = ET.SubElement(obj, 'bndbox')
        for tag, value in (('xmin', x1 + 1), ('ymin', y1 + 1),
                           ('xmax', x2 + 1), ('ymax', y2 + 1)):
            ET.SubElement(bndbox, tag).text = str(value)
        objects.append(obj)
    return objects


def read_object(text: str) -> ET.Element:
    """An ``object`` element from its XML, without the white space between elements."""
    node = ET.fromstring(text)
    for element in node.iter():
        element.tail = None
        if len(element):
            element.text = None
    return node


def read_voc_xml(path: str) -> Tuple[np.ndarray, List[str]]:
    """Read boxes and class names of an annotation, counted as mmdet counts.

    Args:
        path: XML file.

    Returns:
        tuple: (M, 4) float32 xyxy, 0-based, and M names.

    Raises:
        ValueError: If the file is missing or no VOC annotation.
    """
    tags = ('xmin', 'ymin', 'xmax', 'ymax')
    try:
        objects = ET.parse(path).getroot().findall('object')
        bboxes = [[float(obj.findtext(f'bndbox/{tag}', '')) - 1 for tag in tags]
                  for obj in objects]
    except (ET.ParseError, OSError, TypeError, ValueError) as e:
        raise ValueError(f'{path}: cannot be read as a VOC annotation ({e}); correct or remove '
                         f'it') from None
    return (np.array(bboxes, np.float32).reshape(-1, 4),
            [obj.findtext('name') or '?' for obj in objects])


def read_difficult(path: str) -> List[bool]:
    """Which objects of a sound annotation are marked difficult; mmdet's training ignores them."""
    return [(obj.findtext('difficult') or '0').strip() == '1'
            for obj in ET.parse(path).getroot().findall('object')]


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
        return all(math.isfinite(float(obj.findtext(f'bndbox/{tag}', '')))
                   for tag in ('xmin', 'ymin', 'xmax', 'ymax'))
    except (TypeError, ValueError):
        return False


def write_image_set(path: str, names: Iterable[str]) -> None:
    """Write an ImageSets list: one image name a line."""
    atomic_write_text(path, ''.join(f'{name}\n' for name in names))
