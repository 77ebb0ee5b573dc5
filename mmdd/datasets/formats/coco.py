"""Distilled sets in COCO format."""
import json
import math
import os
import os.path as osp
from collections import Counter
from functools import cache
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from mmdd.registry import FORMATS, TASK_UTILS
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.io import atomic_write_text
from ..class_names import class_names, coco_category_ids
from ..file_checks import shorten
from ..views import check_class_order
from .base import BaseWriter, image_size, original_of, require, write_jpeg
from .set_format import SetFormat, require_files

# The format of an original, see ``with_originals``.
COCO = 'coco'

TAKEN_OVER = ('real images chosen by mmdd: annotations as in the real set, with new ids; '
              'original_id and original_file_name are those of the real set')


@TASK_UTILS.register_module()
class COCOWriter(BaseWriter):
    """Writes ``<split>/<id>.jpg`` and ``annotations/instances_<split>.json``.

    pycocotools and stock ``mmdet.CocoDataset`` read back the boxes to a
    thousandth of a pixel. The categories stand in the order of the classes:
    pycocotools keeps the order of the file, whatever the ids are.

    Synthetic images are JPEGs of quality 98. Where they have boxes alone,
    ``segmentation`` is empty and ``area`` that of the box; ``info.description`` says so.
    Real images of a coreset are copied byte for byte with their annotations as the real set
    has them: polygons or RLE, area, iscrowd, any further key. Images and annotations are
    counted anew; ``original_id`` and ``original_file_name`` of an image, and ``original_id`` of
    an annotation, are those of the real set.

    Args:
        split: Name of the split that the images form.
        coco_ids: Whether the 80 classes of COCO get COCO's own category ids
            (1 to 90 with gaps). Other classes always count from 1.
    """

    def __init__(self, split: str = 'train2017', coco_ids: bool = True) -> None:
        super().__init__(split)
        self.coco_ids = coco_ids

    def category_ids(self, classes: Sequence[str]) -> List[int]:
        """Category ids by class index."""
        if self.coco_ids and tuple(classes) == class_names('coco'):
            return list(coco_category_ids())
        return list(range(1, len(classes) + 1))

    def check(self, classes: Sequence[str], slots: Sequence[DistillSlot]) -> None:
        """Check that every slot has boxes."""
        require('bboxes', slots, 'COCOWriter', 'use ClassFolderWriter for classification and '
                'SegMapWriter for segmentation')

    def write(self, sample: DistilledSample, out_dir: str, classes: Sequence[str]) -> List[str]:
        """Write the image of one sample."""
        file = self._file(sample)
        write_jpeg(sample, osp.join(out_dir, file))
        return [file]

    def _file(self, sample: DistilledSample) -> str:
        return f'{self.split}/{self.name(sample)}.jpg'

    def close(self, samples: Sequence[DistilledSample], out_dir: str,
              classes: Sequence[str]) -> List[str]:
        """Write the annotations of all images."""
        ids = self.category_ids(classes)
        images: List[Dict[str, Any]] = []
        annotations: List[Dict[str, Any]] = []
        for sample in samples:
            file = self._file(sample)
            height, width = image_size(osp.join(out_dir, file))
            original = original_of(sample, COCO)
            images.append(dict(
                id=sample.slot.id, file_name=osp.basename(file), height=height, width=width,
                **({} if original is None else dict(original_id=original['id'],
                                                    original_file_name=original['file_name']))))
            entries = (made_entries(sample, (height, width), ids) if original is None else
                       original_entries(sample.slot, dict(zip(classes, ids))))
            for entry in entries:
                annotations.append(dict(entry, id=len(annotations) + 1))
        taken_over = any('original_id' in image for image in images)
        content = dict(
            info=dict(description=TAKEN_OVER if taken_over else made_note(samples)), licenses=[],
            images=images, annotations=annotations,
            categories=[dict(id=i, name=name) for i, name in zip(ids, classes)])
        file = f'annotations/instances_{self.split}.json'
        atomic_write_text(osp.join(out_dir, file),
                          json.dumps(content, separators=(',', ':'), allow_nan=False) + '\n')
        return [file]


def made_note(samples: Sequence[DistilledSample]) -> str:
    """What a file says of the labels of synthetic images."""
    notes = dict.fromkeys(sample.target.note for sample in samples)
    return f'distilled by mmdd: {"; ".join(notes)}'


def original_entries(slot: DistillSlot, category_ids: Dict[str, int]) -> List[Dict[str, Any]]:
    """COCO annotations of a real image as the real set has them, without their new ids.

    Args:
        slot: Slot of the image.
        category_ids: Category ids by class name.
    """
    assert slot.original is not None
    return [dict({key: value for key, value in entry.items() if key not in ('category', 'id')},
                 image_id=slot.id, category_id=category_ids[entry['category']],
                 original_id=entry.get('id')) for entry in slot.original['annotations']]


