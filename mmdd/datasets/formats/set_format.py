"""The interface of formats: how a set on disk is told, checked and read."""
import glob
import os.path as osp
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from mmdd.registry import FORMATS
from ..file_checks import image_problem, read_list
from ..manifest import IMAGE_SUFFIXES
from .base import BaseWriter


@dataclass
class SetContent:
    """What a set is made of.

    Attributes:
        images: Number of images; None where files do not tell.
        files: Its files relative to the folder, lists first.
        changes: Fields of a student's innermost dataset config that point it to the set.
    """
    images: Optional[int]
    files: List[str]
    changes: Dict[str, Any]


class SetFormat:
    """A format of sets; this one knows nothing of its files.

    Subclasses are registered in FORMATS, and say of a distilled set how a student reads
    it, and of a real set what is wrong with it.

    Attributes:
        name: What it is called in messages.
        task: Task of its labels: classification, detection or segmentation.
        marker: Pattern of its lists of images, relative to the folder of a set.
        writer: Class of its writer.
    """

    name = task = marker = ''
    writer = BaseWriter

    def lists(self, folder: str) -> List[str]:
        """The lists of images that make a folder one of this format, relative to it."""
        found = glob.glob(osp.join(glob.escape(folder), self.marker))
        return sorted(osp.relpath(path, folder).replace(osp.sep, '/') for path in found)

    def train_list(self, folder: str) -> str:
        """The list of the images to train on.

        Raises:
            ValueError: If there are several and none is called train.
        """
        found = self.lists(folder)
        wanted = [name for name in found if osp.splitext(osp.basename(name))[0] in (
            'train', 'instances_train2017')]
        if not wanted and len(found) > 1:
            raise ValueError(f'{folder} has several lists ({", ".join(found)}) and none is called '
                             f'train: keep one of them')
        return (wanted or found)[0]

    def content(self, folder: str, leaf: Dict[str, Any],
                classes: Optional[Sequence[str]]) -> SetContent:
        """Check a set of this format and say how a student reads it.

        Args:
            folder: Folder of the set.
            leaf: Innermost config of the dataset that the student is written for.
            classes: Class names by index of the student; None where they are not known.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If the set is empty, damaged or of other classes.
        """
        file = self.train_list(folder)
        files = self.check(folder, file, classes)
        return SetContent(len(files), [file] + [name for own in files for name in own],
                          self.student_dataset(folder, file, leaf, classes))

    def reads(self, leaf: Dict[str, Any]) -> bool:
        """Whether a dataset config of this task reads this format."""
        return True

    def check(self, folder: str, file: str,
              classes: Optional[Sequence[str]]) -> List[Tuple[str, ...]]:
        """The files of each image that a list names, relative to the folder; all are sound."""
        raise NotImplementedError

    def student_dataset(self, folder: str, file: str, leaf: Dict[str, Any],
                        classes: Optional[Sequence[str]]) -> Dict[str, Any]:
        """Fields of a student's innermost dataset config that point it to a set."""
        raise NotImplementedError

    def is_format_of(self, dataset: Any) -> bool:
        """Whether a built mm* dataset reads this format."""
        return False

    def list_problems(self, dataset: Any, classes: Tuple[str, ...]) -> Iterator[str]:
        """Problems of what lists the images and labels of a real set; '' is none.

        Args:
            dataset: A built mm* dataset that has not read its list yet.
            classes: Its class names.
        """
        return iter(())

    def label_problem(self, info: Dict[str, Any], classes: Tuple[str, ...]) -> str:
        """The problem of the file with the labels of one image of a real set, else ''."""
        return ''

    def originals(self, dataset: Any, wanted: Set[str]) -> Iterator[Tuple[str, Dict[str, Any]]]:
        """What the files of a real set say of the images ``wanted``, by absolute path."""
        return iter(())


def all_formats() -> List[SetFormat]:
    """Every format that is registered, the newest first: a plug-in's comes before ours."""
    return [kind() for kind in reversed(FORMATS.module_dict.values())]


def format_of(dataset: Any) -> SetFormat:
    """The format that a built mm* dataset reads; the base class where none is known."""
    return next((each for each in all_formats() if each.is_format_of(dataset)), SetFormat())


def listed_names(folder: str, file: str) -> List[str]:
    """The lines of a list of images, without blank ones.

    Raises:
        ValueError: If there are none.
    """
    names = [line.strip() for line in read_list(osp.join(folder, file)) if line.strip()]
    if not names:
        raise ValueError(f'{folder}: {file} lists no image')
    return names


def require_files(folder: str, listed_in: str, files: Sequence[str]) -> None:
    """Check that listed files are there, and that the images among them can be read.

    Raises:
        FileNotFoundError: If one is missing.
        ValueError: If an image cannot be read.
    """
    for file in files:
        if not osp.isfile(osp.join(folder, file)):
            raise FileNotFoundError(f'{folder}: {file} is listed in {listed_in} but missing')
    images = [osp.join(folder, file) for file in files if file.lower().endswith(IMAGE_SUFFIXES)]
    for problem in map(image_problem, images, repeat(None)):
        if problem:
            raise ValueError(problem)
