"""A distilled set as a page to look at, which needs nothing from outside its folder."""
import os.path as osp
from typing import Any, Dict, List, Sequence

import cv2
import numpy as np

from mmdd.structures import IGNORE, reduce_zero_label
from mmdd.structures.mask import BACKGROUND
from mmdd.utils.io import atomic_copy, atomic_write_text
from mmdd.utils.picture import class_colour
from mmdd.utils.progress import Progress
from ..formats.base import image_size
from ..gallery import read_mask
from ..manifest import is_reduced
from .content import CLASSIFICATION, DETECTION, ExportContent, ExportImage
from .neighbours import Neighbours, write_neighbours

TEMPLATES = osp.join(osp.dirname(osp.abspath(__file__)), 'templates')
# Pixels that an outline may leave out, at most.
SMOOTH = 0.7


def write_viewer(content: ExportContent, out: str, neighbours: Neighbours) -> None:
    """Write ``index.html`` and the images below ``images``.

    Args:
        content: The set.
        out: Empty folder to write to.
        neighbours: Real images to be shown below those of the set; may be empty.
    """
    progress, views = Progress('export', len(content.images)), []
    near = write_neighbours(neighbours, out)
    for image, record in zip(content.images, content.records()):
        atomic_copy(content.path(image.file), osp.join(out, 'images', image.file))
        views.append(dict(view(content, image, record), near=near.get(image.file, [])))
        progress.add()
    atomic_write_text(osp.join(out, 'index.html'), render(content, views))


def view(content: ExportContent, image: ExportImage, record: Dict[str, Any]) -> Dict[str, Any]:
    """What the page shows of an image; numbers too large for JavaScript are text.

    Returns:
        dict: The record with ``file``, ``size`` (height, width), ``classes`` (the indices that
        occur), ``boxes`` (x, y, width, height, class index) and ``outlines`` (class index,
        SVG path).
    """
    boxes: List[List[float]] = []
    outlines: List[List[Any]] = []
    if content.task == CLASSIFICATION:
        assert image.label is not None
        classes = [image.label]
    elif content.task == DETECTION:
        boxes = [[*box, category] for box, category in zip(image.xywh(), image.categories)]
        classes = sorted(set(image.categories))
    else:
        mask = read_mask(content.path(image.mask))
        outlines = mask_outlines(reduce_zero_label(mask) if is_reduced(content.manifest) else mask,
                                 content.classes)
        classes = [index for index, _ in outlines]
    told = {key: record.get(key) for key in ('slot', 'prompt', 'score', 'accepted',
                                             'label_source', 'sources')}
    return dict(told, seed=str(record['seed']), file=image.file, classes=classes, boxes=boxes,
                outlines=outlines, size=list(image_size(content.path(image.file))))


def mask_outlines(mask: np.ndarray, classes: Sequence[str]) -> List[List[Any]]:
    """The outlines of the classes of a mask, background and ignored pixels left out.

    Args:
        mask: (H, W) uint8 class indices.
        classes: Class names by index.

    Returns:
        list: Class index and SVG path of each class that occurs.
    """
    outlines = []
    for index in np.unique(mask).tolist():
        if index == IGNORE or index >= len(classes) or classes[index] == BACKGROUND:
            continue
        # Padded, so that a region at the border is outlined at its own edge.
        inside = np.pad((mask == index).astype(np.uint8), 1)
        contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        path = ''.join(_path(cv2.approxPolyDP(contour, SMOOTH, True)) for contour in contours)
        outlines.append([index, path])
    return outlines


def _path(contour: np.ndarray) -> str:
    """A closed SVG path through the middles of pixels."""
    points = contour.reshape(-1, 2) - 0.5
    return f'M{"L".join(f"{x:g} {y:g}" for x, y in points.tolist())}Z'


def render(content: ExportContent, views: Sequence[Dict[str, Any]]) -> str:
    """The page as text; everything that comes from the set is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True,
                              undefined=StrictUndefined)
    css, js = (Markup(_template(name)) for name in ('viewer.css', 'viewer.js'))
    colours = [f'#{bytes(class_colour(i)).hex()}' for i in range(len(content.classes))]
    manifest = content.manifest
    name = f'{manifest.get("method", "set")}, {manifest.get("budget", "")}'.rstrip(', ')
    return environment.get_template('viewer.html').render(
        name=name, count=len(views), classes=content.classes, css=css, js=js,
        near=any(one['near'] for one in views),
        data=dict(images=list(views), classes=content.classes, colours=colours))


def _template(name: str) -> str:
    with open(osp.join(TEMPLATES, name), encoding='utf-8') as f:
        return f.read()
