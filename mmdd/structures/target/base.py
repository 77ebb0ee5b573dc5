"""The label of an image: one type per task, behind one interface."""
from typing import (
    Any,
    ClassVar,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Self,
    Sequence,
    Tuple,
    Type,
)

import numpy as np

# The types of targets in the order of their definition; a subclass adds itself.
KINDS: List[Type['Target']] = []


class Reading(NamedTuple):
    """What a data sample of an mm* dataset says of its image.

    Attributes:
        image_id: Name of the image in its dataset.
        size: (height, width) that the target is in pixels of; (0, 0) where nothing tells.
        target: The label.
    """
    image_id: str
    size: Tuple[int, int]
    target: 'Target'


class Target:
    """What an image shows, as its task says it: class, boxes or a mask.

    Slots, samples and layouts hold one. A subclass names its ``parts`` and says what happens to
    them; it is found by them (:func:`make_target`) and by the data samples that it reads
    (:func:`read_target`). A target is never changed in place. Sizes are (height, width), boxes
    xyxy in pixels.

    Args:
        labels: (M,) int64 class indices: the class in classification, one for each object in
            detection, the classes present (without 'background') in segmentation.

    Attributes:
        parts: Names of what it holds beside ``labels``, as plugins read them of a slot.
        task: What a prompter asks about: 'classification', 'detection' or 'segmentation'.
        has_objects: Whether it says where things are; a class does not.
        counts_objects: Whether each label is one object.
        uncomposed: Why its objects cannot be put together with those of other images; '' where
            they can.
        note: What a COCO file says of the labels of synthetic images.
    """
    parts: ClassVar[Tuple[str, ...]] = ()
    task: ClassVar[str] = 'classification'
    has_objects: ClassVar[bool] = True
    counts_objects: ClassVar[bool] = False
    uncomposed: ClassVar[str] = ''
    note: ClassVar[str] = ''
    bboxes: Optional[np.ndarray] = None

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = np.asarray(labels)

    @property
    def mask(self) -> Optional[np.ndarray]:
        """(H, W) uint8 class indices, 255 to ignore; None without."""
        return None

    @property
    def masks(self) -> Optional[np.ndarray]:
        """(M, H, W) bool, the pixels of each object; None without."""
        return None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        KINDS.append(cls)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(labels={self.labels.tolist()})'

    @classmethod
    def reads(cls, sample: Any) -> bool:
        """Whether this is the target of a data sample of an mm* dataset."""
        return False

    @classmethod
    def read(cls, sample: Any, classes: Sequence[str]) -> Reading:
        """Read a data sample, checked.

        Raises:
            ValueError: As :meth:`check`.
        """
        raise NotImplementedError

    def check(self, size: Tuple[int, int], classes: Sequence[str], where: str) -> None:
        """Check that it fits its image and its classes.

        Args:
            size: (height, width) of the image.
            classes: Class names by index.
            where: What the message begins with, such as a file.

        Raises:
            ValueError: If a box exceeds its image or is empty, or an index is unknown.
        """
        known = len(classes)
        wrong = [int(label) for label in self.labels if not 0 <= label < known]
        if wrong:
            raise ValueError(f'{where}: the label has the class index {wrong[0]}, but the dataset '
                             f'has {known} classes (0 to {known - 1}); correct its annotation or '
                             f'metainfo.classes')

    def own_parts(self) -> Dict[str, Any]:
        """What the constructor takes to make it again."""
        return dict(labels=self.labels)

    def with_parts(self, **parts: Any) -> 'Target':
        """The target with other parts; one of another task where parts come or go.

        Args:
            parts: ``labels`` or any of ``parts``; None takes one away.
        """
        return make_target(**{**self.own_parts(), **parts})

    def _with(self, **parts: Any) -> Self:
        """The target of the same type with other parts, none of which comes or goes."""
        return type(self)(**{**self.own_parts(), **parts})

    def packed(self) -> 'Target':
        """The same in as few bytes as possible, for the many images of a real set."""
        return self

    def resized(self, size: Tuple[int, int], new_size: Tuple[int, int]) -> 'Target':
        """After stretching the image from ``size`` to ``new_size``."""
        return self

    def flipped(self, size: Tuple[int, int]) -> 'Target':
        """After mirroring the image left to right."""
        return self

    def moved(self, size: Tuple[int, int], scale: float, shift: Sequence[float],
              min_visible: float) -> 'Target':
        """After scaling the image about its centre, then shifting it.

        Args:
            size: (height, width) of the image, which it keeps.
            scale: Factor by which things grow.
            shift: Shares of width and height, in x and y.
            min_visible: Share of its area below which an object is dropped.
        """
        return self

    def without_small(self, least: float, size: Tuple[int, int],
                      new_size: Tuple[int, int]) -> 'Target':
        """Without objects whose shorter side is below ``least`` pixels in ``new_size``."""
        return self

    def regions(self, size: Tuple[int, int], connected: bool = False
                ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The objects and where they are.

        Args:
            size: (height, width) of the image.
            connected: Whether the connected regions of a mask are its objects, in place of all
                pixels of a class.

        Returns:
            tuple: (M,) class indices; (M, 4) boxes in [0, 1] around the objects; (M,) shares of
            the image that they span or, all pixels of a class, cover. The last two are empty
            where nothing says where things are.
        """
        return self.labels, np.zeros((0, 4), np.float32), np.zeros(0, np.float32)

    def objects(self) -> Tuple[np.ndarray, np.ndarray]:
        """The objects that can be composed: labels (M,) and boxes (M, 4) in pixels."""
        return self.labels[:0], np.zeros((0, 4), np.float32)

    def stretched_objects(self, size: Tuple[int, int],
                          new_size: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
        """Those of :meth:`objects` after stretching the image from ``size`` to ``new_size``."""
        return self.resized(size, new_size).objects()

    def composed(self, labels: np.ndarray, bboxes: np.ndarray, mask: Optional[np.ndarray],
                 background: Optional[int]) -> 'Target':
        """The target of its task for objects of several images.

        Args:
            labels: (M,) class indices of the objects.
            bboxes: (M, 4) where they are.
            mask: (H, W) uint8 of their pixels, or (M, H, W) bool of those that can be seen of
                each where objects have masks; None where none has any.
            background: Class index of what is left; None without.
        """
        raise NotImplementedError

    def to_dict(self) -> Dict[str, Any]:
        """Plain numbers and text, as plan and journal keep them."""
        return dict(labels=self.labels.tolist(), bboxes=None, mask=None)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> 'Target':
        """The target of this type that :meth:`to_dict` described; see :func:`load_target`."""
        return cls(np.array(entry['labels'], np.int64))

    def instance_fields(self, size: Tuple[int, int], keep: np.ndarray) -> Dict[str, Any]:
        """What a detector of mmdet learns from beside boxes and labels.

        Args:
            size: (height, width) of its input.
            keep: (M,) bool, the objects that count.

        Returns:
            dict: Fields of an ``InstanceData``, on the CPU.
        """
        return {}

    def coco_entries(self, size: Tuple[int, int]) -> List[Dict[str, Any]]:
        """COCO annotations: ``label`` (the class index), bbox (xywh), area, segmentation.

        Args:
            size: (height, width) of the image that is written.
        """
        raise ValueError(f'a {type(self).__name__} has no boxes')

    def shade(self, picture: np.ndarray, classes: Sequence[str]) -> None:
        """Lay its areas over a picture (h, w, 3) uint8 of the whole image, in place."""

    def outline(self, picture: np.ndarray, classes: Sequence[str], factor: float) -> None:
        """Draw it thin and white, as what was asked for, in place.

        Args:
            picture: (h, w, 3) uint8, the whole image in any size.
            classes: Class names by index.
            factor: From its pixels to those of the picture.
        """

    def draw(self, picture: np.ndarray, classes: Sequence[str], factor: float) -> None:
        """Draw it in colour with its class names; arguments as of :meth:`outline`."""

    def caption(self, classes: Sequence[str]) -> str:
        """What stands below a picture of what cannot be drawn into it."""
        return ''


def part_names() -> List[str]:
    """Names of all that a target may hold beside its labels."""
    return list(dict.fromkeys(name for kind in KINDS for name in kind.parts))


def kind_of(parts: Mapping[str, Any]) -> Type[Target]:
    """The type whose parts these are; those that are None do not count.

    Raises:
        ValueError: If there is none.
    """
    present = {name for name in part_names() if parts.get(name) is not None}
    for kind in KINDS:
        if set(kind.parts) == present:
            return kind
    raise ValueError(f'no target has {" and ".join(sorted(present))}; there are '
                     + ', '.join(f'{kind.__name__} ({", ".join(kind.parts) or "labels"})'
                                 for kind in KINDS))


def make_target(labels: np.ndarray, **parts: Any) -> Target:
    """A target of the type that has these parts.

    Args:
        labels: (M,) class indices.
        parts: ``bboxes`` (M, 4), ``mask`` (H, W) uint8; those that are None do not count.
    """
    return kind_of(parts)(labels, **{k: v for k, v in parts.items() if v is not None})


def read_target(sample: Any, classes: Sequence[str]) -> Optional[Reading]:
    """Read a data sample of an mm* dataset; None where no target reads it.

    Of several types that do, the one defined last, the most special, reads it.

    Raises:
        ValueError: If the label does not fit its image or the classes.
    """
    for kind in reversed(KINDS):
        if kind.reads(sample):
            return kind.read(sample, classes)
    return None


def load_target(entry: Mapping[str, Any]) -> Target:
    """The target that :meth:`Target.to_dict` described; other keys do not matter."""
    return kind_of(entry).from_dict(entry)
