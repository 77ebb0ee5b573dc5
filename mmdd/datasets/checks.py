"""Checks of a real set before any work is spent on it."""
import difflib
import os.path as osp
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import Any, Iterable, Iterator, List, Mapping, Tuple

import numpy as np
from mmengine.dataset import pseudo_collate
from mmengine.logging import print_log
from mmengine.registry import DATASETS as ROOT_DATASETS

from mmdd.structures import DistillSlot, RealAnnotation, check_boxes
from mmdd.utils.cli import one_line
from mmdd.utils.progress import Progress
from .annotations import annotations_from_batch
from .file_checks import image_problem, mask_problem, xml_names, xml_problem
from .list_checks import (
    class_folder_problems,
    coco_problem,
    label_list_problem,
    read_list,
    shorten,
)
from .views import plain_datasets

EMPTY = ('the real set, or a part of it, is empty: check data_root, ann_file, data_prefix and '
         'filter_cfg of train_dataloader.dataset')
# Images that are handed to the threads at a time.
CHUNK = 4096


def open_real_set(cfg: Mapping[str, Any]):
    """Build a mm* dataset and check it.

    Lists and annotations are checked before the dataset class reads them: it
    leaves out what it does not know and names no file where it stops.

    Args:
        cfg: Config of the dataset, ``train_dataloader.dataset``.

    Returns:
        The dataset, fully read.

    Raises:
        ValueError: With the first problem; the message names file and fix.
    """
    try:
        dataset = ROOT_DATASETS.build(_lazy(cfg))
    except AssertionError as e:  # mmseg looks for the files of VOC at once, and names none
        missing = str(e) or f'{", ".join(_missing(cfg)) or "a path"} not found'
        raise ValueError(f'the real set cannot be opened ({missing}); check data_root, ann_file '
                         f'and data_prefix of train_dataloader.dataset') from None
    except (KeyError, TypeError, ValueError) as e:  # a transform that is not there
        raise ValueError(f'train_dataloader.dataset cannot be built ({one_line(e)[:200]}); check '
                         f'its pipeline') from e
    _raise_first(problem for part in plain_datasets(dataset) for problem in _list_problems(part))
    try:
        dataset.full_init()
    except (OSError, KeyError, TypeError, AttributeError, ValueError, AssertionError,
            RuntimeError) as e:
        # the words of mmengine and of mmpretrain where there is no image at all
        if 'need at least one array to concatenate' in str(e) or 'Found 0 files' in str(e):
            raise ValueError(EMPTY) from None
        reason = ' '.join(f'{type(e).__name__}: {e}'.split())
        raise ValueError(f'the real set cannot be read ({reason[:200]}); check '
                         f'train_dataloader.dataset and its annotations') from e
    check_real_set(dataset)
    return dataset


def check_real_set(dataset) -> None:
    """Check classes, annotations and images of a built mm* dataset.

    What was found sound is not opened again as long as its file is unchanged.

    Raises:
        ValueError: With the first problem: an empty set, a class that the
            dataset does not know, a box outside its image, a mask with unknown
            ids or of another size, an unreadable annotation or image.
    """
    if len(dataset) == 0:
        raise ValueError(EMPTY)
    for part in plain_datasets(dataset):
        classes = tuple(part.metainfo.get('classes') or ())
        if not classes:
            raise ValueError('the real set has no class names: give train_dataloader.dataset '
                             'metainfo=dict(classes=...) in the order of its labels')
        progress = Progress('checking the real set', len(part))
        with ThreadPoolExecutor(8) as pool:
            for start in range(0, len(part), CHUNK):
                infos = [part.get_data_info(i)
                         for i in range(start, min(start + CHUNK, len(part)))]
                _raise_first(pool.map(_problem, infos, repeat(classes)))
                progress.add(len(infos))


