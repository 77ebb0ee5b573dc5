"""Boxes in COCO's JSON files, beside their images or in a folder of their own."""
import json
import os.path as osp
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from .base import SPLIT_NAMES, Record, Survey, Tree, check_asked, few, split_of

KEYS = ('images', 'annotations', 'categories')


def coco_files(tree: Tree) -> List[str]:
    """The JSON files of a folder that hold boxes in COCO's format."""
    return [file for file in tree.with_suffix('.json') if _read(tree, file) is not None]


def read_coco(tree: Tree, classes: Optional[Sequence[str]] = None) -> Survey:
    """Survey of COCO annotations: one JSON file per split, named or placed by it.

    Args:
        tree: The files.
        classes: Which categories to keep, in the order of the file; all that are used if None.

    Raises:
        ValueError: If the files name other categories each, or no image is found.
    """
    files = coco_files(tree)
    contents = {file: content for file in files if (content := _read(tree, file))}
    names = _category_names(tree, contents)
    check_asked(tree, classes, names)
    used: Set[str] = set().union(*map(_used_names, contents.values()))
    kept = tuple(name for name in names if name in (used if classes is None else set(classes)))
    if not kept:
        raise ValueError(f'{tree.folder}: no box of the categories {few(names)} in {few(files)}')
    survey = Survey(tree.folder, 'COCO', 'det', kept, {}, layout=dict(
        kind='CocoDataset'))
    unused = [name for name in names if name not in kept]
    if unused:
        survey.oddities.append(f'{len(unused)} categories have no box or are not asked for and '
                               f'are left out ({few(unused)})')
    others = [file for file in tree.with_suffix('.json') if file not in contents]
    if others:
        survey.oddities.append(f'{len(others)} JSON files hold no COCO annotations (images, '
                               f'annotations, categories) and are passed over ({few(others)})')
    present: Set[str] = set(tree.images)
    for file, content in contents.items():
        _add_file(survey, present, file, content)
    if not any(survey.splits.values()):
        raise ValueError(f'{tree.folder}: none of the images that {few(files)} name is there')
    unlisted = present - {record.image for own in survey.splits.values() for record in own}
    if unlisted:
        survey.oddities.append(f'{len(unlisted)} images are in no JSON file and are left out '
                               f'({few(sorted(unlisted))})')
    return survey


def _read(tree: Tree, file: str) -> Optional[Dict[str, Any]]:
    """The content of a file with boxes; None for any other one."""
    try:
        with open(tree.path(file), encoding='utf-8') as f:
            content = json.load(f)
    except (ValueError, OSError):
        return None
    if not isinstance(content, dict) or not all(
            isinstance(content.get(key), list) for key in KEYS):
        return None
    boxed = not content['annotations'] or 'bbox' in content['annotations'][0]
    return content if boxed and content['categories'] else None


def _category_names(tree: Tree, contents: Mapping[str, Dict[str, Any]]) -> List[str]:
    names: Dict[str, List[str]] = {}
    for file, content in contents.items():
        names[file] = [str(category.get('name')) for category in content['categories']]
    first, *others = names
    for other in others:
        if names[other] != names[first]:
            raise ValueError(f'{tree.folder}: {other} has other categories than {first}, or '
                             f'another order ({few(names[other])}; {few(names[first])}); give '
                             f'all files the same')
    return names[first]


def _used_names(content: Dict[str, Any]) -> Set[str]:
    names = {category['id']: category['name'] for category in content['categories']}
    return {names[a['category_id']] for a in content['annotations']
            if a.get('category_id') in names}


def _add_file(survey: Survey, present: Set[str], file: str, content: Dict[str, Any]) -> None:
    """Add the images of a file to its split."""
    stem = osp.splitext(osp.basename(file))[0].lower()
    named = [part.rstrip('0123456789') for part in stem.replace('-', '_').split('_')]
    split = next((SPLIT_NAMES[part] for part in named if part in SPLIT_NAMES), '') or split_of(
        file) or 'train'
    folder = _image_folder(file, split, content, present)
    records, missing = [], []
    names = {category['id']: category['name'] for category in content['categories']}
    objects: Dict[Any, List[Dict[str, Any]]] = {}
    for annotation in content['annotations']:
        if names.get(annotation.get('category_id')) in survey.classes:
            objects.setdefault(annotation.get('image_id'), []).append(annotation)
    for image in content['images']:
        path = osp.join(folder, _file_name(image))
        own = objects.pop(image['id'], [])
        if path not in present:
            missing.append(path)
            continue
        records.append(_record(path, file, image, own, names))
    outside = sum(map(len, objects.values()))
    if outside:
        survey.oddities.append(f'{file}: {outside} boxes belong to no image and are left out')
    if missing:
        survey.oddities.append(f'{file}: {len(missing)} images are missing and are left out '
                               f'({few(missing)})')
    survey.splits.setdefault(split, []).extend(records)


def _file_name(image: Mapping[str, Any]) -> str:
    """The file of an image, also as Windows writes it."""
    return osp.normpath(str(image['file_name']).replace('\\', '/'))


def _record(path: str, file: str, image: Dict[str, Any], own: Sequence[Dict[str, Any]],
            names: Mapping[Any, str]) -> Record:
    boxes = [tuple(map(float, a['bbox'])) for a in own]
    height, width = image.get('height'), image.get('width')
    return Record(path, tuple(names[a['category_id']] for a in own), file,
                  [(x, y, x + w, y + h) for x, y, w, h in boxes],
                  tuple(bool(a.get('iscrowd')) for a in own),
                  (height, width) if height and width else None,
                  extra=(image, own))


def _image_folder(file: str, split: str, content: Dict[str, Any], present: Set[str]) -> str:
    """The folder, relative to the whole, under which a file's images lie; '' is the whole."""
    wanted = [_file_name(image) for image in content['images'][:50]]
    folders = {osp.dirname(file), ''}
    ends = {f'/{name}' for name in wanted}
    for path in present:
        folders |= {path[:-len(end)] for end in ends if path.endswith(end)}

    def rank(folder: str) -> Tuple[int, bool, str]:
        hits = sum(osp.join(folder, name) in present for name in wanted)
        return hits, split_of(f'{folder}/x') == split, folder
    return max(folders, key=rank)
