"""Views on the real set: what a batch of a stock mm* dataset says."""
import os.path as osp
from dataclasses import replace
from typing import Any, Dict, List, Sequence, Set, Tuple

import numpy as np

from mmdd.structures import BACKGROUND, IGNORE, RealAnnotation, encode_mask
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
        ValueError: If a box leaves its image, a mask holds unknown classes, or
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
    if 'gt_instances' in sample:
        return _detection(sample)
    if 'gt_sem_seg' in sample:
        return _segmentation(sample, classes)
    if 'gt_label' in sample:
        return _classification(sample)
    raise ValueError(
        f'{sample.get("img_path", "an image")}: the pipeline gives no label; end it with '
        f'PackDetInputs, PackSegInputs or PackInputs, after loading the annotations')


def _classification(sample) -> RealAnnotation:
    path = sample.img_path
    image_id = f'{osp.basename(osp.dirname(path))}/{osp.basename(path)}'
    size = tuple(int(v) for v in sample.get('ori_shape', (0, 0))[:2])
    return RealAnnotation(image_id=image_id, path=path, size=size,
                          labels=sample.gt_label.cpu().numpy().astype(np.int64).reshape(-1))


def _segmentation(sample, classes: Sequence[str]) -> RealAnnotation:
    mask = sample.gt_sem_seg.data.cpu().numpy().reshape(sample.gt_sem_seg.shape[-2:])
    present = check_mask(mask, len(classes), sample.get('seg_map_path') or sample.img_path)
    labels = [i for i in present if classes[i] != BACKGROUND]
    return RealAnnotation(
        image_id=osp.splitext(osp.basename(sample.img_path))[0], path=sample.img_path,
        size=tuple(mask.shape), labels=np.array(labels, np.int64),
        mask_png=encode_mask(mask.astype(np.uint8)))


def check_mask(mask: np.ndarray, num_classes: int, where: str) -> List[int]:
    """Check the class indices of a mask and return those that occur, without 255.

    Raises:
        ValueError: If one is unknown; the message says which and where.
    """
    present = [int(i) for i in np.unique(mask) if i != IGNORE]
    unknown = [i for i in present if not 0 <= i < num_classes]
    if unknown:
        raise ValueError(
            f'{where}: the mask holds the class ids {unknown[:8]}, but the dataset has '
            f'{num_classes} classes (0 to {num_classes - 1}, {IGNORE} is ignored); correct the '
            f'mask, metainfo.classes or reduce_zero_label')
    return present


def _detection(sample) -> RealAnnotation:
    instances = sample.gt_instances
    bboxes = instances.bboxes
    bboxes = getattr(bboxes, 'tensor', bboxes).cpu().numpy().astype(np.float32).reshape(-1, 4)
    height, width = _size(sample)
    image_id = str(sample.img_id)
    check_boxes(bboxes, (height, width), sample.img_path)
    # COCO's right and bottom edges may be those of the image; VOC's are pixels inside.
    limit = np.array([width, height] * 2, np.float32)
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
        if x1 < -1 or y1 < -1 or x2 > width + 1 or y2 > height + 1:
            raise ValueError(
                f'{where}: box {box.tolist()} leaves the {width}x{height} image; correct its '
                f'annotation')
        if x2 <= x1 or y2 <= y1:
            raise ValueError(f'{where}: box {box.tolist()} is empty; correct its annotation')


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
    from PIL import Image, ImageOps, UnidentifiedImageError
    try:
        with Image.open(path) as image:
            picture, wanted = read_rgb(image), (size[1], size[0])
            picture = ImageOps.fit(picture, wanted, Image.BILINEAR) if crop else picture.resize(
                wanted, Image.BILINEAR)
    except (UnidentifiedImageError, OSError) as e:
        raise ValueError(f'{path}: cannot be read as an image ({e}); replace or remove it'
                         ) from None
    return np.asarray(picture)
