"""Pictures of any set on disk: distilled or real; VOC, COCO, masks, class folders."""
import glob
import json
import os
import os.path as osp
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmdd.structures import IGNORE, Target, make_target, reduce_zero_label
from mmdd.utils.evenly import evenly_chosen
from mmdd.utils.photograph import read_rgb
from mmdd.utils.picture import Tile
from .class_names import class_names, synset_names
from .formats.voc_xml import read_difficult, read_voc_xml
from .manifest import MANIFEST, is_reduced, read_manifest

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')


@dataclass
class Labels:
    """What is known of an image of a set.

    Attributes:
        bboxes: (M, 4) float32 xyxy; None without boxes.
        names: M class names of the boxes.
        ignored: M times whether training ignores the box: a crowd, a difficult object.
        mask: File of its mask; '' without one.
        group: Name of its class, where it lies in a class folder.
    """
    bboxes: Optional[np.ndarray] = None
    names: List[str] = field(default_factory=list)
    ignored: List[bool] = field(default_factory=list)
    mask: str = ''
    group: str = ''

    def target(self, classes: List[str], reduced: bool = False) -> Target:
        """The boxes where there are some, else the mask, whose ids may be ``reduced``."""
        if self.names or not self.mask:
            labels = np.array([classes.index(name) for name in self.names], np.int64)
            return make_target(labels, bboxes=self.bboxes)
        mask = read_mask(self.mask)
        mask = reduce_zero_label(mask) if reduced else mask
        return make_target(np.unique(mask[mask != IGNORE]), mask=mask)


def read_gallery(folder: str, num: int, masks: bool = False) -> Tuple[List[Tile], List[str]]:
    """Tiles of images that are spread evenly over a set, and its class names.

    A distilled set's captions hold score and fate from its manifest, those of
    class folders the class.

    Args:
        folder: A distilled set or its work dir, a VOC folder (``VOCdevkit``,
            ``VOC2007`` or their parent), a folder with ``annotations/*.json`` in
            COCO format, ``img_dir`` with ``ann_dir``, or class folders.
        num: How many images at most.
        masks: Whether masks are shown where an image has boxes too.

    Raises:
        ValueError: If the folder holds no images or a file is damaged.
    """
    if not osp.isdir(folder):
        raise ValueError(f'{folder} is no folder; give a distilled set, a VOC or COCO folder or '
                         f'class folders')
    if num < 1:
        raise ValueError(f'{num} images make no sheet; give --num 1 or more')
    manifest, entries = find_manifest(folder)
    coco = read_coco(folder)
    images = sorted(entries or coco) or find_images(folder)
    if not images:
        raise ValueError(f'{folder} holds no images in JPEGImages, of annotations/*.json or in '
                         f'class folders, and no {MANIFEST}; give a distilled set, a VOC or COCO '
                         f'folder or class folders')
    chosen = evenly_chosen(images, num)
    labels = [coco.get(path) or read_labels(path) for path in chosen]
    if masks:
        labels = [Labels(mask=label.mask) if label.mask else label for label in labels]
    classes = known_classes(manifest, labels)
    return [make_tile(path, label, classes, entries.get(path), is_reduced(manifest))
            for path, label in zip(chosen, labels)], classes


def make_tile(path: str, labels: Labels, classes: List[str],
              entry: Optional[Dict[str, Any]], reduced: bool = False) -> Tile:
    """One tile; see :meth:`Labels.target`."""
    return Tile(read_image(path), labels.target(classes, reduced),
                caption=caption(path, labels, entry))


def known_classes(manifest: Dict[str, Any], labels: List[Labels]) -> List[str]:
    """Class names by index: of the manifest, of VOC, or those that occur."""
    if manifest.get('classes'):
        return list(manifest['classes'])
    if any(label.mask and not label.names for label in labels):
        seen = {i for label in labels if label.mask and not label.names
                for i in np.unique(read_mask(label.mask)).tolist()} - {255}
        voc = any(osp.basename(osp.dirname(label.mask)) == 'SegmentationClass'
                  for label in labels)
        named = class_names('voc_seg') if voc and max(seen, default=0) < 21 else ()
        highest = max(seen, default=0)
        return [named[i] if named else str(i) for i in range(highest + 1)] + sorted(
            {name for label in labels for name in label.names} - set(named))
    return sorted({name for label in labels for name in label.names})


def find_manifest(folder: str) -> Tuple[Dict[str, Any], Dict[str, Dict[str, Any]]]:
    """The manifest of a distilled set or of a work dir's, and its entries by path of the image.

    Both are empty where there is no manifest.
    """
    root = find_distilled(folder)
    if not root:
        return {}, {}
    manifest = read_manifest(root, images=True)
    return manifest, {osp.join(root, entry['files'][0]): entry for entry in manifest['images']}


def find_distilled(folder: str) -> str:
    """The folder of a distilled set: ``folder`` or, in a work dir, ``distilled``; '' if none."""
    return next((root for root in (folder, osp.join(folder, 'distilled'))
                 if osp.isfile(osp.join(root, MANIFEST))), '')


