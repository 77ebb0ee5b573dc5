"""Images with masks of class indices, in parallel folders or side by side."""
import os.path as osp
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from mmdd.structures import BACKGROUND, IGNORE
from ..class_names import class_names
from ..file_checks import UNREADABLE
from .base import SPLIT_NAMES, Record, Survey, Tree, by_split, few

IMAGE_FOLDERS = ('images', 'image', 'imgs', 'img', 'img_dir', 'jpegimages')
MASK_FOLDERS = ('masks', 'mask', 'labels', 'label', 'annotations', 'ann_dir', 'ann', 'gt',
                'segmentation', 'segmentationclass', 'segmentationclasspng')
SUFFIXES = ('_mask', '_masks', '_label', '_labels', '_seg', '_gt', '-mask', '-label')
NAME_FILES = ('classes.txt', 'labels.txt', 'class_names.txt', 'codes.txt')

# folder of images, folder of masks, suffix of images, suffix of masks
Layout = Tuple[str, str, str, str]


def mask_pairs(tree: Tree) -> Dict[str, str]:
    """The mask of each image that has one."""
    masks, images = {}, []
    for file in tree.images:
        suffix = _mask_suffix(file)
        if file.lower().endswith('.png') and (suffix or _special(file, MASK_FOLDERS) is not None):
            masks[_key(file, MASK_FOLDERS, '')] = file
            if suffix:
                masks[_key(file, MASK_FOLDERS, suffix)] = file
        else:
            images.append(file)
    pairs = {file: masks.get(_key(file, IMAGE_FOLDERS, '')) for file in images}
    return {file: mask for file, mask in pairs.items() if mask is not None}


def read_masks(tree: Tree, classes: Optional[Sequence[str]] = None) -> Survey:
    """Survey of images and masks, PNGs of one channel whose values are class indices.

    Args:
        tree: The files.
        classes: Names of the values from 0; those of a file classes.txt, one per line, or
            numbers if None.

    Raises:
        ValueError: If masks are coloured, or hold 0 and 255 alone.
    """
    pairs = mask_pairs(tree)
    records = [Record(image, annotation=mask) for image, mask in pairs.items()]
    oddities: List[str] = []
    values = _read_values(tree, records, oddities)
    names = list(classes or _named(tree, values))
    high = max((v for own in values.values() for v in own), default=0)
    if not names:
        names = [f'class {v}' for v in range(high + 1)]
        oddities.append('nothing names the classes, which prompts need: give --classes, or a '
                        'file classes.txt with one name per line from value 0')
    unknown = {v for own in values.values() for v in own if v >= len(names)}
    if unknown:
        number = sum(bool(unknown & set(own)) for own in values.values())
        oddities.append(f'{number} masks hold values without a class name ({few(sorted(unknown))}'
                        f'); they are called "value <n>"')
        names += [f'value {v}' for v in range(len(names), high + 1)]
    for record in records:
        record.labels = tuple(names[v] for v in values.get(record.annotation, ()))
    records = [record for record in records if record.annotation in values]
    survey = Survey(tree.folder, 'masks', 'seg', tuple(names), _splits(tree, records), oddities)
    survey.layout = dict(_keep_layout(survey))
    alone = set(tree.images) - set(pairs) - set(pairs.values())
    bare = [file for file in alone if _special(file, MASK_FOLDERS) is None]
    if bare:
        survey.oddities.append(f'{len(bare)} images have no mask and are left out '
                               f'({few(sorted(bare))})')
    return survey


def _mask_suffix(file: str) -> str:
    stem = osp.splitext(osp.basename(file))[0].lower()
    return next((suffix for suffix in SUFFIXES if stem.endswith(suffix)), '')


def _special(file: str, folders: Sequence[str]) -> Optional[int]:
    """Position of the last folder with such a name in a path."""
    parts = file.lower().split('/')[:-1]
    return max((i for i, part in enumerate(parts) if part in folders), default=None)


def _key(file: str, folders: Sequence[str], suffix: str) -> str:
    """What an image and its mask share: the path without that folder and suffix."""
    stem = osp.splitext(file)[0]
    parts, position = stem[:len(stem) - len(suffix)].split('/'), _special(file, folders)
    if position is not None:
        del parts[position]
    return '/'.join(parts)


