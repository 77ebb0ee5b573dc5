"""Images in one folder per class, with folders of splits around them or without."""
import os
import os.path as osp
from typing import Dict, List, Optional, Sequence

from .base import Record, Survey, Tree, by_split, few, split_of, unread_labels


def read_class_folders(tree: Tree, classes: Optional[Sequence[str]] = None) -> Survey:
    """Survey of class folders: ``[<split>/]<class>/.../<image>``.

    Args:
        tree: The files.
        classes: Names of the classes in the order of the sorted folders; the folder names if
            None.

    Raises:
        ValueError: If there are not at least two classes, or not as many as names are given.
    """
    records, loose = [], []
    for file in tree.images:
        parts = file.split('/')
        depth = 1 if split_of(f'{parts[0]}/x') else 0
        if len(parts) < depth + 2:
            loose.append(file)
        else:
            records.append(Record(file, (parts[depth], )))
    unread = unread_labels(tree)
    folders = sorted({record.labels[0] for record in records})
    if len(folders) < 2:
        raise ValueError(f'{tree.folder}: {len(folders)} class folders; classification needs one '
                         f'folder per class, as in train/<class>/*.jpg or <class>/*.jpg'
                         + (f'; {unread}' if unread else ''))
    names = dict(zip(folders, _names(tree, folders, classes)))
    for record in records:
        record.labels = (names[record.labels[0]], )
    survey = Survey(tree.folder, 'class folders', 'cls', tuple(names.values()), by_split(records))
    if loose:
        survey.oddities.append(f'{len(loose)} images lie in no class folder and are left out '
                               f'({few(loose)})')
    survey.oddities += _empty_folders(tree, folders) + ([unread] if unread else [])
    for split, own in survey.splits.items():
        missing = set(names.values()) - {record.labels[0] for record in own}
        if missing:
            survey.oddities.append(f'{split} has no image of {len(missing)} classes '
                                   f'({few(sorted(missing))})')
    return survey


def _names(tree: Tree, folders: Sequence[str], classes: Optional[Sequence[str]]) -> Sequence[str]:
    if classes is None:
        return folders
    if len(classes) != len(folders):
        raise ValueError(f'{len(classes)} class names for {len(folders)} class folders '
                         f'({few(folders)}) of {tree.folder}: give one for each, in this order')
    return classes


def _empty_folders(tree: Tree, folders: Sequence[str]) -> List[str]:
    """Folders beside those of the classes without an image in them."""
    found: Dict[str, str] = {}
    for base, inner, _ in os.walk(tree.folder, followlinks=True):
        here = osp.relpath(base, tree.folder).replace(osp.sep, '/')
        if here != '.' and not split_of(f'{here}/x'):
            inner[:] = []
            continue
        for name in inner:
            where = name if here == '.' else f'{here}/{name}'
            if not split_of(f'{name}/x') and name not in folders and not name.startswith('.'):
                found[name] = where
    return [f'{len(found)} folders hold no image and are no class '
            f'({few(sorted(found.values()))})'] if found else []