def made_entries(sample: DistilledSample, size: Tuple[int, int],
                 category_ids: Sequence[int]) -> List[Dict[str, Any]]:
    """COCO annotations of a synthetic image without their ids.

    See :meth:`~mmdd.structures.Target.coco_entries`.
    """
    return [dict(image_id=sample.slot.id, category_id=category_ids[entry['label']],
                 bbox=entry['bbox'], area=entry['area'], iscrowd=0,
                 segmentation=entry['segmentation'])
            for entry in sample.target.coco_entries(size)]


@FORMATS.register_module()
class COCOFormat(SetFormat):
    """Boxes in one JSON file; labels follow the order of its categories."""

    name = 'COCO'
    task = 'detection'
    marker = 'annotations/instances_*.json'
    writer = COCOWriter

    def reads(self, leaf: Dict[str, Any]) -> bool:
        """Whether the annotations are in a JSON file."""
        return (leaf.get('ann_file') or '').endswith('.json')

    def check(self, folder: str, file: str,
              classes: Optional[Sequence[str]]) -> List[Tuple[str, ...]]:
        """The images; categories must be the classes, in their order."""
        try:
            with open(osp.join(folder, file), encoding='utf-8') as f:
                content = json.load(f)
            images = [f'{_split(file)}/{image["file_name"]}' for image in content['images']]
            names = [category['name'] for category in content['categories']]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'{folder}: {file} is no COCO annotation file '
                             f'({type(error).__name__}: {error})') from None
        if not images:
            raise ValueError(f'{folder}: {file} lists no image')
        check_class_order(folder, names, 'the protocol', classes,
                          'distill with the metainfo.classes of the protocol')
        problem = coco_problem(osp.join(folder, file), tuple(classes or ()))
        if problem:
            raise ValueError(problem)
        require_files(folder, file, images)
        return [(image, ) for image in images]

    def student_dataset(self, folder: str, file: str, leaf: Dict[str, Any],
                        classes: Optional[Sequence[str]]) -> Dict[str, Any]:
        """The dataset class of the protocol, in the folder of the set."""
        return dict(data_root=folder, ann_file=file, data_prefix=dict(img=f'{_split(file)}/'))

    def is_format_of(self, dataset: Any) -> bool:
        """Whether it is a ``CocoDataset`` of mmdet."""
        return hasattr(dataset, 'COCOAPI')

    def list_problems(self, dataset: Any, classes: Tuple[str, ...]) -> Iterator[str]:
        """The first problem of the file."""
        yield coco_problem(dataset.ann_file, classes)

    def originals(self, dataset: Any, wanted: Set[str]) -> Iterator[Tuple[str, Dict[str, Any]]]:
        """The annotations of images as the file has them."""
        classes = set(dataset.metainfo['classes'])
        try:
            with open(dataset.ann_file, encoding='utf-8') as f:
                content = json.load(f)
            names = {entry['id']: entry['name'] for entry in content['categories']}
            images = {entry['id']: entry for entry in content['images'] if osp.abspath(
                osp.join(dataset.data_prefix['img'], entry['file_name'])) in wanted}
            own: Dict[Any, List[dict]] = {image_id: [] for image_id in images}
            for entry in content['annotations']:
                name = names[entry['category_id']]
                if entry['image_id'] in own and name in classes:
                    own[entry['image_id']].append({
                        'category': name, **{key: value for key, value in entry.items()
                                             if key not in ('category_id', 'image_id')}})
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise ValueError(f'{dataset.ann_file}: cannot be read as COCO annotations '
                             f'({type(e).__name__}: {e}); correct it') from None
        for image_id, entry in images.items():
            yield osp.abspath(osp.join(dataset.data_prefix['img'], entry['file_name'])), dict(
                format=COCO, id=image_id, file_name=entry['file_name'], annotations=own[image_id])


def _split(file: str) -> str:
    """The split, and so the folder of images, of ``annotations/instances_<split>.json``."""
    return osp.splitext(osp.basename(file))[0][len('instances_'):]


def coco_problem(path: str, classes: Tuple[str, ...]) -> str:
    """The first problem of a COCO file, '' if there is none; linear in its size."""
    return _read_coco_problem(path, os.stat(path).st_mtime_ns, classes)


@cache
def _read_coco_problem(path: str, changed: int, classes: Tuple[str, ...]) -> str:
    try:
        with open(path, encoding='utf-8') as f:
            content = json.load(f)
        images, annotations, categories = (
            content[key] for key in ('images', 'annotations', 'categories'))
        problems = _coco_problems(images, annotations, categories, classes)
        return next((f'{path}: {problem}' for problem in problems), '')
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
