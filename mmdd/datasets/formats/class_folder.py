"""Distilled sets in class folders."""
import os
import os.path as osp
import re
from typing import List, Sequence, Union

from mmdd.registry import TASK_UTILS
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.io import atomic_copy, atomic_save_image, atomic_write_text
from mmdd.utils.photograph import read_array
from ..class_names import class_wnids, table_of
from .base import BaseWriter

# What mmpretrain's CustomDataset takes for an image.
READ_SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif')


@TASK_UTILS.register_module()
class ClassFolderWriter(BaseWriter):
    """Writes ``<split>/<class>/<id>.png`` and ``meta/<split>.txt``.

    Stock ``mmpretrain.CustomDataset`` numbers the classes by the sorted folder
    names, so the folders sort in the order of the class indices, and every
    class has one, be it empty. ``mmpretrain.ImageNet`` reads the list in
    ``meta``, lines of path and label. Real images of a coreset are copied byte
    for byte and keep their suffix.

    Args:
        split: Name of the split that the images form.
        folders: 'names': the class names where they are sorted, else with the
            index before them, as in ``003_cat``. 'wnid': the WordNet ids of
            ImageNet and its subsets.
        wnids: WordNet ids by class index, or the name of a class-name table;
            None finds the table by the class names.
        suffix: '.png', lossless, or '.jpg' of quality 98, for synthetic images.
    """

    def __init__(self,
                 split: str = 'train',
                 folders: str = 'names',
                 wnids: Union[None, str, Sequence[str]] = None,
                 suffix: str = '.png') -> None:
        super().__init__(split)
        if folders not in ('names', 'wnid') or suffix not in ('.png', '.jpg'):
            raise ValueError(f"ClassFolderWriter: folders must be 'names' or 'wnid' and suffix "
                             f"'.png' or '.jpg', got {folders!r} and {suffix!r}")
        self.folders = folders
        self.wnids = class_wnids(wnids) if isinstance(wnids, str) else wnids
        self.suffix = suffix

    def class_folders(self, classes: Sequence[str]) -> List[str]:
        """Folder names by class index; sorted.

        Raises:
            ValueError: If WordNet ids are asked for and missing or unsorted.
        """
        if self.folders == 'names':
            return name_folders(classes)
        wnids = self.wnids
        if wnids is None:
            table = table_of(classes)
            wnids = class_wnids(table) if table else ()
        if len(wnids) != len(classes) or list(wnids) != sorted(set(wnids)):
            raise ValueError(
                f'ClassFolderWriter: {len(classes)} classes ({", ".join(classes)[:60]}) have no '
                f'WordNet ids in sorted order; give writer.wnids, or folders=\'names\'')
        return list(wnids)

    def check(self, classes: Sequence[str], slots: Sequence[DistillSlot]) -> None:
        """Check the folder names and that every slot has one label."""
        self.class_folders(classes)
        for slot in slots:
            _only_label(slot.labels, slot.id)

    def write(self, sample: DistilledSample, out_dir: str, classes: Sequence[str]) -> List[str]:
        """Write the image of one sample into the folder of its class."""
        file = f'{self.split}/{self._file(sample, self.class_folders(classes))}'
        if sample.path and _kept_suffix(sample.path):
            atomic_copy(sample.path, osp.join(out_dir, file))
        elif sample.path:
            atomic_save_image(osp.join(out_dir, file), read_array(sample.path))
        else:
            atomic_save_image(osp.join(out_dir, file), sample.image)
        return [file]

    def _file(self, sample: DistilledSample, folders: Sequence[str]) -> str:
        suffix = _kept_suffix(sample.path) or self.suffix
        return f'{folders[_only_label(sample.labels, sample.slot.id)]}/{self.name(sample)}{suffix}'

    def close(self, samples: Sequence[DistilledSample], out_dir: str,
              classes: Sequence[str]) -> List[str]:
        """Make the folders of all classes and write the list of images and labels."""
        folders = self.class_folders(classes)
        for folder in folders:
            os.makedirs(osp.join(out_dir, self.split, folder), exist_ok=True)
        meta = f'meta/{self.split}.txt'
        atomic_write_text(osp.join(out_dir, meta), ''.join(
            f'{self._file(sample, folders)} {int(sample.labels[0])}\n' for sample in samples))
        return [meta]


def name_folders(classes: Sequence[str]) -> List[str]:
    """Folder names made of class names, sorted in the order of the classes.

    Letters, digits, '.', '-' and '_' stay; anything else becomes '_'. Names that
    are not sorted, or not distinct, get their index before them.
    """
    # A leading dot would hide the folder from mmengine.
    plain = [re.sub(r'[^\w.-]+', '_', name.split(',')[0].strip()).lstrip('.') for name in classes]
    if all(plain) and plain == sorted(set(plain)):
        return plain
    digits = max(3, len(str(len(classes) - 1)))
    return [f'{i:0{digits}d}_{name}' for i, name in enumerate(plain)]


def _only_label(labels: Sequence[int], slot: int) -> int:
    if len(labels) != 1:
        raise ValueError(f'ClassFolderWriter cannot write slot {slot}: it has {len(labels)} '
                         f'labels instead of one; use VOCWriter or COCOWriter for detection and '
                         f'SegMapWriter for segmentation')
    return int(labels[0])


def _kept_suffix(path: str) -> str:
    suffix = osp.splitext(path)[1]
    return suffix if suffix.lower() in READ_SUFFIXES else ''
