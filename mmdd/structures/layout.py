"""What is asked of one slot: the labels of a real image, or objects of several."""
from dataclasses import dataclass
from typing import NamedTuple, Optional, Tuple

import numpy as np

from .mask import encode_mask
from .target import UNSET, Labelled, Target, resolve


class Source(NamedTuple):
    """A real image that labels come from.

    Attributes:
        image_id: Name of the image in its dataset.
        path: Image file.
    """
    image_id: str
    path: str


class RealObject(NamedTuple):
    """An object of a real image.

    Attributes:
        label: Its class index.
        box: (4,) xyxy in pixels of the image.
        inside: (H, W) bool, its pixels; None where only boxes are known.
    """
    label: int
    box: np.ndarray
    inside: Optional[np.ndarray]


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


class Layout(Labelled):
    """The objects of one slot; what label samplers return and prompters describe.

    It is made with a ``target``, or with ``labels``, ``bboxes`` and ``mask_png`` (a mask as a
    compressed PNG). ``labels``, ``bboxes`` and ``mask`` are read from it.

    Attributes:
        image_id: Name by which prompts are kept: of the real image, or of the composition.
        path: The real image; '' where there is no single one.
        size: (height, width) that the target is in pixels of; (0, 0) where it says nothing of
            places and the dataset does not say.
        target: What it shows.
        sources: The real images that the labels come from.
    """
    image_id: str
    path: str
    size: Tuple[int, int]
    target: Target
    sources: Tuple[Source, ...]

    def resized(self, size: Tuple[int, int]) -> Target:
        """The target after stretching the image to ``size`` (height, width)."""
        return self.target.resized(self.size, size)

    def scaled_bboxes(self, size: Tuple[int, int]) -> Optional[np.ndarray]:
        """Boxes (M, 4) after stretching the image to ``size`` (height, width)."""
        return self.resized(size).bboxes

    def scaled_mask(self, size: Tuple[int, int]) -> Optional[np.ndarray]:
        """Mask of ``size`` (height, width) after stretching the image, nearest neighbour."""
        return self.resized(size).mask

    @property
    def mask_png(self) -> Optional[bytes]:
        """The mask as a compressed PNG; None without one."""
        return None if self.mask is None else encode_mask(self.mask)


@dataclass(init=False)
class RealAnnotation(Layout):
    """The labels of one real image, and where to find it; see :class:`Layout`.

    As a layout it is chosen, not composed: its only source is itself.
    """
    image_id: str
    path: str
    size: Tuple[int, int]
    target: Target

    def __init__(self,
                 image_id: str,
                 path: str,
                 size: Tuple[int, int],
                 labels: np.ndarray = UNSET,
                 bboxes: Optional[np.ndarray] = UNSET,
                 mask_png: Optional[bytes] = UNSET,
                 target: Optional[Target] = None) -> None:
        self.image_id, self.path, self.size = image_id, path, size
        self.target = resolve(target, labels=labels, bboxes=bboxes, mask=mask_png)

    @property  # made anew, as there may be millions of annotations
    def sources(self) -> Tuple[Source, ...]:  # type: ignore[override]
        """The image itself."""
        return (Source(self.image_id, self.path), )


@dataclass(init=False)
class ComposedLayout(Layout):
    """Objects of several real images on one canvas; see :class:`Layout`.

    Attributes:
        parts: The objects, the largest first.
        grounds: Their images and others, each once, one of which may be the background.
    """
    image_id: str
    size: Tuple[int, int]
    target: Target
    sources: Tuple[Source, ...]
    parts: Tuple[Part, ...]
    grounds: Tuple[Ground, ...]
    path = ''

    def __init__(self,
                 image_id: str,
                 size: Tuple[int, int],
                 labels: np.ndarray = UNSET,
                 sources: Tuple[Source, ...] = (),
                 bboxes: Optional[np.ndarray] = UNSET,
                 mask_png: Optional[bytes] = UNSET,
                 parts: Tuple[Part, ...] = (),
                 grounds: Tuple[Ground, ...] = (),
                 target: Optional[Target] = None) -> None:
        self.image_id, self.size, self.sources = image_id, size, sources
        self.target = resolve(target, labels=labels, bboxes=bboxes, mask=mask_png)
        self.parts, self.grounds = parts, grounds
