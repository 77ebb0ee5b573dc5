"""What every reader of a format returns, and the files it looks at."""
import os
import os.path as osp
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from mmdd.utils.config import suggestion
from ..formats.class_folder import READ_SUFFIXES

# Images that cameras and browsers write and that the stock dataset classes do not look for.
OTHER_IMAGES = ('.webp', '.gif', '.tiff', '.heic', '.avif', '.jfif')
# Files that may hold the data, or more of it.
ARCHIVES = ('.zip', '.tar', '.gz', '.tgz', '.bz2', '.xz', '.7z', '.rar')
SPLIT_NAMES = {
    'train': 'train', 'training': 'train', 'trainval': 'train', 'val': 'val', 'valid': 'val',
    'validation': 'val', 'dev': 'val', 'test': 'test', 'testing': 'test'}


@dataclass
class Record:
    """One image and its labels.

    Attributes:
        image: File relative to the folder of the survey, with ``/``.
        labels: Class name of each object; of a class folder one, of a mask those that occur.
        annotation: File that holds the labels, relative too; '' where there is none.
        boxes: (x1, y1, x2, y2) in pixels of each object; None without boxes.
        ignored: For each object whether it counts neither way (difficult, crowd).
        size: (height, width) that the annotation gives; None where it does not.
        extra: What the reader needs to write the record down again.
    """
    image: str
    labels: Tuple[str, ...] = ()
    annotation: str = ''
    boxes: Optional[List[Tuple[float, float, float, float]]] = None
    ignored: Tuple[bool, ...] = ()
    size: Optional[Tuple[int, int]] = None
    extra: Any = None


@dataclass
class Survey:
    """What a folder holds.

    Attributes:
        folder: The folder, absolute.
        format: 'class folders', 'VOC', 'COCO' or 'masks'.
        task: 'cls', 'det' or 'seg'.
        classes: Class names by label index.
        splits: Records by 'train', 'val' and 'test'; images that cannot be used are not
            among them.
        oddities: What is unusual, one line each.
        sizes: (height, width) of every usable image by its file.
        layout: What a dataset class needs beyond the lists, by the format.
        made: Split that was made here because the folder has none; ''.
    """
    folder: str
    format: str
    task: str
    classes: Tuple[str, ...]
    splits: Dict[str, List[Record]]
    oddities: List[str] = field(default_factory=list)
    sizes: Dict[str, Tuple[int, int]] = field(default_factory=dict)
    layout: Dict[str, Any] = field(default_factory=dict)
    made: str = ''

    @property
    def measured(self) -> str:
        """Name of the split that students are measured on."""
        return 'test' if 'test' in self.splits else 'val'

    def images(self, split: str = 'train') -> Counter:
        """Number of images with each class in a split."""
        return Counter(name for record in self.splits.get(split, ())
                       for name in set(record.labels))

    def objects(self, split: str = 'train') -> Counter:
        """Number of objects of each class in a split; of masks, of images."""
        return Counter(name for record in self.splits.get(split, ()) for name in record.labels)


