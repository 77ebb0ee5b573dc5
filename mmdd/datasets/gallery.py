"""Pictures of any set on disk: distilled, real VOC, class folders."""
import glob
import json
import os
import os.path as osp
from typing import Any, Dict, List, Tuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmdd.utils.picture import Tile
from .manifest import MANIFEST
from .voc import read_voc_xml

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')


def read_gallery(folder: str, num: int) -> Tuple[List[Tile], List[str]]:
    """Tiles of images that are spread evenly over a set, and its class names.

    A distilled set's captions hold score and fate from its manifest, those of
    class folders the class.

    Args:
        folder: A distilled set or its work dir, a VOC folder (``VOCdevkit``,
            ``VOC2007`` or their parent), or a folder of class folders.
        num: How many images at most.

    Raises:
        ValueError: If the folder holds no images or a file is damaged.
    """
    if not osp.isdir(folder):
        raise ValueError(f'{folder} is no folder; give a distilled set, a VOC folder or class '
                         f'folders')
    if num < 1:
        raise ValueError(f'{num} images make no sheet; give --num 1 or more')
    entries = read_manifest(folder)
    images = sorted(entries) or find_images(folder)
    if not images:
        raise ValueError(f'{folder} holds no images in JPEGImages or class folders, and no '
                         f'{MANIFEST}; give a distilled set, a VOC folder or class folders')
    chosen = [images[i] for i in
              np.linspace(0, len(images) - 1, min(num, len(images))).round().astype(int)]
    boxes = [read_annotation(path) for path in chosen]
    classes = sorted({name for _, names in boxes for name in names})
    tiles = []
    for path, (bboxes, names) in zip(chosen, boxes):
        tiles.append(Tile(read_image(path), bboxes, [classes.index(name) for name in names],
                          caption=caption(path, entries.get(path))))
    return tiles, classes


def read_manifest(folder: str) -> Dict[str, Dict[str, Any]]:
    """Entries of a distilled set by the path of their image; empty without a manifest."""
    for root in (folder, osp.join(folder, 'distilled')):
        path = osp.join(root, MANIFEST)
        if osp.isfile(path):
            try:
                with open(path, encoding='utf-8') as f:
                    return {osp.join(root, entry['files'][0]): entry
                            for entry in json.load(f)['images']}
            except (ValueError, KeyError, TypeError, IndexError) as e:
                raise ValueError(f'{path} is damaged ({type(e).__name__}: {e})') from None
    return {}


def find_images(folder: str) -> List[str]:
    """Images of a VOC folder, else those of class folders, sorted by path."""
    base = glob.escape(folder)
    for depth in ('', '*', '*/*'):
        found = with_image_suffix(glob.glob(osp.join(base, depth, 'JPEGImages', '*')))
        if found:
            return found
    return with_image_suffix(
        path for path in glob.glob(osp.join(base, '**', '*'), recursive=True)
        if osp.dirname(osp.relpath(path, folder)))


def with_image_suffix(paths) -> List[str]:
    """The paths that end like an image, sorted."""
    return sorted(path for path in paths if path.lower().endswith(SUFFIXES))


def read_annotation(path: str) -> Tuple[np.ndarray, List[str]]:
    """Boxes and names of a VOC image; none for others and for unannotated ones."""
    parent, kind = osp.split(osp.dirname(path))
    xml = osp.join(parent, 'Annotations', osp.splitext(osp.basename(path))[0] + '.xml')
    if kind != 'JPEGImages' or not osp.isfile(xml):
        return np.zeros((0, 4), np.float32), []
    return read_voc_xml(xml)


def read_image(path: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB.

    Raises:
        ValueError: If the file is missing or no image.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert('RGB'))
    except (UnidentifiedImageError, OSError, SyntaxError) as e:
        raise ValueError(f'{path}: cannot be read as an image ({e}); restore or remove it'
                         ) from None


def caption(path: str, entry) -> str:
    """What stands below an image."""
    if entry is None:
        folder, name = osp.split(path)
        return name if osp.basename(folder) == 'JPEGImages' else \
            f'{osp.basename(folder)}{os.sep}{name}'
    score = '' if entry['score'] is None else f' {entry["score"]:.2f}'
    return f'{entry["slot"]}{score}{"" if entry["accepted"] else " rejected"}'
