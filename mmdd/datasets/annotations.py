"""Views on the real set: what a batch of a stock mm* dataset says."""
import os.path as osp
from dataclasses import replace
from typing import Any, Dict, List, Sequence, Set, Tuple

import numpy as np

from mmdd.structures import RealAnnotation, read_target
from mmdd.utils.photograph import read_rgb


def annotations_from_batch(data_batch: Dict[str, Any],
                           classes: Sequence[str]) -> List[RealAnnotation]:
    """Read the labels of a batch as an mm* dataloader gives it.

    Boxes that the dataset marks as ignored (VOC's difficult ones) are left out;
    boxes that stick out by at most one pixel are clipped to the image.

    Args:
        data_batch: Dict with ``data_samples``, a list of ``DetDataSample``,
            ``SegDataSample`` or mmpretrain's ``DataSample``.
        classes: Class names by index.

    Raises:
        ValueError: If a box exceeds its image, a mask holds unknown classes, or
            a sample has no label of a known kind.
    """
    return [_read_sample(sample, classes) for sample in data_batch['data_samples']]


def with_unique_ids(annotations: Sequence[RealAnnotation]) -> List[RealAnnotation]:
    """Give different images that share an id, as frames of several folders do, ids of their own.

    These are their paths below the folder that holds all images. Other ids stay.
    """
    paths: Dict[str, Set[str]] = {}
    for annotation in annotations:
        paths.setdefault(annotation.image_id, set()).add(osp.abspath(annotation.path))
    shared = {image_id for image_id, files in paths.items() if len(files) > 1}
    if not shared:
        return list(annotations)
    root = osp.commonpath([osp.dirname(path) for files in paths.values() for path in files])
    return [replace(annotation, image_id=osp.relpath(annotation.path, root).replace(osp.sep, '/'))
            if annotation.image_id in shared else annotation for annotation in annotations]


def _read_sample(sample, classes: Sequence[str]) -> RealAnnotation:
    found = read_target(sample, classes)
    if found is None:
        raise ValueError(
            f'{sample.get("img_path", "an image")}: the pipeline gives no label; end it with '
            f'PackDetInputs, PackSegInputs or PackInputs, after loading the annotations')
    return RealAnnotation(found.image_id, sample.img_path, found.size, target=found.target)


def load_image(path: str, size: Tuple[int, int], crop: bool = False) -> np.ndarray:
    """Read an image as RGB, upright, and bring it to ``size`` (height, width), uint8.

    Args:
        path: The image file.
        size: (height, width) in pixels.
        crop: Keep the shape of things and cut off what sticks out on both sides, in
            place of stretching.

    Raises:
        ValueError: If the file cannot be read as an image.
    """
    from PIL import Image, UnidentifiedImageError
    try:
        with Image.open(path) as image:
            picture = fit_size(read_rgb(image), size, crop)
    except (UnidentifiedImageError, OSError) as e:
        raise ValueError(f'{path}: cannot be read as an image ({e}); replace or remove it'
                         ) from None
    return np.asarray(picture)


def fit_size(picture: Any, size: Tuple[int, int], crop: bool = False) -> Any:
    """Bring a picture of PIL to ``size``, bilinear; arguments as of :func:`load_image`."""
    from PIL import Image, ImageOps
    wanted, bilinear = (size[1], size[0]), Image.Resampling.BILINEAR
    return ImageOps.fit(picture, wanted, bilinear) if crop else picture.resize(wanted, bilinear)