def _read_values(tree: Tree, records: Sequence[Record],
                 oddities: List[str]) -> Dict[str, List[int]]:
    """The class indices that occur in each mask that fits its image; 255 is left out."""
    def read(record: Record):
        try:
            with Image.open(tree.path(record.annotation)) as mask:
                mode, array = mask.mode, np.asarray(mask)
            with Image.open(tree.path(record.image)) as image:
                same = image.size == (array.shape[1], array.shape[0])
        except UNREADABLE:
            return record.annotation, None, 'cannot be read'
        if mode not in ('L', 'P', '1'):
            return record.annotation, None, mode
        found = np.flatnonzero(np.bincount(array.astype(np.uint8).ravel(), minlength=256))
        return record.annotation, found.tolist(), '' if same else 'is of another size'
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(read, records))
    coloured = [file for file, values, why in found if values is None and why != 'cannot be read']
    if coloured:
        raise ValueError(f'{tree.folder}: {len(coloured)} masks are coloured ({few(coloured)}); '
                         f'save them with class indices as pixel values, one channel of 8 bits, '
                         f'with a palette or without')
    if all(values and set(values) <= {0, IGNORE} for _, values, _ in found) and any(
            IGNORE in values for _, values, _ in found):
        raise ValueError(f'{tree.folder}: the masks hold 0 and {IGNORE} alone, and {IGNORE} is '
                         f'what mmseg ignores; write 1 for {IGNORE}')
    for why in ('cannot be read', 'is of another size'):
        wrong = [file for file, _, own in found if own == why]
        if wrong:
            oddities.append(f'{len(wrong)} masks: {why}, left out with their images '
                            f'({few(wrong)})')
    return {file: [v for v in values if v != IGNORE] for file, values, why in found if not why}


def _named(tree: Tree, values: Dict[str, List[int]]) -> List[str]:
    """Names of the values by a file of the folder, or those of Pascal VOC."""
    for file in tree.files:
        if file.lower() in NAME_FILES:
            with open(tree.path(file), encoding='utf-8') as f:
                return [line.strip() for line in f if line.strip()]
    if any('SegmentationClass/' in file for file in values) and all(
            v <= 20 for own in values.values() for v in own):
        return [BACKGROUND] + [name for name in class_names('voc') if name != BACKGROUND]
    return []


def _splits(tree: Tree, records: Sequence[Record]) -> Dict[str, List[Record]]:
    """Splits by ``ImageSets/Segmentation/*.txt``, else by the names of folders."""
    index = {osp.splitext(osp.basename(record.image))[0]: record for record in records}
    splits: Dict[str, List[Record]] = {}
    for file in tree.with_suffix('.txt'):
        folder, name = osp.split(osp.splitext(file)[0])
        if folder.endswith('ImageSets/Segmentation') and name in SPLIT_NAMES:
            with open(tree.path(file), encoding='utf-8') as f:
                own = [index[line.strip()] for line in f if line.strip() in index]
            if own and name != 'trainval':
                splits[SPLIT_NAMES[name]] = own
    return splits or by_split(records)


def _keep_layout(survey: Survey) -> Dict[str, Layout]:
    """Folders and suffixes of each split; images that do not share the most frequent are left out.

    mmseg's datasets know one folder and one suffix each.
    """
    layouts, left = {}, []
    for split, records in survey.splits.items():
        found = Counter(pair_layout(record) for record in records)
        layouts[split], _ = found.most_common(1)[0]
        left += [record.image for record in records if pair_layout(record) != layouts[split]]
        survey.splits[split] = [record for record in records
                                if pair_layout(record) == layouts[split]]
    if left:
        survey.oddities.append(f'{len(left)} images have another folder or suffix than most and '
                               f'are left out; mmseg reads one of each ({few(left)})')
    return layouts


def pair_layout(record: Record) -> Layout:
    """Folders and suffixes of an image and its mask, see ``mmseg.BaseSegDataset``."""
    (image, image_suffix), (mask, mask_suffix) = map(
        osp.splitext, (record.image, record.annotation))
    image_folder, mask_folder = _folder(image), _folder(mask)
    name = image[len(image_folder):].lstrip('/')
    inner = mask[len(mask_folder):].lstrip('/')
    return image_folder, mask_folder, image_suffix, inner[len(name):] + mask_suffix


def pair_name(record: Record) -> str:
    """The name of an image in a list of ``mmseg.BaseSegDataset``."""
    image = osp.splitext(record.image)[0]
    return image[len(_folder(image)):].lstrip('/')


def _folder(stem: str) -> str:
    positions = [_special(stem, folders) for folders in (IMAGE_FOLDERS, MASK_FOLDERS)]
    position = max((p for p in positions if p is not None), default=None)
    return '' if position is None else '/'.join(stem.split('/')[:position + 1])
