"""Layouts of a whole plan from a label sampler, which knows no budget."""
from dataclasses import replace
from typing import Iterable, List, Sequence, Tuple

from mmdd.structures import Canvas, Layout, RealAnnotation
from mmdd.utils.seed import derive_seed
from .samplers import BaseLabelSampler


def usable_annotations(annotations: Sequence[RealAnnotation],
                       canvas: Canvas) -> Tuple[List[RealAnnotation], int]:
    """Annotations that have something to ask for.

    Args:
        annotations: Those of the real set.
        canvas: What layouts are made for.

    Returns:
        tuple: Annotations without objects that are too small on the canvas, and how many these
        objects are.
    """
    usable, dropped = [], 0
    for annotation in annotations:
        target = annotation.target.without_small(canvas.min_box, annotation.size, canvas.size)
        dropped += len(annotation.labels) - len(target.labels)
        if len(target.labels):
            usable.append(replace(annotation, target=target))
    return usable, dropped


def sample_layouts(sampler: BaseLabelSampler, annotations: List[RealAnnotation], num: int,
                   num_classes: int, seed: int, canvas: Canvas) -> List[Layout]:
    """``num`` layouts; a pool larger than the real set asks the sampler again.

    Raises:
        ValueError: If the sampler does not return layouts, or not as many as it is asked for.
    """
    picked: List[Layout] = []
    while len(picked) < num:
        own = seed if not picked else derive_seed('pool', seed, len(picked))
        need = min(num - len(picked), len(annotations))
        picked += check_layouts(
            sampler, sampler.sample(annotations, need, num_classes, own, canvas), need,
            num_classes)
    return picked


def check_layouts(sampler: BaseLabelSampler, returned: Iterable[Layout],
                  num: int, num_classes: int) -> List[Layout]:
    """Check what a label sampler returned, and return it as a list.

    Raises:
        ValueError: If these are not ``num`` layouts, or one has a label that is no class.
    """
    if not isinstance(returned, Iterable):
        raise ValueError(f'{type(sampler).__name__}.sample must return {num} layouts, got '
                         f'{returned!r}')
    layouts = list(returned)
    wrong = [layout for layout in layouts if not isinstance(layout, Layout)]
    if wrong or len(layouts) != num:
        found = f', one of type {type(wrong[0]).__name__}' if wrong else ''
        raise ValueError(
            f'{type(sampler).__name__}.sample must return {num} layouts, got {len(layouts)}'
            f'{found}: return annotations, e.g. [annotations[i] for i in indices]')
    unknown = [int(i) for layout in layouts for i in layout.labels if not 0 <= i < num_classes]
    if unknown:
        raise ValueError(f'{type(sampler).__name__}.sample: a layout has the class index '
                         f'{unknown[0]}, but there are {num_classes} classes (0 to '
                         f'{num_classes - 1})')
    return layouts
