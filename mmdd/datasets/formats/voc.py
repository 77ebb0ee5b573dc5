"""Distilled sets in Pascal VOC layout."""
import os.path as osp
from typing import Any, Dict, List, Sequence

import numpy as np
from PIL import Image

from mmdd.registry import TASK_UTILS
from mmdd.structures import DistilledSample, DistillSlot
from ..originals import VOC
from .base import BaseWriter, original_of, require, write_jpeg
from .voc_xml import read_object, write_image_set, write_voc_xml


@TASK_UTILS.register_module()
class VOCWriter(BaseWriter):
    """Writes ``VOC2007/{JPEGImages,Annotations,ImageSets/Main}``.

    Synthetic images are JPEGs of quality 98; real images of a coreset are
    copied byte for byte, their objects as the real set has them: pose, truncated,
    difficult, parts. Stock ``mmdet.VOCDataset`` reads back the boxes of the
    samples, rounded to whole pixels.

    Args:
        split: Name of the split that the images form.
        difficult: 'keep' hands on the objects of real images that are marked difficult,
            which mmdet ignores in training; 'drop' leaves them out.

    Raises:
        ValueError: If ``difficult`` is neither.
    """

    root = 'VOC2007'

    def __init__(self, split: str = 'train', difficult: str = 'keep') -> None:
        super().__init__(split)
        if difficult not in ('keep', 'drop'):
            raise ValueError(f"VOCWriter: difficult must be 'keep' or 'drop', got {difficult!r}")
        self.difficult = difficult

    def facts(self) -> Dict[str, Any]:
        """With ``difficult``, whether objects so marked are handed on."""
        return dict(super().facts(), difficult=self.difficult)

    def check(self, classes: Sequence[str], slots: Sequence[DistillSlot]) -> None:
        """Check that every slot has boxes."""
        require('bboxes', slots, 'VOCWriter', 'use ClassFolderWriter for classification and '
                'SegMapWriter for segmentation')

    def write(self, sample: DistilledSample, out_dir: str, classes: Sequence[str]) -> List[str]:
        """Write image and annotation of one sample."""
        name = self.name(sample)
        image = f'{self.root}/JPEGImages/{name}.jpg'
        annotation = f'{self.root}/Annotations/{name}.xml'
        shape = write_jpeg(sample, osp.join(out_dir, image))
        with Image.open(osp.join(out_dir, image)) as picture:
            shape = (*shape, len(picture.getbands()))
        original = original_of(sample, VOC)
        bboxes, labels = whole_pixels(sample.bboxes, sample.labels, shape)
        write_voc_xml(osp.join(out_dir, annotation), f'{name}.jpg', shape, bboxes,
                      [classes[i] for i in labels],
                      objects=None if original is None else self._objects(original))
        return [image, annotation]

    def _objects(self, original: Dict[str, Any]) -> List[Any]:
        """The objects of a real image that are handed on, as XML elements."""
        objects = [read_object(text) for text in original['objects']]
        return [node for node in objects
                if self.difficult == 'keep' or (node.findtext('difficult') or '0').strip() != '1']

    def close(self, samples: Sequence[DistilledSample], out_dir: str,
              classes: Sequence[str]) -> List[str]:
        """Write the image lists: the split, and trainval with the same images."""
        names = [self.name(sample) for sample in samples]
        files = [f'{self.root}/ImageSets/Main/{split}.txt'
                 for split in dict.fromkeys((self.split, 'trainval'))]
        for file in files:
            write_image_set(osp.join(out_dir, file), names)
        return files


def whole_pixels(bboxes: np.ndarray, labels: np.ndarray, shape: Sequence[int]):
    """Round boxes to pixels inside the image; those left empty are dropped."""
    limit = np.array([shape[1] - 1, shape[0] - 1] * 2)
    # np.round goes to the even number, which would empty a box from 5.5 to 6.5.
    rounded = np.clip(np.floor(np.asarray(bboxes) + 0.5), 0, limit).reshape(-1, 4)
    keep = (rounded[:, 2:] > rounded[:, :2]).all(1)
    return rounded[keep], np.asarray(labels)[keep]
