"""How a folder becomes the training set of a student: layouts, checks, changed fields."""
import glob
import json
import os
import os.path as osp
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS
from PIL import Image

from mmdd.datasets.file_checks import image_problem, xml_names, xml_problem
from mmdd.datasets.list_checks import coco_problem, read_list
from mmdd.datasets.manifest import IMAGE_SUFFIXES, MANIFEST, is_reduced
from mmdd.structures import IGNORE, reduce_zero_label
from mmdd.utils.compat import setup
from mmdd.utils.io import sha256

# layout -> task, what a folder of this layout has, and who writes it
LAYOUTS: Dict[str, Tuple[str, str, str]] = {
    'class-folder': ('classification', 'meta/*.txt', 'ClassFolderWriter'),
    'VOC': ('detection', 'VOC2007/ImageSets/Main/*.txt', 'VOCWriter'),
    'COCO': ('detection', 'annotations/instances_*.json', 'COCOWriter'),
    'mask': ('segmentation', '*/ImageSets/Segmentation/*.txt', 'SegMapWriter'),
}
TASKS = tuple(dict.fromkeys(task for task, _, _ in LAYOUTS.values()))


@dataclass
class SetContent:
    """What a set is made of.

    Attributes:
        images: Number of images.
        files: Its files relative to the folder, lists first.
        changes: Fields of the protocol's innermost dataset config that point it to the set.
    """
    images: int
    files: List[str]
    changes: Dict[str, Any]


def adapt(protocol: Config, folder: str) -> SetContent:
    """Check a set and say how the protocol's training set is pointed to it.

    Args:
        protocol: Student protocol, see :func:`mmdd.protocols.protocol.read_protocol`.
        folder: Folder of the set.

    Raises:
        FileNotFoundError: If the folder or a file of the set is missing.
        ValueError: If the set is empty, of another task or layout, or its classes
            are not those of the protocol, in the same order.
    """
    if not osp.isdir(folder):
        raise FileNotFoundError(f'set folder {folder} not found')
    layout = wanted_layout(protocol)
    if not set_lists(folder, layout):
        raise _misfit(protocol, folder, layout)
    classes = protocol_classes(protocol)
    check_class_order(folder, set_classes(folder), classes)
    return ADAPTERS[layout](protocol, folder, _train_list(folder, layout), classes)


def leaf_dataset(dataset: Dict[str, Any]) -> Dict[str, Any]:
    """The first dataset inside wrappers such as RepeatDataset and ConcatDataset."""
    return leaf_datasets(dataset)[0]


def leaf_datasets(dataset: Dict[str, Any]) -> List[Dict[str, Any]]:
    """All datasets inside wrappers such as RepeatDataset and ConcatDataset."""
    if 'datasets' in dataset:
        return [leaf for inner in dataset['datasets'] for leaf in leaf_datasets(inner)]
    return leaf_datasets(dataset['dataset']) if 'dataset' in dataset else [dataset]


def wanted_layout(protocol: Config) -> str:
    """The layout that the protocol's training set reads: detection has two."""
    task = protocol.protocol.task
    if task == 'detection':
        lists = leaf_dataset(protocol.train_dataloader.dataset).get('ann_file') or ''
        return 'COCO' if lists.endswith('.json') else 'VOC'
    return next(name for name, (own, _, _) in LAYOUTS.items() if own == task)


def set_lists(folder: str, layout: str) -> List[str]:
    """The lists of images that make a folder one of a layout, relative to it."""
    found = glob.glob(osp.join(glob.escape(folder), LAYOUTS[layout][1]))
    return sorted(osp.relpath(path, folder).replace(osp.sep, '/') for path in found)


def set_classes(folder: str) -> Optional[Tuple[str, ...]]:
    """Class names by index that the set's manifest tells; None without a manifest.

    Raises:
        ValueError: If the manifest is damaged.
    """
    names = read_manifest(folder).get('classes')
    return tuple(names) if names else None


def read_manifest(folder: str) -> Dict[str, Any]:
    """The manifest of a set; empty where there is none.

    Raises:
        ValueError: If it is no JSON object.
    """
    path = osp.join(folder, MANIFEST)
    if not osp.isfile(path):
        return {}
    try:
        with open(path, encoding='utf-8') as f:
            content = json.load(f)
        return dict(content)
    except (ValueError, TypeError) as error:
        raise ValueError(f'{path} is damaged ({error}); distill the set again') from None


