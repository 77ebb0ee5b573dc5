"""Checks of what lists the images of a real set: COCO JSON, class folders, label lists.

They run before the dataset class reads the set: it passes over what it does not
know, and numbers classes by the order of the file or of the folders.
"""
import json
import math
import os
import os.path as osp
import re
from collections import Counter
from functools import cache
from typing import Any, Dict, Iterable, Iterator, List, Sequence, Set, Tuple

from .class_names import synset_names
from .file_checks import missing_file


def coco_problem(path: str, classes: Tuple[str, ...]) -> str:
    """The first problem of a COCO file, '' if there is none; linear in its size."""
    return _read_coco_problem(path, os.stat(path).st_mtime_ns, classes)


@cache
def _read_coco_problem(path: str, changed: int, classes: Tuple[str, ...]) -> str:
    try:
        with open(path, encoding='utf-8') as f:
            content = json.load(f)
        parts = [content[key] for key in ('images', 'annotations', 'categories')]
        return next((f'{path}: {problem}' for problem in _coco_problems(*parts, classes)), '')
    except (ValueError, KeyError, TypeError, OSError) as e:
        reason = ' '.join(f'{type(e).__name__}: {e}'.split())[:120]
        return (f'{path}: cannot be read as COCO annotations ({reason}); it needs images, '
                f'annotations and categories')


def _coco_problems(images: List[Dict], annotations: List[Dict], categories: List[Dict],
                   classes: Tuple[str, ...]) -> Iterator[str]:
    yield from _category_problems(categories, classes)
    for kind, entries, plural in (('image', images, 'images'),
                                  ('annotation', annotations, 'annotations'),
                                  ('category', categories, 'categories')):
        ids = Counter(entry['id'] for entry in entries)
        repeated = [i for i, count in ids.items() if count > 1] if len(ids) < len(entries) else []
        if repeated:
            yield (f'the {kind} id {repeated[0]} stands there {ids[repeated[0]]} times '
                   f'({len(repeated)} such ids); number the {plural} anew')
    image_ids = {image['id'] for image in images}
    category_ids = {category['id'] for category in categories}
    for annotation in annotations:
        if annotation['image_id'] not in image_ids:
            yield (f'annotation {annotation["id"]} belongs to image {annotation["image_id"]}, '
                   f'which is not there; add the image or remove the annotation')
        if annotation['category_id'] not in category_ids:
            yield (f'annotation {annotation["id"]} has category {annotation["category_id"]}, '
                   f'which is not there; add the category or remove the annotation')
        box = annotation['bbox']
        if len(box) != 4 or not all(isinstance(v, (int, float)) for v in box) or not all(
                map(math.isfinite, box)):
            yield (f'annotation {annotation["id"]} has the box {str(box)[:60]}; give x, y, width '
                   f'and height')
        if min(box[2:]) < 0:
            yield (f'annotation {annotation["id"]} has the box {box}: its width or height is '
                   f'negative; give x, y, width and height')
        if not math.isfinite(annotation.get('area', 0)):
            yield f'annotation {annotation["id"]} has the area {annotation["area"]}; correct it'
    for image in images:
        for key in ('width', 'height'):
            if not float(image[key]).is_integer() or image[key] < 1:
                yield (f'image {image["id"]} has the {key} {image[key]!r}; give its number of '
                       f'pixels')


def _category_problems(categories: List[Dict], classes: Tuple[str, ...]) -> Iterator[str]:
    names = [category['name'] for category in categories]
    missing = [name for name in classes if name not in names]
    if missing:
        yield (f'the classes {shorten(missing)} of the dataset are no categories of the file '
               f'({shorten(names)}); correct metainfo.classes')
    known = [name for name in names if name in set(classes)]
    if known != list(classes):
        index, name = next((i, name) for i, (name, wanted) in enumerate(
            zip(known, (*classes, *[None] * len(known)))) if name != wanted)
        wanted = repr(classes[index]) if index < len(classes) else 'no more'
        yield (f'category {index} of the file is {name!r}, metainfo.classes has {wanted} there; '
               f'both need the same order, for classes are numbered by the file')


