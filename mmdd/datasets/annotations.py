"""Views on the real set: what a batch of a stock mm* dataset says."""
from typing import Any, Dict, List, Tuple

import numpy as np

from mmdd.structures import RealAnnotation


def annotations_from_batch(data_batch: Dict[str, Any]) -> List[RealAnnotation]:
    """Read the labels of a batch as an mm* dataloader gives it.

    Boxes that the dataset marks as ignored (VOC's difficult ones) are left out;
    boxes that stick out by at most one pixel are clipped.

    Args:
        data_batch: Dict with ``data_samples``, a list of ``DetDataSample``.

    Raises:
        ValueError: If a box leaves its image.
    """
    return [_detection(sample) for sample in data_batch['data_samples']]


def _detection(sample) -> RealAnnotation:
    instances = sample.gt_instances
    bboxes = instances.bboxes
    bboxes = getattr(bboxes, 'tensor', bboxes).cpu().numpy().astype(np.float32).reshape(-1, 4)
    height, width = _size(sample)
    image_id = str(sample.img_id)
    check_boxes(bboxes, (height, width), sample.img_path)
    limit = np.array([width - 1, height - 1] * 2, np.float32)
    return RealAnnotation(
        image_id=image_id, path=sample.img_path, size=(height, width),
        labels=instances.labels.cpu().numpy().astype(np.int64),
        bboxes=np.clip(bboxes, 0, limit))


def _size(sample) -> Tuple[int, int]:
    if 'height' in sample:
        return int(sample.height), int(sample.width)
    return tuple(int(v) for v in sample.ori_shape[:2])


def check_boxes(bboxes: np.ndarray, size: Tuple[int, int], where: str) -> None:
    """Check that boxes lie in their image, with a tolerance of one pixel.

    Raises:
        ValueError: If one does not, or has no area; the message says which.
    """
    height, width = size
    for box in bboxes:
        x1, y1, x2, y2 = box
        if x1 < -1 or y1 < -1 or x2 > width or y2 > height:
            raise ValueError(
                f'{where}: box {box.tolist()} leaves the {width}x{height} image; correct its '
                f'annotation')
        if x2 <= x1 or y2 <= y1:
            raise ValueError(f'{where}: box {box.tolist()} is empty; correct its annotation')


def load_image(path: str, size: Tuple[int, int]) -> np.ndarray:
    """Read an image as RGB and stretch it to ``size`` (height, width), uint8.

    Raises:
        ValueError: If the file cannot be read as an image.
    """
    from PIL import Image, UnidentifiedImageError
    try:
        with Image.open(path) as image:
            picture = image.convert('RGB').resize((size[1], size[0]), Image.BILINEAR)
    except (UnidentifiedImageError, OSError) as e:
        raise ValueError(f'{path}: cannot be read as an image ({e}); replace or remove it'
                         ) from None
    return np.asarray(picture)
