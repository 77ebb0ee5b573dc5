"""Distilled sets with segmentation masks, in Pascal VOC layout."""
import os.path as osp
from typing import List, Sequence

from mmdd.registry import TASK_UTILS
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.io import atomic_save_image
from ..voc import voc_palette, write_image_set
from .base import BaseWriter, require, write_jpeg


@TASK_UTILS.register_module()
class SegMapWriter(BaseWriter):
    """Writes ``VOC2012/{JPEGImages,SegmentationClass,ImageSets/Segmentation}``.

    Masks are PNGs with VOC's palette whose pixel values are the class indices,
    255 where a pixel is to be ignored; stock ``mmseg.PascalVOCDataset``, and
    ``BaseSegDataset`` with other classes, read them back. Synthetic images are
    JPEGs of quality 98; real ones of a coreset are copied byte for byte.

    Args:
        split: Name of the split that the images form.
        root: Folder inside the set.
    """

    def __init__(self, split: str = 'train', root: str = 'VOC2012') -> None:
        super().__init__(split)
        self.root = root

    def check(self, classes: Sequence[str], slots: Sequence[DistillSlot]) -> None:
        """Check that every slot has a mask and that the classes fit a byte."""
        if len(classes) > 255:
            raise ValueError(f'SegMapWriter: {len(classes)} classes do not fit an 8-bit mask; '
                             f'merge classes until 255 are left')
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
        atomic_save_image(osp.join(out_dir, mask), sample.mask, palette=voc_palette())
        return [image, mask]

    def close(self, samples: Sequence[DistilledSample], out_dir: str,
              classes: Sequence[str]) -> List[str]:
        """Write the image list of the split."""
        file = f'{self.root}/ImageSets/Segmentation/{self.split}.txt'
        write_image_set(osp.join(out_dir, file), [self.name(sample) for sample in samples])
        return [file]
