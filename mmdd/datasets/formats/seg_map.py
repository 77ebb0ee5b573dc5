"""Distilled sets with segmentation masks, in Pascal VOC layout."""
import os.path as osp
from typing import Any, Dict, List, Sequence

from mmdd.registry import TASK_UTILS
from mmdd.structures import DistilledSample, DistillSlot, restore_zero_label
from mmdd.utils.io import atomic_save_image
from ..views import plain_datasets
from .base import BaseWriter, require, write_jpeg
from .voc_xml import voc_palette, write_image_set


@TASK_UTILS.register_module()
class SegMapWriter(BaseWriter):
    """Writes ``VOC2012/{JPEGImages,SegmentationClass,ImageSets/Segmentation}``.

    Masks are PNGs with VOC's palette whose pixel values are the class indices,
    255 where a pixel is to be ignored; stock ``mmseg.PascalVOCDataset``, and
    ``BaseSegDataset`` with other classes, read them back. Where the real set is read
    with ``reduce_zero_label``, as ADE20K is, ids are stored as its files have them: 0
    is to be ignored, 1 is the first class. Synthetic images are JPEGs of quality 98;
    real ones of a coreset are copied byte for byte.

    Args:
        split: Name of the split that the images form.
        root: Folder inside the set.
    """

    def __init__(self, split: str = 'train', root: str = 'VOC2012') -> None:
        super().__init__(split)
        self.root = root
        self.reduce_zero_label = False

    def follow(self, dataset: Any) -> None:
        """Store masks as the real set does."""
        self.reduce_zero_label = all(
            getattr(part, 'reduce_zero_label', False) for part in plain_datasets(dataset))

    def facts(self) -> Dict[str, Any]:
        """With ``reduce_zero_label``, whether 0 is to be ignored and 1 is the first class."""
        return dict(super().facts(), reduce_zero_label=self.reduce_zero_label)

    def check(self, classes: Sequence[str], slots: Sequence[DistillSlot]) -> None:
        """Check that every slot has a mask and that the classes fit a byte."""
        most = 254 if self.reduce_zero_label else 255
        if len(classes) > most:
            raise ValueError(f'SegMapWriter: {len(classes)} classes do not fit an 8-bit mask; '
                             f'merge classes until {most} are left')
        require('mask', slots, 'SegMapWriter', 'use ClassFolderWriter for classification and '
                'VOCWriter or COCOWriter for detection')

    def write(self, sample: DistilledSample, out_dir: str, classes: Sequence[str]) -> List[str]:
        """Write image and mask of one sample.

        Raises:
            ValueError: If the mask has another size than the image.
        """
        name = self.name(sample)
        image = f'{self.root}/JPEGImages/{name}.jpg'
        mask = f'{self.root}/SegmentationClass/{name}.png'
        size = write_jpeg(sample, osp.join(out_dir, image))
        if sample.mask.shape != size:
            raise ValueError(f'slot {sample.slot.id}: the mask is {sample.mask.shape[1]}x'
                             f'{sample.mask.shape[0]}, its image {size[1]}x{size[0]}; they must '
                             f'agree')
        stored = restore_zero_label(sample.mask) if self.reduce_zero_label else sample.mask
        atomic_save_image(osp.join(out_dir, mask), stored, palette=voc_palette())
        return [image, mask]

    def close(self, samples: Sequence[DistilledSample], out_dir: str,
              classes: Sequence[str]) -> List[str]:
        """Write the image list of the split."""
        file = f'{self.root}/ImageSets/Segmentation/{self.split}.txt'
        write_image_set(osp.join(out_dir, file), [self.name(sample) for sample in samples])
        return [file]
