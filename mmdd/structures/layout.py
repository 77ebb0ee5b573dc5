"""What is asked of one slot: the labels of a real image, or objects of several."""
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Optional, Tuple

import numpy as np

from .mask import decode_mask, resize_mask


class Source(NamedTuple):
    """A real image that labels come from.

    Attributes:
        image_id: Name of the image in its dataset.
        path: Image file.
    """
    image_id: str
    path: str


class Part(NamedTuple):
    """An object of a composed layout.

    Attributes:
        path: Image file that it is from.
        label: Its class index.
        box: (4,) xyxy where it is in its image, stretched to the canvas.
        place: (4,) xyxy where it goes on the canvas.
    """
    path: str
    label: int
    box: np.ndarray
    place: np.ndarray


class Ground(NamedTuple):
    """A real image that may be the background of a composed layout.

    Attributes:
        path: Image file.
        holes: (H, 4) xyxy boxes of all its objects, stretched to the canvas.
    """
    path: str
    holes: np.ndarray


@dataclass(frozen=True)
class Canvas:
    """What the layouts of a plan are made for.

    Attributes:
        size: (height, width) of synthetic images in pixels.
        min_box: Objects with a shorter side than this, in pixels of the synthetic image, are
            not asked for.
        background: Class index of what is left where nothing is; None where the classes have
            no such one.
    """
    size: Tuple[int, int]
    min_box: float = 0.
    background: Optional[int] = None


class Layout:
    """The objects of one slot; what label samplers return and prompters describe.

    Attributes:
        image_id: Name by which prompts are kept: of the real image, or of the composition.
        path: The real image; '' where there is no single one.
        size: (height, width) that ``bboxes`` and the mask are in pixels of; (0, 0) where
            neither is there and the dataset does not say.
        labels: (M,) int64 class indices: the class in classification, one per object in
            detection, the classes present (without 'background') in segmentation.
        bboxes: (M, 4) float32 xyxy in pixels of ``size``; None if the task has no boxes.
        mask_png: The mask as a compressed PNG; None if the task has no masks.
        sources: The real images that the labels come from.
    """
    image_id: str
    path: str
    size: Tuple[int, int]
    labels: np.ndarray
    bboxes: Optional[np.ndarray]
    mask_png: Optional[bytes]
    sources: Tuple[Source, ...]

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


@dataclass
class RealAnnotation(Layout):
    """The labels of one real image, and where to find it; see :class:`Layout`.

    As a layout it is chosen, not composed: its only source is itself.
    """
    image_id: str
    path: str
    size: Tuple[int, int]
    labels: np.ndarray
    bboxes: Optional[np.ndarray] = None
    mask_png: Optional[bytes] = None

    @property
    def sources(self) -> Tuple[Source, ...]:
        """The image itself."""
        return (Source(self.image_id, self.path), )


@dataclass
class ComposedLayout(Layout):
    """Objects of several real images on one canvas; see :class:`Layout`.

    Attributes:
        parts: The objects, the largest first.
        grounds: Their images and others, each once, one of which may be the background.
    """
    image_id: str
    size: Tuple[int, int]
    labels: np.ndarray
    sources: Tuple[Source, ...]
    bboxes: Optional[np.ndarray] = None
    mask_png: Optional[bytes] = None
    parts: Tuple[Part, ...] = ()
    grounds: Tuple[Ground, ...] = ()
    path: ClassVar[str] = ''
