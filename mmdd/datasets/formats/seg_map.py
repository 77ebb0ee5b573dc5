"""Distilled sets with segmentation masks, in Pascal VOC layout."""
import os
import os.path as osp
from functools import cache
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from mmdd.registry import FORMATS, TASK_UTILS
from mmdd.structures import (
    IGNORE,
    DistilledSample,
    DistillSlot,
    check_mask,
    reduce_zero_label,
    restore_zero_label,
)
from mmdd.utils.io import atomic_save_image
from mmdd.utils.photograph import upright_size
from ..file_checks import UNREADABLE, missing_file, read_list
from ..manifest import is_reduced, read_manifest
from ..views import plain_datasets
from .base import BaseWriter, require, write_jpeg
from .set_format import SetFormat, listed_names, require_files
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
        labels = sample.mask
        assert labels is not None
        if labels.shape != size:
            raise ValueError(f'slot {sample.slot.id}: the mask is {labels.shape[1]}x'
                             f'{labels.shape[0]}, its image {size[1]}x{size[0]}; they must '
                             f'agree')
        stored = restore_zero_label(labels) if self.reduce_zero_label else labels
        atomic_save_image(osp.join(out_dir, mask), stored, palette=voc_palette())
        return [image, mask]

    def close(self, samples: Sequence[DistilledSample], out_dir: str,
              classes: Sequence[str]) -> List[str]:
        """Write the image list of the split."""
        file = f'{self.root}/ImageSets/Segmentation/{self.split}.txt'
        write_image_set(osp.join(out_dir, file), [self.name(sample) for sample in samples])
        return [file]


@FORMATS.register_module()
class SegMapFormat(SetFormat):
    """Masks beside the images.

    The dataset class of a protocol may number the ids of its files anew, or look for
    other suffixes; a set holds class indices already, one higher and with 0 to ignore
    where its manifest says ``reduce_zero_label``.
    """

    name = 'mask'
    task = 'segmentation'
    marker = '*/ImageSets/Segmentation/*.txt'
    writer = SegMapWriter

    def check(self, folder: str, file: str,
              classes: Optional[Sequence[str]]) -> List[Tuple[str, ...]]:
        """Image and mask of each image; ids must be class indices."""
        root, reduced = file.split('/')[0], is_reduced(read_manifest(folder))
        files: List[Tuple[str, ...]] = []
        for name in listed_names(folder, file):
            pair = (f'{root}/JPEGImages/{name}.jpg', f'{root}/SegmentationClass/{name}.png')
            require_files(folder, file, pair)
            with Image.open(osp.join(folder, pair[1])) as mask:
                stored = np.asarray(mask)
                values = np.unique(reduce_zero_label(stored) if reduced else stored)
            unknown = [int(v) for v in values if classes and v >= len(classes) and v != IGNORE]
            if classes and unknown:
                raise ValueError(f'{folder}: {pair[1]} has the values {unknown}, the protocol has '
                                 f'classes 0 to {len(classes) - 1} and {IGNORE} to ignore')
            files.append(pair)
        return files

    def student_dataset(self, folder: str, file: str, leaf: Dict[str, Any],
                        classes: Optional[Sequence[str]]) -> Dict[str, Any]:
        """``BaseSegDataset``, which takes the ids of the masks as they are."""
        root = file.split('/')[0]
        metainfo = dict(leaf.get('metainfo') or {}, classes=classes and list(classes))
        return dict(
            type='BaseSegDataset', _scope_='mmseg',
            metainfo={key: value for key, value in metainfo.items() if value},
            reduce_zero_label=is_reduced(read_manifest(folder)),
            img_suffix='.jpg', seg_map_suffix='.png', data_root=osp.join(folder, root),
            ann_file=file[len(root) + 1:], data_prefix=dict(
                img_path='JPEGImages', seg_map_path='SegmentationClass'),
            pipeline=_without_reduction(leaf.get('pipeline') or []))

    def is_format_of(self, dataset: Any) -> bool:
        """Whether it is a dataset of mmseg."""
        return hasattr(dataset, 'reduce_zero_label')

    def list_problems(self, dataset: Any, classes: Tuple[str, ...]) -> Iterator[str]:
        """None but those of a list, where there is one."""
        if osp.isfile(dataset.ann_file):
            read_list(dataset.ann_file)
        return iter(())

    def label_problem(self, info: Dict[str, Any], classes: Tuple[str, ...]) -> str:
        """The problem of a mask, as the dataset will number its ids."""
        if not info.get('seg_map_path'):
            return ''
        return mask_problem(info['seg_map_path'], info['img_path'], len(classes),
                            info['reduce_zero_label'], info['label_map'])


def _without_reduction(pipeline: Any) -> Any:
    """A pipeline that leaves ``reduce_zero_label`` to its dataset."""
    if isinstance(pipeline, (list, tuple)):  # mmcv tells sizes by their being tuples
        return type(pipeline)(_without_reduction(step) for step in pipeline)
    if isinstance(pipeline, dict):
        return {key: _without_reduction(value) for key, value in pipeline.items()
                if key != 'reduce_zero_label'}
    return pipeline


def mask_problem(path: str, image: str, num_classes: int, reduce_zero_label: bool,
                 label_map: Optional[dict]) -> str:
    """The problem of a mask: missing, unreadable, coloured, of another size, unknown ids.

    Args:
        path: The mask.
        image: Its image, which is there.
        num_classes: Number of classes.
        reduce_zero_label: Whether 0 is to be ignored and the others count from 1.
        label_map: New class index by the index in the file; None where they agree.
    """
    if not osp.isfile(path):
        return missing_file(path, 'mask')
    changed = tuple(os.stat(file).st_mtime_ns for file in (path, image))
    mapping = None if label_map is None else tuple(sorted(label_map.items()))
    return _read_mask_problem(path, image, changed, num_classes, reduce_zero_label, mapping)


@cache
def _read_mask_problem(path: str, image: str, changed: Tuple[int, int], num_classes: int,
                       reduce_zero_label: bool, label_map: Optional[tuple]) -> str:
    try:
        with Image.open(path) as picture:
            if picture.mode not in ('P', 'L', '1'):
                return (f'{path}: the mask has mode {picture.mode}, not one channel of 8 bits; '
                        f'save it with class ids as pixel values, as PNG with or without a '
                        f'palette')
            mask = np.asarray(picture).astype(np.uint8)
    except UNREADABLE as e:
        return f'{path}: cannot be read as a mask ({e}); replace or remove it'
    with Image.open(image) as picture:
        height, width = upright_size(picture)
    if mask.shape != (height, width):
        return (f'{path}: the mask is {mask.shape[1]}x{mask.shape[0]}, its image '
                f'{width}x{height}; make the mask anew from the image')
    ids = np.arange(256)
    if reduce_zero_label:
        ids = np.concatenate([[255], ids[:254], [255]])
    mapping = dict(label_map or ())
    ids = np.array([mapping.get(i, i) for i in ids.tolist()])
    try:
        # the ids that occur, as the dataset will number them
        check_mask(ids[np.bincount(mask.ravel(), minlength=256) > 0], num_classes, path)
    except ValueError as e:
        return str(e)
    return ''
