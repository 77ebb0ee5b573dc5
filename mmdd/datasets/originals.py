"""What the files of a real set say of images that a coreset takes over.

The mm* datasets give boxes and labels. Polygons, areas, crowds, difficult objects, poses
and ids of the files are read here, for the chosen images alone, so that a writer of the
same format can hand them on.
"""
import json
import os.path as osp
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any, Dict, Iterator, List, Sequence, Set, Tuple

from mmdd.structures import DistillSlot
from .views import plain_datasets

# Formats of originals.
COCO = 'coco'
VOC = 'voc'


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
        found.update(_read(part, wanted - set(found)))
    return [replace(slot, original=found.get(osp.abspath(slot.source_path)))
            if slot.source_path else slot for slot in slots]


def _read(part: Any, wanted: Set[str]) -> Iterator[Tuple[str, Dict[str, Any]]]:
    if hasattr(part, 'COCOAPI'):
        return _read_coco(part, wanted)
    return _read_voc(part, wanted) if hasattr(part, 'ann_subdir') else iter(())


def _read_coco(part: Any, wanted: Set[str]) -> Iterator[Tuple[str, Dict[str, Any]]]:
    classes = set(part.metainfo['classes'])
    try:
        with open(part.ann_file, encoding='utf-8') as f:
            content = json.load(f)
        names = {entry['id']: entry['name'] for entry in content['categories']}
        images = {entry['id']: entry for entry in content['images'] if osp.abspath(
            osp.join(part.data_prefix['img'], entry['file_name'])) in wanted}
        own: Dict[Any, List[dict]] = {image_id: [] for image_id in images}
        for entry in content['annotations']:
            name = names[entry['category_id']]
            if entry['image_id'] in own and name in classes:
                own[entry['image_id']].append({
                    'category': name, **{key: value for key, value in entry.items()
                                         if key not in ('category_id', 'image_id')}})
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ValueError(f'{part.ann_file}: cannot be read as COCO annotations '
                         f'({type(e).__name__}: {e}); correct it') from None
    for image_id, entry in images.items():
        yield osp.abspath(osp.join(part.data_prefix['img'], entry['file_name'])), dict(
            format=COCO, id=image_id, file_name=entry['file_name'], annotations=own[image_id])


def _read_voc(part: Any, wanted: Set[str]) -> Iterator[Tuple[str, Dict[str, Any]]]:
    classes = set(part.metainfo['classes'])
    for index in range(len(part)):
        info = part.get_data_info(index)
        path = osp.abspath(info['img_path'])
        if path not in wanted:
            continue
        try:
            objects = ET.parse(info['xml_path']).getroot().findall('object')
        except (OSError, ET.ParseError) as e:
            raise ValueError(f'{info["xml_path"]}: cannot be read as a VOC annotation ({e}); '
                             f'correct or remove it') from None
        yield path, dict(
            format=VOC, id=info['img_id'], file_name=osp.basename(path),
            objects=[ET.tostring(node, encoding='unicode').strip() for node in objects
                     if node.findtext('name') in classes])