def dataset_class(protocol: Config, leaf: Dict[str, Any]) -> Optional[type]:
    """The class of a dataset config; None if no installed package knows it."""
    setup()
    scope = leaf.get('_scope_') or protocol.get('default_scope') or 'mmengine'
    with DATASETS.switch_scope_and_registry(scope) as registry:
        return registry.get(leaf['type']) if isinstance(leaf['type'], str) else leaf['type']


def protocol_classes(protocol: Config) -> Optional[Tuple[str, ...]]:
    """Class names by index of the protocol's training set.

    They come from its config, from its dataset class, or from the sorted folders of the
    real set where these are the classes; None where nothing tells.
    """
    return _known_classes(protocol, protocol.protocol.task)


def _known_classes(cfg: Config, task: str) -> Optional[Tuple[str, ...]]:
    leaf = leaf_dataset(cfg.train_dataloader.dataset)
    names = (leaf.get('metainfo') or {}).get('classes')
    if isinstance(names, str):  # a file with one name per line
        with open(names, encoding='utf-8') as f:
            names = f.read().splitlines()
    if not names:
        names = getattr(dataset_class(cfg, leaf), 'METAINFO', {}).get('classes')
    if not names and task == 'classification' and not leaf.get('ann_file'):
        path = image_folder(leaf)
        names = sorted(osp.basename(osp.dirname(name))
                       for name in glob.glob(osp.join(glob.escape(path), '*', '')))
    return tuple(names) if names else None


def image_folder(leaf: Dict[str, Any]) -> str:
    """Folder of the images of a dataset config."""
    prefix = leaf.get('data_prefix') or leaf.get('split') or ''
    if not isinstance(prefix, str):
        prefix = prefix.get('img_path') or prefix.get('img') or ''
    return osp.join(leaf.get('data_root') or '', prefix)


def check_class_order(folder: str, found: Optional[Sequence[str]],
                      known: Optional[Sequence[str]]) -> None:
    """Check that the classes of a set are those of the protocol, in the same order.

    A set is labelled by class index: another order trains on wrong labels,
    which nothing but a poor accuracy would show.

    Raises:
        ValueError: If they differ; the message names the first difference.
    """
    if found is None or known is None or tuple(found) == tuple(known):
        return
    first = next((i for i, (a, b) in enumerate(zip(found, known)) if a != b),
                 min(len(found), len(known)))
    pair = [repr(names[first]) if first < len(names) else 'missing' for names in (found, known)]
    kind = ('has the classes of the protocol in another order'
            if sorted(found) == sorted(known) else
            f'has other classes than the protocol ({len(found)}, the protocol {len(known)})')
    raise ValueError(f'{folder} {kind}: class {first} is {pair[0]} in the set and {pair[1]} in '
                     f'the protocol; distill with the metainfo.classes of the protocol')


def check_job_fits(job: Config, protocol: Config) -> None:
    """Check, before anything is distilled, that a protocol can read what a job will write.

    Args:
        job: Distillation config.
        protocol: Student protocol.

    Raises:
        ValueError: If the writer's layout or the classes of the real set are not the protocol's.
    """
    wanted, writer = wanted_layout(protocol), str(job.train_cfg.writer['type']).rpartition('.')[2]
    written = next((name for name, layout in LAYOUTS.items() if layout[2] == writer), wanted)
    if written != wanted:
        raise ValueError(f'{writer} writes {written} layout, the protocol of evaluation.protocol '
                         f'is for {LAYOUTS[wanted][0]} and reads {wanted} layout: take '
                         f'{LAYOUTS[wanted][2]}, or another protocol')
    check_class_order('the real set of train_dataloader', _known_classes(job, LAYOUTS[wanted][0]),
                      protocol_classes(protocol))


