"""A distilled set as a dataset of the Hugging Face Hub."""
import json
import os.path as osp
from typing import Any, Dict, List

from mmdd.utils.io import atomic_copy, atomic_write_text
from mmdd.utils.progress import Progress
from ..formats.base import image_size
from .card import write_card
from .content import DETECTION, SEGMENTATION, ExportContent, ExportImage, json_line

SPLIT = 'train'
ANNOTATIONS = f'annotations/instances_{SPLIT}.json'


def write_hub(content: ExportContent, out: str, name: str) -> None:
    """Write ``README.md``, the images below ``train`` and ``train/metadata.jsonl``.

    ``datasets.load_dataset('imagefolder', data_dir=...)`` reads the columns of
    ``metadata.jsonl`` beside the image: ``label`` and ``class_name`` of classification, in class
    folders; ``objects`` of detection, with boxes as x, y, width, height and class indices; the
    ``mask`` of segmentation. Detection has ``annotations/instances_train.json`` too: a COCO set's
    own file, or one made of VOC's boxes.

    Args:
        content: The set.
        out: Empty folder to write to.
        name: Name of the dataset.
    """
    progress, lines = Progress('export', len(content.images)), []
    for image, record in zip(content.images, content.records()):
        row = dict(file_name=place(content, image))
        atomic_copy(content.path(image.file), osp.join(out, SPLIT, row['file_name']))
        if image.mask:
            row['mask_file_name'] = f'masks/{osp.basename(image.mask)}'
            atomic_copy(content.path(image.mask), osp.join(out, SPLIT, row['mask_file_name']))
        lines.append(json_line({**row, **record}))
        progress.add()
    atomic_write_text(osp.join(out, SPLIT, 'metadata.jsonl'), ''.join(lines))
    if content.coco:
        atomic_copy(content.path(content.coco), osp.join(out, ANNOTATIONS))
    elif content.task == DETECTION:
        atomic_write_text(osp.join(out, ANNOTATIONS), json.dumps(coco_content(content)) + '\n')
    write_card(content, osp.join(out, 'README.md'), name, f'{SPLIT}/**')


def place(content: ExportContent, image: ExportImage) -> str:
    """Where an image goes below the folder of the split."""
    if content.task == DETECTION:
        return osp.basename(image.file)
    if content.task == SEGMENTATION:
        return f'images/{osp.basename(image.file)}'
    return image.file.split('/', 1)[1]


def coco_content(content: ExportContent) -> Dict[str, Any]:
    """A detection set as the content of a COCO file; difficult objects count as crowds."""
    images: List[Dict[str, Any]] = []
    annotations: List[Dict[str, Any]] = []
    for number, image in enumerate(content.images):
        height, width = image_size(content.path(image.file))
        images.append(dict(id=number, file_name=place(content, image), height=height,
                           width=width))
        for box, category, ignored in zip(image.xywh(), image.categories, image.ignored):
            annotations.append(dict(
                id=len(annotations) + 1, image_id=number, category_id=category + 1, bbox=box,
                area=round(box[2] * box[3], 3), iscrowd=int(ignored), segmentation=[]))
    return dict(info=dict(description='distilled by mmdd: boxes alone'), licenses=[],
                images=images, annotations=annotations,
                categories=[dict(id=i, name=name) for i, name in enumerate(content.classes, 1)])
