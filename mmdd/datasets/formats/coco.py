"""Distilled sets in COCO format."""
import json
import os.path as osp
from typing import Any, Dict, List, Sequence

from mmdd.registry import TASK_UTILS
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.io import atomic_write_text
from ..class_names import class_names, coco_category_ids
from ..originals import COCO
from .base import BaseWriter, image_size, original_of, require, write_jpeg

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
        images, annotations = [], []
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
    return [dict({key: value for key, value in entry.items() if key not in ('category', 'id')},
                 image_id=slot.id, category_id=category_ids[entry['category']],
                 original_id=entry.get('id')) for entry in slot.original['annotations']]


def made_entries(sample: DistilledSample, size: Sequence[int],
                 category_ids: Sequence[int]) -> List[Dict[str, Any]]:
    """COCO annotations of a synthetic image without their ids.

    See :meth:`~mmdd.structures.Target.coco_entries`.
    """
    return [dict(image_id=sample.slot.id, category_id=category_ids[entry['label']],
                 bbox=entry['bbox'], area=entry['area'], iscrowd=0,
                 segmentation=entry['segmentation'])
            for entry in sample.target.coco_entries(size)]
