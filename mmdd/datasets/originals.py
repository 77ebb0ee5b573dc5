"""What the files of a real set say of images that a coreset takes over.

The mm* datasets give boxes and labels. Polygons, areas, crowds, difficult objects, poses
and ids of the files are read here, for the chosen images alone, so that a writer of the
same format can hand them on.
"""
import os.path as osp
from dataclasses import replace
from typing import Any, Dict, List, Sequence

from mmdd.structures import DistillSlot
from .formats import format_of
from .views import plain_datasets


def with_originals(slots: Sequence[DistillSlot], dataset: Any) -> List[DistillSlot]:
    """Slots with what the files of the real set say of their real image.

    Args:
        slots: Slots of a coreset.
        dataset: The real set: COCO files or VOC XML; others have nothing to add.

    Returns:
        list: The slots; ``original`` of those whose image is found is a dict with ``format``,
        the ``id`` and ``file_name`` of the image, and for COCO ``annotations``, its raw
        annotations with ``category`` (the name) in place of ``category_id``; for VOC
        ``objects``, its objects as XML. Objects of classes that the dataset passes over
        are left out.

    Raises:
        ValueError: If a file cannot be read.
    """
    wanted = {osp.abspath(slot.source_path) for slot in slots if slot.source_path}
    found: Dict[str, Dict[str, Any]] = {}
    for part in plain_datasets(dataset):
        found.update(format_of(part).originals(part, wanted - set(found)))
    return [replace(slot, original=found.get(osp.abspath(slot.source_path)))
            if slot.source_path else slot for slot in slots]
