"""The interface of writers."""
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.io import atomic_copy, atomic_save_image
from mmdd.utils.photograph import read_rgb, upright_size


class BaseWriter:
    """Writes samples in a standard dataset format.

    Writing is idempotent: the same samples give the same files, so an
    interrupted writer is simply run again.

    Args:
        split: Name of the split that the images form.
    """

    def __init__(self, split: str = 'train') -> None:
        self.split = split

    def name(self, sample: DistilledSample) -> str:
        """File name of a sample without suffix."""
        return f'{sample.slot.id:06d}'

    def follow(self, dataset: Any) -> None:
        """Take over what the files of the real set, a built mm* dataset, are read by.

        A set in the format of the real one is then read by the same dataset class with
        the same settings.
        """

    def facts(self) -> Dict[str, Any]:
        """What a reader of the set has to know, for ``format`` in the manifest."""
        return dict(writer=type(self).__name__)

    def check(self, classes: Sequence[str], slots: Sequence[DistillSlot]) -> None:
        """Check, before anything is made, that samples of these slots can be written.

        Raises:
            ValueError: If not: labels of another task, class names that do not
                fit the layout.
        """

    def write(self, sample: DistilledSample, out_dir: str, classes: Sequence[str]) -> List[str]:
        """Write one sample and return its files relative to ``out_dir``, image first."""
        raise NotImplementedError

    def close(self, samples: Sequence[DistilledSample], out_dir: str,
              classes: Sequence[str]) -> List[str]:
        """Write what belongs to the whole set; returns files like :meth:`write`.

        Args:
            samples: All samples; their images may be gone already.
            out_dir: Folder of the set.
            classes: Class names by index.
        """
        raise NotImplementedError


def write_jpeg(sample: DistilledSample, path: str) -> Tuple[int, int]:
    """Write the image of a sample as JPEG and return its (height, width), upright.

    Synthetic images are saved at quality 98. A JPEG of a coreset is copied byte
    for byte, an image of another format is converted.
    """
    if not sample.path:
        assert sample.image is not None
        atomic_save_image(path, sample.image)
        height, width = sample.image.shape[:2]
        return height, width
    with Image.open(sample.path) as picture:
        size = upright_size(picture)
        if picture.format == 'JPEG':
            atomic_copy(sample.path, path)
        else:
            atomic_save_image(path, np.asarray(read_rgb(picture)))
    return size


def original_of(sample: DistilledSample, format: str) -> Optional[Dict[str, Any]]:
    """The record of the real image that a sample hands on; None where it does not.

    An image that was changed, or labelled anew, has its own labels alone.
    """
    original = sample.slot.original
    if not sample.path or sample.label_source != 'real' or original is None:
        return None
    return original if original['format'] == format else None


def image_size(path: str) -> Tuple[int, int]:
    """(height, width) of an image file, upright, from its header."""
    with Image.open(path) as picture:
        return upright_size(picture)


def require(field: str, slots: Sequence[DistillSlot], writer: str, fix: str) -> None:
    """Check that every slot has boxes or a mask.

    Raises:
        ValueError: If one has none.
    """
    for slot in slots:
        if getattr(slot, field) is None:
            raise ValueError(f'{writer} cannot write slot {slot.id}: it has no {field}; {fix}')
