"""Contextual prompts from annotations alone (UniDD, section 3.2)."""
from typing import List, Optional, Sequence

import numpy as np

from mmdd.registry import TASK_UTILS
from mmdd.structures import ComposedLayout, Layout
from .base import BasePrompter
from .class_prompter import COUNT_WORDS, enumerate_classes

# The words of a prompt beside class names and templates.
COUNTS_AND_PLACES = ' '.join((
    *COUNT_WORDS, 'a an and many nothing large small at the top bottom left right center of '
    'overlapping above below'))


@TASK_UTILS.register_module()
class AnnotationPrompter(BasePrompter):
    """Writes the context of an image from its own boxes or mask.

    Section 3.2 of `Towards Universal Dataset Distillation via Task-Driven
    Diffusion` (CVPR 2025) asks a vision-language model for the objects, the
    relations between them and their interaction with the background. Here the
    same three come from the annotation: classes with counts; size and place of
    each object (of each class in a mask); the relation of each one to the next;
    and a wording for the background.

    Args:
        template: Prompt with the field ``{objects}``.
        background: Wording of the background, '' for none.
        large: Share of the image from which an object is called large.
        small: Share of the image below which an object is called small.
        overlap: Share of the smaller box from which two objects overlap.
        max_objects: How many objects are described, largest first. None describes four of a
            real image's and all of a composed layout's.
        plural: Suffix of a class name that is counted more than once.
        regions: What is an object of a mask: 'class', all pixels of a class, or 'connected',
            each connected region of one.

    Raises:
        ValueError: If ``regions`` is neither.
    """

    limits = dict(large=dict(low=0, high=1), small=dict(low=0, high=1),
                  overlap=dict(low=0, high=1), max_objects=dict(low=1))

    def __init__(self,
                 template: str = 'a photo of {objects}',
                 background: str = '',
                 large: float = 0.25,
                 small: float = 0.06,
                 overlap: float = 0.1,
                 max_objects: Optional[int] = None,
                 plural: str = 's',
                 regions: str = 'class') -> None:
        if regions not in ('class', 'connected'):
            raise ValueError(f"AnnotationPrompter: regions must be 'class' or 'connected', got "
                             f'{regions!r}')
        self.template = template
        self.background = background
        self.large = large
        self.small = small
        self.overlap = overlap
        self.max_objects = max_objects
        self.plural = plural
        self.regions = regions

    def describe(self, annotation: Layout, classes: Sequence[str]) -> str:
        """Return objects, places, relations and background in one line."""
        labels, boxes, areas = annotation.target.regions(
            annotation.size, self.regions == 'connected')
        names = [classes[label] for label in labels]
        parts = [self.template.format(objects=enumerate_classes(names, self.plural))]
        if len(boxes):
            limit = self.max_objects
            if limit is None and not isinstance(annotation, ComposedLayout):
                limit = 4
            order = np.argsort(-areas, kind='stable')[:limit]
            boxes, names = boxes[order], [names[i] for i in order]
            parts += self._places(boxes, areas[order], names)
            parts += self._relations(boxes, names)
        if self.background:
            parts.append(self.background)
        return ', '.join(parts)

    def _places(self, boxes: np.ndarray, areas: np.ndarray, names: List[str]) -> List[str]:
        phrases = []
        for box, area, name in zip(boxes, areas, names):
            size = 'large ' if area >= self.large else 'small ' if area < self.small else ''
            phrases.append(f'{size}{name} at the {place_of(box)}')
        return phrases

    def _relations(self, boxes: np.ndarray, names: List[str]) -> List[str]:
        return [f'{names[i]} {self.relation(boxes[i], boxes[i + 1])} {names[i + 1]}'
                for i in range(len(names) - 1)]

    def relation(self, box: np.ndarray, other: np.ndarray) -> str:
        """How ``box`` stands to ``other``: both (4,) xyxy in one unit."""
        cover = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
        smaller = min((box[2:] - box[:2]).prod(), (other[2:] - other[:2]).prod())
        if (cover > 0).all() and cover.prod() >= self.overlap * smaller:
            return 'overlapping'
        dx, dy = (box[:2] + box[2:] - other[:2] - other[2:]) / 2
        if abs(dx) >= abs(dy):
            return 'left of' if dx < 0 else 'right of'
        return 'above' if dy < 0 else 'below'


def place_of(box: np.ndarray) -> str:
    """Name the ninth of the image where the centre of ``box`` (in [0, 1]) lies."""
    x, y = (box[:2] + box[2:]) / 2
    column = 'left' if x < 0.4 else 'right' if x > 0.6 else ''
    row = 'top' if y < 0.4 else 'bottom' if y > 0.6 else ''
    return ' '.join(word for word in (row, column) if word) or 'center'
