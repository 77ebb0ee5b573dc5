"""What is exported of a distilled set: its images, their labels, what the manifest says."""
import json
import os.path as osp
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from ..gallery import Labels, find_distilled, find_manifest, read_coco, read_labels
from ..manifest import MANIFEST, check_set_files

CLASSIFICATION, DETECTION, SEGMENTATION = (
    'image-classification', 'object-detection', 'image-segmentation')


@dataclass
class ExportImage:
    """One image of the set.

    Attributes:
        file: Path relative to the set.
        entry: What the manifest says of it.
        label: Class index; None unless the set is one of classification.
        bboxes: (M, 4) float32 xyxy in pixels.
        categories: M class indices of the boxes.
        ignored: M times whether training ignores the box: a crowd, a difficult object.
        mask: Path of the mask relative to the set; '' without one.
    """
    file: str
    entry: Dict[str, Any]
    label: Optional[int] = None
    bboxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    categories: List[int] = field(default_factory=list)
    ignored: List[bool] = field(default_factory=list)
    mask: str = ''

    def xywh(self) -> List[List[float]]:
        """The boxes as COCO has them: x, y, width, height in pixels, to a thousandth."""
        return [[round(float(v), 3) for v in (x1, y1, x2 - x1, y2 - y1)]
                for x1, y1, x2, y2 in self.bboxes.astype(np.float64)]


@dataclass
class ExportContent:
    """A distilled set that is as its manifest says.

    Attributes:
        folder: Its folder.
        manifest: Content of its manifest.
        task: One of the tasks above, named as the Hub names them.
        classes: Class names by index.
        images: Its images.
        coco: Its COCO file relative to the folder; '' without one.
    """
    folder: str
    manifest: Dict[str, Any]
    task: str
    classes: List[str]
    images: List[ExportImage]
    coco: str = ''

    def path(self, file: str) -> str:
        """Path of a file of the set."""
        return osp.join(self.folder, file)

    def records(self) -> List[Dict[str, Any]]:
        """What is told of each image; what no image has, none tells."""
        records = [self._record(image) for image in self.images]
        known = [key for key in records[0] if any(
            record[key] is not None and record[key] != [] for record in records)]
        return [{key: record[key] for key in known} for record in records]

    def _record(self, image: ExportImage) -> Dict[str, Any]:
        entry = image.entry
        scores = {key: None if entry.get(key) is None else float(entry[key])
                  for key in ('score', 'judge_score')}
        record = dict(slot=entry['slot'], seed=entry['seed'], prompt=entry.get('prompt') or '',
                      **scores, accepted=bool(entry['accepted']),
                      label_source=entry.get('label_source'),
                      sources=list(entry.get('sources') or ()))
        if self.task == CLASSIFICATION:
            assert image.label is not None
            record.update(label=image.label, class_name=self.classes[image.label])
        elif self.task == DETECTION:
            record['objects'] = dict(
                bbox=image.xywh(), categories=image.categories,
                names=[self.classes[i] for i in image.categories],
                area=[round(w * h, 3) for _, _, w, h in image.xywh()],
                iscrowd=[int(ignored) for ignored in image.ignored])
        else:
            record['class_names'] = list(dict.fromkeys(entry.get('classes') or ()))
        return record


def read_content(folder: str) -> ExportContent:
    """Read a distilled set once its files were compared with its manifest.

    Args:
        folder: The set or its work dir.

    Raises:
        ValueError: If there is no manifest, it is damaged, or files are not as it says.
    """
    root = find_distilled(folder)
    if not root:
        raise ValueError(f'{folder} holds no {MANIFEST}; give a finished distilled set or its '
                         f'work dir')
    manifest, entries = find_manifest(root)
    path = osp.join(root, MANIFEST)
    try:
        classes = [str(name) for name in manifest['classes']]
        _check_inside(path, [file for entry in entries.values() for file in entry['files']])
        for entry in entries.values():
            _ = entry['slot'], entry['seed'], entry['accepted']
    except (KeyError, TypeError, AttributeError) as e:
        raise ValueError(f'{path} is damaged ({type(e).__name__}: {e})') from None
    check_set_files(root, manifest)
    return _read_images(root, manifest, classes, list(entries.values()))


def _check_inside(manifest: str, files: Sequence[str]) -> None:
    """Refuse files outside of the set: a manifest is data from anywhere."""
    for file in files:
        if osp.isabs(file) or '..' in file.split('/') or '\\' in file:
            raise ValueError(f'{manifest} names {file!r}, which is outside of the set; correct it')


def _read_images(root: str, manifest: Dict[str, Any], classes: List[str],
                 entries: List[Dict[str, Any]]) -> ExportContent:
    coco = read_coco(root)
    found = sorted(file for file in manifest.get('sha256') or ()
                   if file.startswith('annotations/instances_') and file.endswith('.json'))
    labels = [coco.get(osp.join(root, entry['files'][0])) or read_labels(
        osp.join(root, entry['files'][0])) for entry in entries]
    content = ExportContent(root, manifest, _task(coco, entries[0]['files']), classes, [],
                         found[0] if found else '')
    numbers = _read_lists(root, entries) if content.task == CLASSIFICATION else {}
    for entry, own in zip(entries, labels):
        content.images.append(_image(content, entry, own, numbers))
    return content


def _task(coco: Dict[str, Labels], files: List[str]) -> str:
    """The task of a set by the files of its first image."""
    if coco or any(file.endswith('.xml') for file in files):
        return DETECTION
    return SEGMENTATION if len(files) > 1 else CLASSIFICATION


def _read_lists(root: str, entries: List[Dict[str, Any]]) -> Dict[str, int]:
    """Class indices of class folders by image, from the lists in ``meta``."""
    numbers: Dict[str, int] = {}
    for split in sorted({entry['files'][0].split('/')[0] for entry in entries}):
        path = osp.join(root, 'meta', f'{split}.txt')
        try:
            with open(path, encoding='utf-8') as f:
                for line in f.read().splitlines():
                    name, number = line.rsplit(' ', 1)
                    numbers[f'{split}/{name}'] = int(number)
        except (OSError, ValueError) as e:
            raise ValueError(f'{path}: cannot be read as a list of images and labels ({e}); '
                             f'distill the set again with --resume') from None
    return numbers


def _image(content: ExportContent, entry: Dict[str, Any], labels: Labels,
           numbers: Dict[str, int]) -> ExportImage:
    image = ExportImage(entry['files'][0], entry)
    if content.task == CLASSIFICATION:
        image.label = numbers.get(image.file)
        if image.label is None or not 0 <= image.label < len(content.classes):
            raise ValueError(f'{content.path(image.file)}: its class is {image.label} in meta, '
                             f'the set has {len(content.classes)}; distill the set again with '
                             f'--resume')
    elif content.task == DETECTION:
        unknown = sorted(set(labels.names) - set(content.classes))
        if unknown:
            raise ValueError(f'{content.path(image.file)}: a box has the class {unknown[0]!r}, '
                             f'which {MANIFEST} does not name; distill the set again')
        if labels.bboxes is not None:
            image.bboxes, image.ignored = labels.bboxes, labels.ignored
        image.categories = [content.classes.index(name) for name in labels.names]
    else:
        image.mask = entry['files'][1]
    return image


def json_line(record: Dict[str, Any]) -> str:
    """A record as one line of JSON."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + '\n'