def check_writer(writer, dataset) -> None:
    """Check that a writer suits the labels of a real set, by its first image.

    Raises:
        ValueError: If not: boxes or masks are missing, or class names do not fit.
    """
    first = first_annotation(dataset)
    slot = DistillSlot(0, 0, first.size, target=first.target)
    writer.follow(dataset)
    writer.check(tuple(dataset.metainfo['classes']), [slot])


def first_annotation(dataset) -> RealAnnotation:
    """Labels of the first image of a real set.

    Raises:
        ValueError: If they cannot be read.
    """
    first, = annotations_from_batch(
        pseudo_collate([dataset[0]]), tuple(dataset.metainfo['classes']))
    return first


def _raise_first(problems: Iterable[str]) -> None:
    for problem in problems:
        if problem:
            raise ValueError(problem)


def _lazy(cfg: Mapping[str, Any]) -> dict:
    """The config with reading put off, in wrappers and in what they wrap."""
    lazy = dict(cfg, lazy_init=True)
    if 'dataset' in lazy:
        lazy['dataset'] = _lazy(lazy['dataset'])
    if 'datasets' in lazy:
        lazy['datasets'] = [_lazy(part) for part in lazy['datasets']]
    return lazy


def _missing(cfg: Mapping[str, Any]) -> List[str]:
    """Paths that a dataset config names and that are not there."""
    inner = [cfg['dataset']] if 'dataset' in cfg else cfg.get('datasets')
    if inner:
        return [path for part in inner for path in _missing(part)]
    names = [cfg.get('ann_file'), *dict(cfg.get('data_prefix') or {}).values()]
    paths = [osp.join(cfg.get('data_root') or '', name) for name in names if name]
    return [path for path in paths if not osp.exists(path)]


def _list_problems(part) -> Iterator[str]:
    """Problems of what lists the images and labels of a dataset."""
    classes = tuple(part.metainfo.get('classes') or ())
    if part.ann_file.endswith(('.pkl', '.pickle')):
        yield (f'{part.ann_file}: annotations in a pickle are not read, a pickle can run code; '
               f'write them as JSON')
    if part.ann_file and not osp.exists(part.ann_file):
        yield (f'{part.ann_file}: the list of the real images is missing; check data_root and '
               f'ann_file of train_dataloader.dataset')
    elif hasattr(part, 'ann_subdir'):  # VOC layout
        folder = osp.join(part.sub_data_root, part.ann_subdir)
        paths = [osp.join(folder, f'{name}.xml') for name in read_list(part.ann_file)]
        for path in paths:
            yield xml_problem(path, classes)
        yield _class_problem(part.ann_file, paths, classes)
    elif hasattr(part, 'reduce_zero_label') and osp.isfile(part.ann_file):  # mmseg
        read_list(part.ann_file)
    elif hasattr(part, 'COCOAPI'):
        yield coco_problem(part.ann_file, classes)
    elif getattr(part, 'with_label', False):  # mmpretrain's CustomDataset and ImageNet
        if part.ann_file:
            yield label_list_problem(part.ann_file, len(classes))
        else:
            yield from class_folder_problems(part.img_prefix, classes, part.extensions)


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


def _problem(info: dict, classes: Tuple[str, ...]) -> str:
    if 'img_path' not in info:
        return ('the real set holds arrays, not image files: write it to class folders first, as '
                'tools/dataset_converters do')
    boxes = [instance['bbox'] for instance in info.get('instances', [])
             if 'bbox' in instance and not instance.get('ignore_flag')]
    size = (info['height'], info['width']) if 'height' in info else None
    if boxes and size:
        try:
            check_boxes(np.array(boxes), size, info.get('xml_path') or info['img_path'])
        except ValueError as e:
            return str(e)
    xml = info.get('xml_path')
    problem = (xml_problem(xml, classes) if xml else '') or image_problem(info['img_path'], size)
    if not problem and 'label_map' in info and info.get('seg_map_path'):
        problem = mask_problem(info['seg_map_path'], info['img_path'], len(classes),
                               info['reduce_zero_label'], info['label_map'])
    return problem
