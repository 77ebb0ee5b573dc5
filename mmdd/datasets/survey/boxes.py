"""Boxes that leave their image or have no area, and annotations of another size."""
from typing import List, Tuple

from .base import Record, Survey, few

# Least side of a box inside its image, and how far one may stand out of it, in pixels.
LEAST, TOLERANCE = 1., 1.


def fit_boxes(survey: Survey) -> None:
    """Clip boxes to their images, in place; drop what is left without an area.

    Records whose annotation gives another size than their image are left out: nothing tells where
    their boxes lie. Where a box was changed, VOC's own files no longer say what the job reads,
    and the survey gets COCO lists.
    """
    misfits = [record.image for own in survey.splits.values() for record in own
               if record.size is not None and record.size != survey.sizes[record.image]]
    if misfits:
        survey.oddities.append(
            f'{len(misfits)} annotations give another size than their image, as of photographs '
            f'that were scaled or turned later; they are left out, correct them '
            f'({few(misfits)})')
        left_out = set(misfits)
        survey.splits = {split: kept for split, own in survey.splits.items() if (
            kept := [record for record in own if record.image not in left_out])}
    clipped: List[str] = []
    dropped: List[str] = []
    for own in survey.splits.values():
        for record in own:
            _fit(record, survey.sizes[record.image], clipped, dropped)
    for files, text in ((clipped, 'boxes leave their image and are clipped to it'),
                        (dropped, 'boxes have no area inside their image and are left out')):
        if files:
            survey.oddities.append(f'{len(files)} {text} ({few(list(dict.fromkeys(files)))})')
    if clipped or dropped:
        survey.layout = dict(kind='CocoDataset')


def _fit(record: Record, size: Tuple[int, int], clipped: List[str], dropped: List[str]) -> None:
    """Clip the boxes of one record, and note its annotation once for each box that changed."""
    height, width = size
    kept, boxes = [], []
    for index, (x1, y1, x2, y2) in enumerate(record.boxes or ()):
        inside = max(x1, 0.), max(y1, 0.), min(x2, float(width)), min(y2, float(height))
        if inside[2] - inside[0] < LEAST or inside[3] - inside[1] < LEAST:
            dropped.append(record.annotation)
            continue
        far = max(-x1, -y1, x2 - width, y2 - height) > TOLERANCE
        clipped += [record.annotation] * far
        kept.append(index)
        boxes.append(inside if far else (x1, y1, x2, y2))
    record.boxes = boxes
    record.labels = tuple(record.labels[i] for i in kept)
    record.ignored = tuple(record.ignored[i] for i in kept)
    if record.extra is not None:
        image, entries = record.extra
        record.extra = (image, [entries[i] for i in kept])
