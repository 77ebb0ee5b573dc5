"""Distilled sets in class folders."""
import os
import os.path as osp
import re
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple, Union

import numpy as np

from mmdd.registry import FORMATS, TASK_UTILS
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.io import atomic_copy, atomic_save_image, atomic_write_text
from mmdd.utils.photograph import read_array
from ..class_names import class_wnids, synset_names, table_of
from ..file_checks import missing_file, read_list, shorten
from .base import BaseWriter
from .set_format import SetFormat, listed_names, require_files

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
        self._folders: Optional[Tuple[Sequence[str], List[str]]] = None

    def class_folders(self, classes: Sequence[str]) -> List[str]:
        """Folder names by class index; sorted.

        Raises:
            ValueError: If WordNet ids are asked for and missing or unsorted.
        """
        if self._folders is None or self._folders[0] != classes:
            # Once, not for every image: there may be a thousand classes.
            self._folders = (classes, self._name_folders(classes))
        return self._folders[1]

    def _name_folders(self, classes: Sequence[str]) -> List[str]:
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
            assert sample.image is not None
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


def _only_label(labels: np.ndarray, slot: int) -> int:
    if len(labels) != 1:
        raise ValueError(f'ClassFolderWriter cannot write slot {slot}: it has {len(labels)} '
                         f'labels instead of one; use VOCWriter or COCOWriter for detection and '
                         f'SegMapWriter for segmentation')
    return int(labels[0])


def _kept_suffix(path: str) -> str:
    suffix = osp.splitext(path)[1]
    return suffix if suffix.lower() in READ_SUFFIXES else ''


@FORMATS.register_module()
class ClassFolderFormat(SetFormat):
    """Lines of image and class index; the names of the folders do not matter."""

    name = 'class-folder'
    task = 'classification'
    marker = 'meta/*.txt'
    writer = ClassFolderWriter

    def check(self, folder: str, file: str,
              classes: Optional[Sequence[str]]) -> List[Tuple[str, ...]]:
        """The images; labels must be class indices."""
        images = []
        for line in listed_names(folder, file):
            path, _, label = line.rpartition(' ')
            if not path or not label.isdigit():
                raise ValueError(f'{folder}: {file} has the line {line!r}; expected an image and '
                                 f'its class index')
            if classes and int(label) >= len(classes):
                raise ValueError(f'{folder}: {file} gives {path} class {label}, the protocol has '
                                 f'classes 0 to {len(classes) - 1}')
            images.append(f'{_split(file)}/{path}')
        require_files(folder, file, images)
        return [(image, ) for image in images]

    def student_dataset(self, folder: str, file: str, leaf: Dict[str, Any],
                        classes: Optional[Sequence[str]]) -> Dict[str, Any]:
        """The dataset class of the protocol, by the list and not by the folders."""
        # ``split`` is ImageNet's short form of the other two.
        return dict(data_root=folder, ann_file=file, data_prefix=_split(file),
                    **(dict(split='') if leaf.get('split') else {}))

    def is_format_of(self, dataset: Any) -> bool:
        """Whether it is a ``CustomDataset`` of mmpretrain, such as ``ImageNet``."""
        return hasattr(dataset, 'with_label')

    def list_problems(self, dataset: Any, classes: Tuple[str, ...]) -> Iterator[str]:
        """Problems of the list, or of the folders where there is none."""
        if not dataset.with_label:
            return
        if dataset.ann_file:
            yield label_list_problem(dataset.ann_file, len(classes))
        else:
            yield from class_folder_problems(dataset.img_prefix, classes, dataset.extensions)


def _split(file: str) -> str:
    """The split, and so the folder of images, of ``meta/<split>.txt``."""
    return osp.splitext(osp.basename(file))[0]


def label_list_problem(path: str, num_classes: int) -> str:
    """The first problem of a list of 'path label' lines, '' if there is none."""
    for number, line in enumerate(read_list(path), 1):
        label = line.strip().rsplit(' ', 1)[-1]
        if not re.fullmatch(r'\d+', label) or ' ' not in line.strip():
            return (f'{path}:{number}: {line[:60]!r} is not an image path, a blank and a class '
                    f'index; correct the line')
        if num_classes and int(label) >= num_classes:
            return (f'{path}:{number}: class index {label}, but the dataset has {num_classes} '
                    f'classes (0 to {num_classes - 1}); correct the line or metainfo.classes')
    return ''


def class_folder_problems(root: str, classes: Tuple[str, ...],
                          suffixes: Sequence[str]) -> Iterator[str]:
    """Problems of class folders, whose sorted names number the classes.

    Args:
        root: The folder that holds them.
        classes: Class names of the dataset; empty where the folders name them.
        suffixes: Suffixes of images.
    """
    if not osp.isdir(root):
        yield (f'{root}: the class folders are missing; check data_root and data_prefix of '
               f'train_dataloader.dataset')
        return
    folders = sorted(entry.name for entry in os.scandir(root)
                     if entry.is_dir() and not entry.name.startswith('.'))
    if classes:
        yield _folder_name_problem(root, folders, classes)
    for folder in folders:
        yield _image_problem(osp.join(root, folder), tuple(suffixes))


def _image_problem(folder: str, suffixes: Tuple[str, ...]) -> str:
    """The problem of a class folder without images, or with a link that leads nowhere."""
    found = False
    for base, _, names in os.walk(folder):
        for name in names:
            if name.lower().endswith(suffixes):
                path, found = osp.join(base, name), True
                if osp.islink(path) and not osp.exists(path):
                    return missing_file(path, 'image')
    return '' if found else (f'{folder}: the class has no images; add some, or remove the folder '
                             f'and the class')


def _folder_name_problem(root: str, folders: List[str], classes: Tuple[str, ...]) -> str:
    known = [_folder_names(folder) for folder in folders]
    wanted = [_normal(name) for name in classes]
    everything: Set[str] = set().union(*known)
    unknown = [folder for folder, names in zip(folders, known) if not names & set(wanted)]
    missing = [name for name, key in zip(classes, wanted) if key not in everything]
    # Folders of other words than the class names can only be counted.
    comparable = len(missing) < len(classes)
    if len(folders) != len(classes) or (comparable and (unknown or missing)):
        details = (f'; unknown folders: {shorten(unknown) or "none"}; classes without a folder: '
                   f'{shorten(missing) or "none"}') if comparable else ''
        return (f'{root}: {len(folders)} class folders for {len(classes)} classes{details}; '
                f'correct metainfo.classes or the folders')
    for i, (folder, names, key) in enumerate(zip(folders, known, wanted)):
        if comparable and key not in names:
            words = synset_names().get(folder)
            meaning = f' ({words.split(",")[0]})' if words else ''
            return (f'{root}: sorted folder {i} is {folder}{meaning}, but class {i} is '
                    f'{classes[i]!r}; list metainfo.classes in the order of the sorted folders')
    return ''


def _folder_names(folder: str) -> Set[str]:
    """What a folder may be called: its name without an index, or the words of its wnid."""
    words = synset_names().get(folder)
    return {_normal(folder)} if words is None else {_normal(w) for w in words.split(', ')}


def _normal(name: str) -> str:
    name = re.sub(r'^\d+[._-]+(?=.)', '', name.split(',')[0])
    return re.sub(r'[\W_]+', '_', name.lower()).strip('_')
