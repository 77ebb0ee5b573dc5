"""Distilled sets in Pascal VOC layout."""
import difflib
import os.path as osp
import xml.etree.ElementTree as ET
from collections import Counter
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

import numpy as np
from mmengine.logging import print_log
from PIL import Image

from mmdd.registry import FORMATS, TASK_UTILS
from mmdd.structures import DistilledSample, DistillSlot
from ..file_checks import read_list, shorten
from .base import BaseWriter, original_of, require, write_jpeg
from .set_format import SetFormat, listed_names, require_files
from .voc_xml import read_object, write_image_set, write_voc_xml, xml_names, xml_problem

# The format of an original, see ``with_originals``.
VOC = 'voc'


@TASK_UTILS.register_module()
class VOCWriter(BaseWriter):
    """Writes ``VOC2007/{JPEGImages,Annotations,ImageSets/Main}``.

    Synthetic images are JPEGs of quality 98; real images of a coreset are
    copied byte for byte, their objects as the real set has them: pose, truncated,
    difficult, parts. Stock ``mmdet.VOCDataset`` reads back the boxes of the
    samples, rounded to whole pixels.

    Args:
        split: Name of the split that the images form.
        difficult: 'keep' hands on the objects of real images that are marked difficult,
            which mmdet ignores in training; 'drop' leaves them out.

    Raises:
        ValueError: If ``difficult`` is neither.
    """

    root = 'VOC2007'

    def __init__(self, split: str = 'train', difficult: str = 'keep') -> None:
        super().__init__(split)
        if difficult not in ('keep', 'drop'):
            raise ValueError(f"VOCWriter: difficult must be 'keep' or 'drop', got {difficult!r}")
        self.difficult = difficult

    def facts(self) -> Dict[str, Any]:
        """With ``difficult``, whether objects so marked are handed on."""
        return dict(super().facts(), difficult=self.difficult)

    def check(self, classes: Sequence[str], slots: Sequence[DistillSlot]) -> None:
        """Check that every slot has boxes."""
        require('bboxes', slots, 'VOCWriter', 'use ClassFolderWriter for classification and '
                'SegMapWriter for segmentation')

    def write(self, sample: DistilledSample, out_dir: str, classes: Sequence[str]) -> List[str]:
        """Write image and annotation of one sample."""
        name = self.name(sample)
        image = f'{self.root}/JPEGImages/{name}.jpg'
        annotation = f'{self.root}/Annotations/{name}.xml'
        size = write_jpeg(sample, osp.join(out_dir, image))
        with Image.open(osp.join(out_dir, image)) as picture:
            shape = (*size, len(picture.getbands()))
        original = original_of(sample, VOC)
        assert sample.bboxes is not None
        bboxes, labels = whole_pixels(sample.bboxes, sample.labels, shape)
        write_voc_xml(osp.join(out_dir, annotation), f'{name}.jpg', shape, bboxes,
                      [classes[i] for i in labels],
                      objects=None if original is None else self._objects(original))
        return [image, annotation]

    def _objects(self, original: Dict[str, Any]) -> List[Any]:
        """The objects of a real image that are handed on, as XML elements."""
        objects = [read_object(text) for text in original['objects']]
        return [node for node in objects
                if self.difficult == 'keep' or (node.findtext('difficult') or '0').strip() != '1']

    def close(self, samples: Sequence[DistilledSample], out_dir: str,
              classes: Sequence[str]) -> List[str]:
        """Write the image lists: the split, and trainval with the same images."""
        names = [self.name(sample) for sample in samples]
        files = [f'{self.root}/ImageSets/Main/{split}.txt'
                 for split in dict.fromkeys((self.split, 'trainval'))]
        for file in files:
            write_image_set(osp.join(out_dir, file), names)
        return files


def whole_pixels(bboxes: np.ndarray, labels: np.ndarray, shape: Sequence[int]):
    """Round boxes to pixels inside the image; those left empty are dropped."""
    limit = np.array([shape[1] - 1, shape[0] - 1] * 2)
    # np.round goes to the even number, which would empty a box from 5.5 to 6.5.
    rounded = np.clip(np.floor(np.asarray(bboxes) + 0.5), 0, limit).reshape(-1, 4)
    keep = (rounded[:, 2:] > rounded[:, :2]).all(1)
    return rounded[keep], np.asarray(labels)[keep]