def read_list(path: str) -> List[str]:
    """The lines of a list of images, without their ends.

    Raises:
        ValueError: If it cannot be read as UTF-8, or names an image twice.
    """
    try:
        with open(path, encoding='utf-8') as f:
            lines = [line.rstrip('\n') for line in f]
    except (OSError, UnicodeDecodeError) as e:
        raise ValueError(f'{path}: cannot be read as a list of images ({e}); it needs one per '
                         f'line, in UTF-8') from None
    if lines and lines[0].startswith('\ufeff'):
        raise ValueError(f'{path}:1: begins with a byte order mark; save it as UTF-8 without one')
    first: Dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and first.setdefault(line.strip(), number) != number:
            raise ValueError(f'{path}:{number}: {line.strip()[:60]!r} stands in line '
                             f'{first[line.strip()]} already; remove one of them')
    return lines


def label_list_problem(path: str, num_classes: int) -> str:
    """The first problem of a list of 'path label' lines, '' if there is none."""
    for number, line in enumerate(read_list(path), 1):
        label = line.strip().rsplit(' ', 1)[-1]
        if not re.fullmatch(r'\d+', label) or ' ' not in line.strip():
            return (f'{path}:{number}: {line[:60]!r} is not an image path, a blank and a class '
                    f'index; correct the line')
        if num_classes and int(label) >= num_classes:
            return (f'{path}:{number}: class index {label}, but the dataset has {num_classes} '
                    f'classes (0 to {num_classes - 1}); correct the line or metainfo.classes')
    return ''


def class_folder_problems(root: str, classes: Tuple[str, ...],
                          suffixes: Sequence[str]) -> Iterator[str]:
    """Problems of class folders, whose sorted names number the classes.

    Args:
        root: The folder that holds them.
        classes: Class names of the dataset; empty where the folders name them.
        suffixes: Suffixes of images.
    """
    if not osp.isdir(root):
        yield (f'{root}: the class folders are missing; check data_root and data_prefix of '
               f'train_dataloader.dataset')
        return
    folders = sorted(entry.name for entry in os.scandir(root)
                     if entry.is_dir() and not entry.name.startswith('.'))
    if classes:
        yield _folder_name_problem(root, folders, classes)
    for folder in folders:
        yield _image_problem(osp.join(root, folder), tuple(suffixes))


def _image_problem(folder: str, suffixes: Tuple[str, ...]) -> str:
    """The problem of a class folder without images, or with a link that leads nowhere."""
    found = False
    for base, _, names in os.walk(folder):
        for name in names:
            if name.lower().endswith(suffixes):
                path, found = osp.join(base, name), True
                if osp.islink(path) and not osp.exists(path):
                    return missing_file(path, 'image')
    return '' if found else (f'{folder}: the class has no images; add some, or remove the folder '
                             f'and the class')


def _folder_name_problem(root: str, folders: List[str], classes: Tuple[str, ...]) -> str:
    known = [_folder_names(folder) for folder in folders]
    wanted = [_normal(name) for name in classes]
    everything: Set[str] = set().union(*known)
    unknown = [folder for folder, names in zip(folders, known) if not names & set(wanted)]
    missing = [name for name, key in zip(classes, wanted) if key not in everything]
    # Folders of other words than the class names can only be counted.
    comparable = len(missing) < len(classes)
    if len(folders) != len(classes) or (comparable and (unknown or missing)):
        details = (f'; unknown folders: {shorten(unknown) or "none"}; classes without a folder: '
                   f'{shorten(missing) or "none"}') if comparable else ''
        return (f'{root}: {len(folders)} class folders for {len(classes)} classes{details}; '
                f'correct metainfo.classes or the folders')
    for i, (folder, names, key) in enumerate(zip(folders, known, wanted)):
        if comparable and key not in names:
            words = synset_names().get(folder)
            meaning = f' ({words.split(",")[0]})' if words else ''
            return (f'{root}: sorted folder {i} is {folder}{meaning}, but class {i} is '
                    f'{classes[i]!r}; list metainfo.classes in the order of the sorted folders')
    return ''


def _folder_names(folder: str) -> Set[str]:
    """What a folder may be called: its name without an index, or the words of its wnid."""
    words = synset_names().get(folder)
    return {_normal(folder)} if words is None else {_normal(w) for w in words.split(', ')}


def _normal(name: str) -> str:
    name = re.sub(r'^\d+[._-]+(?=.)', '', name.split(',')[0])
    return re.sub(r'[\W_]+', '_', name.lower()).strip('_')


def shorten(names: Iterable[Any]) -> str:
    """Names in a row, the first few of them."""
    names = [str(name) for name in names]
    return ', '.join(names[:5]) + (f' and {len(names) - 5} more' if len(names) > 5 else '')