def _misfit(protocol: Config, folder: str, layout: str) -> Exception:
    """Why a folder without the wanted lists cannot be used."""
    task, marker, writer = LAYOUTS[layout]
    for other, (other_task, _, other_writer) in LAYOUTS.items():
        if not set_lists(folder, other):
            continue
        if other_task != task:
            return ValueError(f'{folder} is a {other_task} set ({other} layout), the protocol is '
                              f'for {task}: give a protocol for {other_task}')
        kind = leaf_dataset(protocol.train_dataloader.dataset)['type']
        return ValueError(f'{folder} is in {other} layout, the protocol reads {layout} layout '
                          f'({kind}): distill with {writer} instead of {other_writer}, or give '
                          f'a protocol that reads {other} layout')
    return FileNotFoundError(f'{folder} is not a set in {layout} layout: {marker} not found')


def _train_list(folder: str, layout: str) -> str:
    """The list of the images to train on, where there are several."""
    found = set_lists(folder, layout)
    wanted = [name for name in found if osp.splitext(osp.basename(name))[0] in (
        'train', 'instances_train2017')]
    if not wanted and len(found) > 1:
        raise ValueError(f'{folder} has several lists ({", ".join(found)}) and none is called '
                         f'train: keep one of them')
    return (wanted or found)[0]


def _names(folder: str, file: str) -> List[str]:
    names = [line.strip() for line in read_list(osp.join(folder, file)) if line.strip()]
    if not names:
        raise ValueError(f'{folder}: {file} lists no image')
    return names


def _require_files(folder: str, listed_in: str, files: Sequence[str]) -> None:
    for file in files:
        if not osp.isfile(osp.join(folder, file)):
            raise FileNotFoundError(f'{folder}: {file} is listed in {listed_in} but missing')
    images = [osp.join(folder, file) for file in files if file.lower().endswith(IMAGE_SUFFIXES)]
    for problem in map(image_problem, images, repeat(None)):
        if problem:
            raise ValueError(problem)


def _class_folder_set(protocol: Config, folder: str, file: str,
                      classes: Optional[Sequence[str]]) -> SetContent:
    """Lines of image and class index; the names of the folders do not matter."""
    split = osp.splitext(osp.basename(file))[0]
    images = []
    for line in _names(folder, file):
        path, _, label = line.rpartition(' ')
        if not path or not label.isdigit():
            raise ValueError(f'{folder}: {file} has the line {line!r}; expected an image and its '
                             f'class index')
        if classes and int(label) >= len(classes):
            raise ValueError(f'{folder}: {file} gives {path} class {label}, the protocol has '
                             f'classes 0 to {len(classes) - 1}')
        images.append(f'{split}/{path}')
    _require_files(folder, file, images)
    changes: Dict[str, Any] = dict(data_root=folder, ann_file=file, data_prefix=split)
    leaf = leaf_dataset(protocol.train_dataloader.dataset)
    if leaf.get('split'):  # ImageNet's short form of the other two
        changes['split'] = ''
    return SetContent(len(images), [file] + images, changes)


def _voc_set(protocol: Config, folder: str, file: str,
             classes: Optional[Sequence[str]]) -> SetContent:
    """Boxes in XML files, with class names."""
    names, files = _names(folder, file), [file]
    for name in names:
        pair = [f'VOC2007/JPEGImages/{name}.jpg', f'VOC2007/Annotations/{name}.xml']
        _require_files(folder, file, pair)
        problem = xml_problem(osp.join(folder, pair[1]), tuple(classes or ()))
        if problem:
            raise ValueError(problem)
        unknown = set(xml_names(osp.join(folder, pair[1]))) - set(classes or ())
        if classes and unknown:
            raise ValueError(f'{folder}: {pair[1]} has classes {sorted(unknown)} that the '
                             f'protocol does not know ({", ".join(classes)})')
        files += pair
    return SetContent(len(names), files, dict(
        data_root=folder, ann_file=file, data_prefix=dict(sub_data_root='VOC2007/')))


def _coco_set(protocol: Config, folder: str, file: str,
              classes: Optional[Sequence[str]]) -> SetContent:
    """Boxes in one JSON file; labels follow the order of its categories."""
    split = osp.splitext(osp.basename(file))[0][len('instances_'):]
    try:
        with open(osp.join(folder, file), encoding='utf-8') as f:
            content = json.load(f)
        images = [f'{split}/{image["file_name"]}' for image in content['images']]
        names = [category['name'] for category in content['categories']]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{folder}: {file} is no COCO annotation file '
                         f'({type(error).__name__}: {error})') from None
    if not images:
        raise ValueError(f'{folder}: {file} lists no image')
    check_class_order(folder, names, classes)
    problem = coco_problem(osp.join(folder, file), tuple(classes or ()))
    if problem:
        raise ValueError(problem)
    _require_files(folder, file, images)
    return SetContent(len(images), [file] + images, dict(
        data_root=folder, ann_file=file, data_prefix=dict(img=f'{split}/')))


