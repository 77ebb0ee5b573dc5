"""What mmdd keeps of one real image: its labels and where to find it."""
from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np


@dataclass
class RealAnnotation:
    """The labels of one real image.

    Attributes:
        image_id: Name of the image in its dataset.
        path: Image file.
        size: (height, width) of the image in pixels.
        labels: (M,) int64 class indices; one per object in detection.
        bboxes: (M, 4) float32 xyxy in pixels of the image; None if the task
            has no boxes.
    """
    image_id: str
    path: str
    size: Tuple[int, int]
    labels: np.ndarray
    bboxes: Optional[np.ndarray] = None

    def scaled_bboxes(self, size: Tuple[int, int]) -> np.ndarray:
        """Boxes (M, 4) after stretching the image to ``size`` (height, width)."""
        factor = np.array([size[1] / self.size[1], size[0] / self.size[0]] * 2, np.float32)
        return self.bboxes * factor