@FORMATS.register_module()
class VOCFormat(SetFormat):
    """Boxes in XML files, with class names."""

    name = 'VOC'
    task = 'detection'
    marker = 'VOC2007/ImageSets/Main/*.txt'
    writer = VOCWriter

    def reads(self, leaf: Dict[str, Any]) -> bool:
        """Whether the list of images is no JSON file."""
        return not (leaf.get('ann_file') or '').endswith('.json')

    def check(self, folder: str, file: str,
              classes: Optional[Sequence[str]]) -> List[Tuple[str, ...]]:
        """Image and annotation of each image; names of classes must be known."""
        files: List[Tuple[str, ...]] = []
        for name in listed_names(folder, file):
            pair = (f'VOC2007/JPEGImages/{name}.jpg', f'VOC2007/Annotations/{name}.xml')
            require_files(folder, file, pair)
            path = osp.join(folder, pair[1])
            problem = xml_problem(path, tuple(classes or ()))
            if problem:
                raise ValueError(problem)
            unknown = set(xml_names(path)) - set(classes or ())
            if classes and unknown:
                raise ValueError(f'{folder}: {pair[1]} has classes {sorted(unknown)} that the '
                                 f'protocol does not know ({", ".join(classes)})')
            files.append(pair)
        return files

    def student_dataset(self, folder: str, file: str, leaf: Dict[str, Any],
                        classes: Optional[Sequence[str]]) -> Dict[str, Any]:
        """The dataset class of the protocol, in the folder of the set."""
        return dict(data_root=folder, ann_file=file, data_prefix=dict(sub_data_root='VOC2007/'))

    def is_format_of(self, dataset: Any) -> bool:
        """Whether it is a ``XMLDataset`` of mmdet."""
        return hasattr(dataset, 'ann_subdir')

    def list_problems(self, dataset: Any, classes: Tuple[str, ...]) -> Iterator[str]:
        """Unreadable annotations, and classes of objects that look misspelt."""
        folder = osp.join(dataset.sub_data_root, dataset.ann_subdir)
        paths = [osp.join(folder, f'{name}.xml') for name in read_list(dataset.ann_file)]
        for path in paths:
            yield xml_problem(path, classes)
        yield _class_problem(dataset.ann_file, paths, classes)

    def label_problem(self, info: Dict[str, Any], classes: Tuple[str, ...]) -> str:
        """The problem of an annotation."""
        return xml_problem(info['xml_path'], classes)

    def originals(self, dataset: Any, wanted: Set[str]) -> Iterator[Tuple[str, Dict[str, Any]]]:
        """The objects of images as XML."""
        classes = set(dataset.metainfo['classes'])
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
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


def _class_problem(source: str, paths: List[str], classes: Tuple[str, ...]) -> str:
    """Warn of VOC objects that are passed over; a problem where a class looks misspelt."""
    names = Counter(name for path in paths for name in xml_names(path))
    unknown = {name: names[name] for name in sorted(names) if name not in classes}
    if not unknown:
        return ''
    for name in classes:
        close = difflib.get_close_matches(name, unknown, 1)
        if not names[name] and close:
            return (f'{source}: no object is of class {name!r}, but {unknown[close[0]]} are of '
                    f'class {close[0]!r}, which is unknown to the dataset; correct '
                    f'metainfo.classes')
    if not sum(names[name] for name in classes):
        return (f'{source}: all objects are of classes unknown to the dataset '
                f'({shorten(unknown)}; it has {shorten(classes)}); correct metainfo.classes')
    counts = shorten(f'{name} {count}' for name, count in unknown.items())
    print_log(f'{source}: {sum(unknown.values())} of {sum(names.values())} objects are of classes '
              f'that metainfo.classes does not name and are passed over ({counts})', 'current',
              level=30)
    return ''