def _mask_set(protocol: Config, folder: str, file: str,
              classes: Optional[Sequence[str]]) -> SetContent:
    """Masks beside the images.

    The dataset class of the protocol may number the ids of its files anew, or look for
    other suffixes; the set holds class indices already, one higher and with 0 to ignore
    where its manifest says ``reduce_zero_label``.
    """
    root = file.split('/')[0]
    names, files = _names(folder, file), [file]
    reduced = is_reduced(read_manifest(folder))
    for name in names:
        pair = [f'{root}/JPEGImages/{name}.jpg', f'{root}/SegmentationClass/{name}.png']
        _require_files(folder, file, pair)
        with Image.open(osp.join(folder, pair[1])) as mask:
            stored = np.asarray(mask)
            values = np.unique(reduce_zero_label(stored) if reduced else stored)
        unknown = [int(v) for v in values if classes and v >= len(classes) and v != IGNORE]
        if unknown:
            raise ValueError(f'{folder}: {pair[1]} has the values {unknown}, the protocol has '
                             f'classes 0 to {len(classes) - 1} and {IGNORE} to ignore')
        files += pair
    leaf = leaf_dataset(protocol.train_dataloader.dataset)
    metainfo = {key: value for key, value in dict(
        leaf.get('metainfo') or {}, classes=classes and list(classes)).items() if value}
    return SetContent(len(names), files, dict(
        type='BaseSegDataset', _scope_='mmseg', metainfo=metainfo, reduce_zero_label=reduced,
        img_suffix='.jpg', seg_map_suffix='.png', data_root=osp.join(folder, root),
        ann_file=file[len(root) + 1:], data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'),
        pipeline=_without_reduction(leaf.get('pipeline') or [])))


def _without_reduction(pipeline: Any) -> Any:
    """A pipeline that leaves ``reduce_zero_label`` to its dataset."""
    if isinstance(pipeline, (list, tuple)):  # mmcv tells sizes by their being tuples
        return type(pipeline)(_without_reduction(step) for step in pipeline)
    if isinstance(pipeline, dict):
        return {key: _without_reduction(value) for key, value in pipeline.items()
                if key != 'reduce_zero_label'}
    return pipeline


ADAPTERS: Dict[str, Callable[[Config, str, str, Optional[Sequence[str]]], SetContent]] = {
    'class-folder': _class_folder_set, 'VOC': _voc_set, 'COCO': _coco_set, 'mask': _mask_set}


def full_content(protocol: Config) -> Tuple[Optional[int], List[str]]:
    """The full real set of a protocol.

    Returns:
        tuple: Number of listed images (None where files do not tell), and lines
        that identify it: lists by their content, folders by their file names and sizes.

    Raises:
        FileNotFoundError: If it is not there.
    """
    total, lines = 0, []
    for leaf in leaf_datasets(protocol.train_dataloader.dataset):
        if leaf.get('ann_file'):
            path = osp.join(leaf.get('data_root') or '', leaf['ann_file'])
            if not osp.isfile(path):
                raise FileNotFoundError(f'the full real set: {path} not found')
            count, own = _listed(path), [f'{path} {sha256(path)}']
        else:
            path = image_folder(leaf)
            own = [f'{osp.relpath(file, path)} {osp.getsize(file)}'
                   for base, _, names in sorted(os.walk(path)) for file in sorted(
                       osp.join(base, name) for name in names)]
            if not own:
                raise FileNotFoundError(f'the full real set: no files in {path}')
            count = sum(line.rsplit(' ', 1)[0].lower().endswith(IMAGE_SUFFIXES) for line in own)
        total = total + count if count and total is not None else None
        lines += own
    return total, lines


def _listed(path: str) -> int:
    """Images that a list names: lines, or ``images`` of a COCO file."""
    with open(path, encoding='utf-8') as f:
        if path.endswith('.json'):
            return len(json.load(f)['images'])
        return sum(bool(line.strip()) for line in f)
