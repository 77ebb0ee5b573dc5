"""A survey in words."""
from typing import List

import numpy as np

from .base import Survey

TASK_WORDS = dict(cls='classification', det='object detection', seg='semantic segmentation')
# Classes that get a line of their own.
SHOWN = 30


def describe_survey(survey: Survey) -> List[str]:
    """Lines that say what a folder holds."""
    splits = ', '.join(f'{name} {len(survey.splits[name]):,}'
                       for name in ('train', 'val', 'test') if name in survey.splits)
    lines = [
        f'{survey.folder}: {survey.format}, {TASK_WORDS[survey.task]}',
        f'images: {splits}{f" ({survey.made} drawn here)" if survey.made else ""}; students are '
        f'measured on {survey.measured}',
        f'sizes: {describe_sizes(survey)}']
    if survey.task == 'det':
        boxes = sum(len(record.labels) for record in survey.splits['train'])
        lines.append(f'boxes: {boxes:,} in train, '
                     f'{boxes / len(survey.splits["train"]):.1f} per image')
    lines.append(f'classes: {len(survey.classes)}')
    images, objects = survey.images(), survey.objects()
    for name in survey.classes[:SHOWN]:
        own = f', {objects[name]:,} boxes' if survey.task == 'det' else ''
        lines.append(f'  {name}: {images[name]:,} training images{own}')
    if len(survey.classes) > SHOWN:
        lines.append(f'  and {len(survey.classes) - SHOWN} more')
    return lines + [f'note: {oddity}' for oddity in survey.oddities]


def describe_sizes(survey: Survey) -> str:
    """The sizes of the images, width first."""
    sizes = np.array(list(survey.sizes.values()))
    if (sizes == sizes[0]).all():
        return f'{sizes[0, 1]}x{sizes[0, 0]}, all'
    low, mid, high = sizes.min(0), np.median(sizes, 0).astype(int), sizes.max(0)
    return (f'{mid[1]}x{mid[0]} (median), widths {low[1]} to {high[1]}, heights {low[0]} to '
            f'{high[0]}')
