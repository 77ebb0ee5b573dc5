"""What mmdd keeps of one real image: its labels and where to find it."""
from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np

from .mask import decode_mask, resize_mask


@dataclass
class RealAnnotation:
    """The labels of one real image.

    Attributes:
        image_id: Name of the image in its dataset.
        path: Image file.
        size: (height, width) of the image in pixels; (0, 0) where the dataset
            does not say.
        labels: (M,) int64 class indices: the class in classification, one per
            object in detection, the classes present (without 'background') in
            segmentation.
        bboxes: (M, 4) float32 xyxy in pixels of the image; None if the task
            has no boxes.
        mask_png: The mask as a compressed PNG; None if the task has no masks.
    """
    image_id: str
    path: str
    size: Tuple[int, int]
    labels: np.ndarray
    bboxes: Optional[np.ndarray] = None
    mask_png: Optional[bytes] = None

    @property
    def mask(self) -> Optional[np.ndarray]:
        """(H, W) uint8 class indices, 255 to ignore; None without a mask."""
        return None if self.mask_png is None else decode_mask(self.mask_png)

    def scaled_bboxes(self, size: Tuple[int, int]) -> Optional[np.ndarray]:
        """Boxes (M, 4) after stretching the image to ``size`` (height, width)."""
        if self.bboxes is None:
            return None
        factor = np.array([size[1] / self.size[1], size[0] / self.size[0]] * 2, np.float32)
        return self.bboxes * factor

    def scaled_mask(self, size: Tuple[int, int]) -> Optional[np.ndarray]:
        """Mask of ``size`` (height, width) after stretching the image, nearest neighbour."""
        mask = self.mask
        return None if mask is None else resize_mask(mask, size)
