"""Checks of a real set before any work is spent on it."""
import os.path as osp
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import Any, Iterable, Iterator, List, Mapping, Tuple

import numpy as np
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS as ROOT_DATASETS

from mmdd.structures import DistillSlot, RealAnnotation, check_boxes
from mmdd.utils.cli import one_line
from mmdd.utils.progress import Progress
from .annotations import annotations_from_batch
from .file_checks import image_problem
from .formats import SetFormat, format_of
from .views import leaf_datasets, plain_datasets

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
    if not leaf_datasets(dict(cfg)):
        raise ValueError('train_dataloader.dataset is a ConcatDataset of no datasets; list some')
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
        kind = format_of(part)
        progress = Progress('checking the real set', len(part))
        with ThreadPoolExecutor(8) as pool:
            for start in range(0, len(part), CHUNK):
                infos = [part.get_data_info(i)
                         for i in range(start, min(start + CHUNK, len(part)))]
                _raise_first(pool.map(_problem, infos, repeat(kind), repeat(classes)))
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
    item = dataset[0]
    if not isinstance(item, Mapping) or 'data_samples' not in item:
        raise ValueError('train_dataloader.dataset.pipeline packs no data_samples; end it with '
                         'PackInputs, PackDetInputs or PackSegInputs')
    first, = annotations_from_batch(pseudo_collate([item]), tuple(dataset.metainfo['classes']))
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
    paths = [osp.join(leaf.get('data_root') or '', name) for leaf in leaf_datasets(dict(cfg))
             for name in (leaf.get('ann_file'), *dict(leaf.get('data_prefix') or {}).values())
             if name]
    return [path for path in paths if not osp.exists(path)]


def _list_problems(part: Any) -> Iterator[str]:
    """Problems of what lists the images and labels of a dataset."""
    if part.ann_file.endswith(('.pkl', '.pickle')):
        yield (f'{part.ann_file}: annotations in a pickle are not read, a pickle can run code; '
               f'write them as JSON')
    if part.ann_file and not osp.exists(part.ann_file):
        yield (f'{part.ann_file}: the list of the real images is missing; check data_root and '
               f'ann_file of train_dataloader.dataset')
    yield from format_of(part).list_problems(part, tuple(part.metainfo.get('classes') or ()))


def _problem(info: dict, kind: SetFormat, classes: Tuple[str, ...]) -> str:
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
    return image_problem(info['img_path'], size) or kind.label_problem(info, classes)
