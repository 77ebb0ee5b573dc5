"""Boxes in Pascal VOC's XML files, in VOC's folders or anywhere."""
import os.path as osp
import xml.etree.ElementTree as ET
from collections import Counter
from typing import Dict, List, Optional, Sequence, Tuple

from mmdd.structures import BACKGROUND
from ..class_names import class_names
from .base import SPLIT_NAMES, Record, Survey, Tree, by_split, check_asked, few

TAGS = ('xmin', 'ymin', 'xmax', 'ymax')


def read_voc(tree: Tree, classes: Optional[Sequence[str]] = None) -> Survey:
    """Survey of VOC annotations.

    A folder in VOC's own layout (Annotations, JPEGImages, .jpg) is read as it is; another one
    gets COCO lists, for mmdet's XMLDataset finds nothing else (``layout['kind']``).

    Args:
        tree: The files.
        classes: Which classes to keep, in this order; all, sorted, if None.

    Raises:
        ValueError: If there is no annotation with an object.
    """
    images, records, oddities = _image_index(tree), [], []
    broken, missing = [], []
    for file in tree.with_suffix('.xml'):
        try:
            record = read_xml(tree.path(file), file)
        except (ET.ParseError, ValueError, TypeError, AttributeError):
            broken.append(file)
            continue
        image = _find_image(file, images)
        if not image:
            missing.append(file)
        elif record is not None:
            record.image = image
            records.append(record)
    for found, text in ((broken, 'annotations cannot be read and are left out'),
                        (missing, 'annotations have no image and are left out')):
        if found:
            oddities.append(f'{len(found)} {text} ({few(found)})')
    names = Counter(name for record in records for name in record.labels)
    if not names:
        raise ValueError(f'{tree.folder}: no VOC annotation with an object in it')
    check_asked(tree, classes, names)
    known = tuple(classes) if classes else order_classes(names)
    splits, lists = _lists(tree, records)
    survey = Survey(tree.folder, 'VOC', 'det', known, splits or by_split(records), oddities)
    _report_unlabelled(survey, tree, records, lists)
    root = stock_root(records)
    survey.layout = dict(kind='XMLDataset', root=root) if root is not None else dict(
        kind='CocoDataset')
    return survey


def read_xml(path: str, file: str) -> Optional[Record]:
    """One annotation, without its image; None where the file is something else.

    Boxes count from 0, as mmdet reads them.
    """
    root = ET.parse(path).getroot()
    if root.tag != 'annotation':
        return None
    labels, boxes, ignored = [], [], []
    for node in root.findall('object'):
        x1, y1, x2, y2 = (float(node.findtext(f'bndbox/{tag}', '')) - 1 for tag in TAGS)
        labels.append(str(node.findtext('name')))
        boxes.append((x1, y1, x2, y2))
        ignored.append(node.findtext('difficult', '0').strip() == '1')
    height, width = (int(root.findtext(f'size/{name}') or 0) for name in ('height', 'width'))
    return Record('', tuple(labels), file, boxes, tuple(ignored),
                  (height, width) if height and width else None)


def order_classes(names: Counter) -> Tuple[str, ...]:
    """The order of VOC where these are its classes, else sorted."""
    voc = [name for name in class_names('voc') if name != BACKGROUND]
    return tuple(voc) if set(names) <= set(voc) and len(names) > 9 else tuple(sorted(names))


def stock_root(records: Sequence[Record]) -> Optional[str]:
    """The one folder in VOC's own layout that holds all records; None if there is none."""
    roots = set()
    for record in records:
        stem = osp.splitext(osp.basename(record.annotation))[0]
        root = record.annotation[:-len(f'Annotations/{stem}.xml')]
        if (record.annotation != f'{root}Annotations/{stem}.xml'
                or record.image != f'{root}JPEGImages/{stem}.jpg' or record.size is None):
            return None
        roots.add(root)
    return roots.pop() if len(roots) == 1 else None


def _image_index(tree: Tree) -> Dict[str, List[str]]:
    index: Dict[str, List[str]] = {}
    for file in tree.images:
        if 'SegmentationClass' not in file and 'SegmentationObject' not in file:
            index.setdefault(osp.splitext(osp.basename(file))[0], []).append(file)
    return index


def _find_image(file: str, images: Dict[str, List[str]]) -> str:
    """The image of an annotation: of those with its name the one that lies nearest."""
    def shared(other: str) -> int:
        return len(osp.commonprefix([file.split('/'), other.split('/')]))
    found = images.get(osp.splitext(osp.basename(file))[0], [])
    return max(found, key=shared, default='')


def _lists(tree: Tree, records: Sequence[Record]) -> Tuple[Dict[str, List[Record]], List[str]]:
    """Splits by ``ImageSets/Main/*.txt``, and the lists that were read."""
    splits: Dict[str, List[Record]] = {}
    lists = [file for file in tree.with_suffix('.txt') if file.endswith(tuple(
        f'ImageSets/Main/{name}.txt' for name in SPLIT_NAMES))]
    names = {osp.splitext(osp.basename(file))[0] for file in lists}
    if {'train', 'val'} <= names:  # trainval is both
        lists = [file for file in lists if not file.endswith('/trainval.txt')]
    elif 'trainval' in names:
        lists = [file for file in lists if not file.endswith(('/train.txt', '/val.txt'))]
    index = {osp.splitext(record.annotation)[0]: record for record in records}
    for file in lists:
        root = file[:file.index('ImageSets/')]
        split = SPLIT_NAMES[osp.splitext(osp.basename(file))[0]]
        with open(tree.path(file), encoding='utf-8') as f:
            own = [index.get(f'{root}Annotations/{line.strip()}') for line in f if line.strip()]
        splits.setdefault(split, []).extend(record for record in own if record is not None)
    return {name: own for name, own in splits.items() if own}, lists


def _report_unlabelled(survey: Survey, tree: Tree, records: Sequence[Record],
                       lists: Sequence[str]) -> None:
    labelled = {record.image for record in records}
    bare = [file for own in _image_index(tree).values() for file in own if file not in labelled]
    if bare:
        survey.oddities.append(f'{len(bare)} images have no annotation and are left out '
                               f'({few(bare)})')
    listed = {record.image for own in survey.splits.values() for record in own}
    if lists and len(listed) < len(labelled):
        survey.oddities.append(f'{len(labelled) - len(listed)} annotated images are in no list of '
                               f'ImageSets/Main and are left out')
    unknown = Counter(name for record in records for name in record.labels
                      if name not in survey.classes)
    if unknown:
        survey.oddities.append(f'{sum(unknown.values())} objects are of other classes and are '
                               f'passed over ({few(sorted(unknown))})')