class Tree:
    """The visible files below a folder, also behind links.

    Args:
        folder: The folder. Where it holds nothing but one folder and files that are no data,
            that folder is taken.

    Raises:
        FileNotFoundError: If it is no folder.
        ValueError: If it holds no image.
    """

    def __init__(self, folder: str) -> None:
        if not osp.isdir(folder):
            raise FileNotFoundError(f'{folder} is no folder: give the folder of your data')
        self.folder = _descend(osp.abspath(folder))
        self.files = sorted(self._walk())
        self.beside = sorted(_listed(folder, self.folder))
        self.archives = sorted({osp.basename(file) for file in (*self.beside, *self.files)
                                if file.lower().endswith(ARCHIVES)})
        self.images = [file for file in self.files if file.lower().endswith(READ_SUFFIXES)]
        if not self.images:
            raise ValueError(f'{folder}: no images ({", ".join(READ_SUFFIXES)}) in it or below; '
                             f'give the folder that holds them{self._unread(" and convert ")}'
                             + (f', or unpack {few(self.archives)}' if self.archives else ''))

    def _walk(self, folder: str = '', above: Tuple[str, ...] = ()) -> Iterable[str]:
        real = osp.realpath(self.path(folder))
        if real in above:  # a link leads to where it comes from
            return
        for entry in os.scandir(real):
            if _visible(entry.name):
                file = f'{folder}/{entry.name}' if folder else entry.name
                if entry.is_dir():
                    yield from self._walk(file, (*above, real))
                else:
                    yield file

    def with_suffix(self, suffix: str) -> List[str]:
        """Files whose name ends so."""
        return [file for file in self.files if file.lower().endswith(suffix)]

    def path(self, file: str) -> str:
        """Absolute path of a file."""
        return osp.join(self.folder, file)

    def oddities(self) -> List[str]:
        """What lies there and is not read."""
        unread, found = self._unread(''), []
        if unread:
            found.append(f'{unread} are not read by the stock dataset classes; convert them to '
                         f'.jpg or .png')
        if self.archives:
            found.append(f'{few(self.archives)} is not looked into; unpack what belongs to the '
                         f'data')
        return found

    def _unread(self, before: str) -> str:
        counts = Counter(osp.splitext(file)[1].lower() for file in self.files
                         if file.lower().endswith(OTHER_IMAGES))
        return before + ', '.join(f'{number} {suffix} files' for suffix, number in
                                  sorted(counts.items())) if counts else ''


def unread_labels(tree: Tree) -> str:
    """What to do about labels in files that no reader knows; '' where there are none."""
    stems = {osp.splitext(osp.basename(file))[0] for file in tree.images}
    yolo = [file for file in tree.with_suffix('.txt')
            if osp.splitext(osp.basename(file))[0] in stems]
    if yolo:
        return (f'{len(yolo)} text files have the name of an image, as labels of YOLO do '
                f'({few(yolo)}): export them as COCO JSON or VOC XML')
    tables = [file for file in (*tree.beside, *tree.files)
              if file.lower().endswith(('.csv', '.tsv', '.parquet'))]
    return (f'tables of labels are not read ({few(tables)}): sort the images into a folder per '
            f'class, or write COCO JSON') if tables else ''


def _visible(name: str) -> bool:
    return not name.startswith(('.', '__MACOSX'))


def _listed(folder: str, below: str) -> Iterable[str]:
    """The files beside the folders on the way to one of them."""
    while below != osp.abspath(folder):
        below = osp.dirname(below)
        yield from (entry.name for entry in os.scandir(below) if entry.is_file())


def _descend(folder: str) -> str:
    while True:
        entries = [entry for entry in os.scandir(folder) if _visible(entry.name)]
        folders = [entry for entry in entries if entry.is_dir()]
        data = [entry for entry in entries if entry.is_file() and entry.name.lower().endswith(
            READ_SUFFIXES + OTHER_IMAGES + ('.xml', '.json'))]
        if len(folders) != 1 or data or split_of(f'{folders[0].name}/x'):
            return folder
        folder = folders[0].path


def split_of(file: str) -> str:
    """The split that a folder in a relative path names: 'train', 'val', 'test' or ''."""
    for part in file.split('/')[:-1]:
        name = part.lower().rstrip('0123456789')
        if name in SPLIT_NAMES:
            return SPLIT_NAMES[name]
    return ''


def by_split(records: Iterable[Record]) -> Dict[str, List[Record]]:
    """Records by the split that their path names; all in 'train' where one names none."""
    splits: Dict[str, List[Record]] = {}
    for record in records:
        splits.setdefault(split_of(record.image) or 'train', []).append(record)
    return splits


def check_asked(tree: Tree, classes: Optional[Sequence[str]], known: Iterable[str]) -> None:
    """Check that the class names that were asked for are those of boxes.

    Raises:
        ValueError: If one is not; the message suggests the nearest.
    """
    names = set(known)
    for name in classes or ():
        if name not in names:
            raise ValueError(f'{tree.folder}: --classes {name}: nothing has this name'
                             f'{suggestion(name, names)}; there are {few(sorted(names))}')


def few(names: Sequence[Any]) -> str:
    """The first three of some names."""
    return ', '.join(map(str, names[:3])) + (f' and {len(names) - 3} more'
                                             if len(names) > 3 else '')