def read_coco(folder: str) -> Dict[str, Labels]:
    """Labels of the images of COCO files below a folder, by path of the image."""
    base = glob.escape(folder)
    found: Dict[str, Labels] = {}
    for depth in ('', '*', '*/*'):
        for file in sorted(glob.glob(osp.join(base, depth, 'annotations', 'instances_*.json'))):
            found.update(read_coco_file(file))
        if found:
            break
    return found


def read_coco_file(path: str) -> Dict[str, Labels]:
    """Labels of the images of ``annotations/instances_<split>.json``, by path.

    Raises:
        ValueError: If the file is damaged.
    """
    split = osp.splitext(osp.basename(path))[0][len('instances_'):]
    folder = osp.join(osp.dirname(osp.dirname(path)), split)
    try:
        with open(path, encoding='utf-8') as f:
            content = json.load(f)
        names = {category['id']: category['name'] for category in content['categories']}
        boxes: Dict[int, List[Tuple[List[float], str, bool]]] = {}
        for annotation in content['annotations']:
            x, y, width, height = annotation['bbox']
            boxes.setdefault(annotation['image_id'], []).append(
                ([x, y, x + width, y + height], names[annotation['category_id']],
                 bool(annotation.get('iscrowd'))))
        return {osp.join(folder, image['file_name']): _labels_of(boxes.get(image['id'], []))
                for image in content['images']}
    except (ValueError, KeyError, TypeError) as e:
        raise ValueError(f'{path}: cannot be read as COCO annotations ({type(e).__name__}: {e}); '
                         f'correct or remove it') from None


def _labels_of(boxes: List[Tuple[List[float], str, bool]]) -> Labels:
    """Labels of an image from its boxes with name and whether training ignores them."""
    return Labels(np.array([box for box, _, _ in boxes], np.float32).reshape(-1, 4),
                  [name for _, name, _ in boxes], [crowd for _, _, crowd in boxes])


def find_images(folder: str) -> List[str]:
    """Images of a VOC folder or of ``img_dir``, else of class folders, sorted by path."""
    base = glob.escape(folder)
    for depth in ('', '*', '*/*'):
        for pattern in ('JPEGImages/*', 'img_dir/**/*'):
            found = with_image_suffix(glob.glob(osp.join(base, depth, pattern), recursive=True))
            if found:
                return found
    return with_image_suffix(
        path for path in glob.glob(osp.join(base, '**', '*'), recursive=True)
        if osp.dirname(osp.relpath(path, folder))
        # lossless copies of a job that is running
        and '_job' not in osp.relpath(path, folder).split(os.sep))


def with_image_suffix(paths) -> List[str]:
    """The paths that end like an image, sorted."""
    return sorted(path for path in paths if path.lower().endswith(SUFFIXES))


def read_labels(path: str) -> Labels:
    """Boxes and mask file of an image in VOC layout or ``img_dir``, else its class folder."""
    parent, kind = osp.split(osp.dirname(path))
    name = osp.splitext(osp.basename(path))[0]
    if kind == 'JPEGImages':
        labels = Labels()
        xml = osp.join(parent, 'Annotations', f'{name}.xml')
        mask = osp.join(parent, 'SegmentationClass', f'{name}.png')
        if osp.isfile(xml):
            labels.bboxes, labels.names = read_voc_xml(xml)
            labels.ignored = read_difficult(xml)
    elif 'img_dir' in path.split(os.sep):
        head, tail = osp.splitext(path)[0].rsplit(f'img_dir{os.sep}', 1)
        labels, mask = Labels(), osp.join(head, 'ann_dir', f'{tail}.png')
    else:
        words = synset_names().get(kind, kind)
        return Labels(group=words.split(',')[0])
    labels.mask = mask if osp.isfile(mask) else ''
    return labels


def read_image(path: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB.

    Raises:
        ValueError: If the file is missing or no image.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(read_rgb(image))
    except (UnidentifiedImageError, OSError, SyntaxError) as e:
        raise ValueError(f'{path}: cannot be read as an image ({e}); restore or remove it'
                         ) from None


def read_mask(path: str) -> np.ndarray:
    """(H, W) uint8 class indices.

    Raises:
        ValueError: If the file is no image of one channel.
    """
    try:
        with Image.open(path) as image:
            mask = np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError) as e:
        raise ValueError(f'{path}: cannot be read as a mask ({e}); restore or remove it') from None
    if mask.ndim != 2:
        raise ValueError(f'{path}: a mask has one channel of class ids, this has '
                         f'{mask.shape[-1]}; save it anew')
    return mask.astype(np.uint8)


def caption(path: str, labels: Labels, entry: Optional[Dict[str, Any]]) -> str:
    """What stands below an image."""
    if entry is None:
        name = osp.basename(path)
        return f'{labels.group}{os.sep}{name}' if labels.group else name
    score = '' if entry['score'] is None else f'{entry["score"]:.2f}'
    judged = entry.get('judge_score')
    judged = '' if judged is None else f'judge {judged:.2f}'
    mark = '' if entry['accepted'] else 'rejected'
    group = (entry.get('classes') or [labels.group])[0].split(',')[0] if labels.group else ''
    return '  '.join(word for word in (f'#{entry["slot"]}', group, score, judged, mark)
                     if word)
