"""A teacher writes the soft labels of a set, once for all students."""
import copy
import os.path as osp
from typing import Any, Dict, Mapping, Optional

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image
from torch.utils.data import DataLoader

from mmdd.datasets.replay import SoftLabelDataset, set_digest
from mmdd.datasets.soft_labels import (
    INDEX,
    SoftLabelStore,
    compress,
    draw_epoch,
    planned_size,
    row_type,
)
from mmdd.datasets.views import check_class_order, leaf_dataset, read_classes
from mmdd.models.proxies.base import reads_rgb
from mmdd.models.students.soft_label_classifier import Teacher
from mmdd.utils import compat
from mmdd.utils.config import fingerprint, resolve_path
from mmdd.utils.io import sha256
from mmdd.utils.photograph import upright_size
from mmdd.utils.progress import Progress
from .recipes.soft import CLASSES_FIX

# What the labels replay, whatever the protocol says: it must say the same.
AUGMENTATION = ('crop_area', 'flip_prob', 'cutmix', 'topk')

# Images per forward pass of the teacher. In evaluation mode it changes nothing else.
_CHUNK = 128


class _Draft:
    """Rows of one epoch that have no logits yet; stands in for a store."""

    def __init__(self, rows: np.ndarray, num_classes: int) -> None:
        self.folder, self.epochs = '', 1
        self._rows, self._logits = rows, np.zeros(num_classes, np.float32)

    def rows(self, epoch: int) -> np.ndarray:
        """The rows of the only epoch."""
        return self._rows

    def logits(self, row: np.void) -> np.ndarray:
        """Zeros: the teacher has not seen the row yet."""
        return self._logits


def prepare_student(config: Mapping[str, Any], work_dir: str) -> Config:
    """Make what a student's training reads beside the set: its soft labels.

    Args:
        config: Student config as :func:`student_config` gives it.
        work_dir: Folder of the evaluation; labels go to
            ``<work_dir>/soft_labels/<key>``, where the key stands for images, teacher
            and settings. Labels that are there are used, unfinished ones finished.

    Returns:
        Config: The config with the folder of the labels filled in; unchanged for
        a protocol without stored labels.

    Raises:
        FileNotFoundError: If labels that the config names are missing.
        ValueError: If they are of another set or teacher, or of too few epochs.
    """
    cfg = Config(copy.deepcopy(config.to_dict() if isinstance(config, Config) else dict(config)))
    if cfg.get('soft_labels') is None:
        return cfg
    dataset = cfg.train_dataloader.dataset
    if dataset.labels is None:
        settings = read_settings(cfg)
        key = fingerprint(dict(settings=settings))[:16]
        dataset.labels = write_soft_labels(
            cfg, osp.join(work_dir, 'soft_labels', key), settings)
    else:
        check_labels(cfg, dataset.labels)
    return cfg


def read_settings(cfg: Config) -> Dict[str, Any]:
    """Everything the soft labels of a student config depend on.

    Args:
        cfg: Student config of a protocol with stored labels.

    Raises:
        ValueError: If there is no teacher, or its classes differ from the set's.
    """
    compat.setup()
    wanted = cfg.get('soft_labels')
    if wanted is None:
        raise ValueError('the protocol has no stored soft labels: its schedule must be '
                         'FKDSchedule, as in configs/_base_/protocols/fkd_soft.py')
    checkpoint = wanted.teacher.get('checkpoint')
    if checkpoint is None:
        raise ValueError('the teacher has no weights; set protocol.schedule.teacher.checkpoint')
    dataset, columns = _open_set(cfg), wanted.teacher.get('columns')
    settings = size_settings(cfg, dataset)
    settings.update(
        set=set_digest(dataset), teacher=sha256(resolve_path(checkpoint)),
        network=fingerprint(dict(model=wanted.teacher.cfg.model)), pipeline=_pipeline_mark(cfg))
    if columns:
        settings['columns'] = list(columns)
    return settings


def size_settings(cfg: Config, dataset: Optional[Any] = None) -> Dict[str, Any]:
    """What of :func:`read_settings` needs no weights of a teacher: enough for the size.

    Args:
        cfg: Student config of a protocol with stored labels.
        dataset: Its set without soft labels, if it is open.

    Raises:
        ValueError: If the classes of teacher and set differ.
    """
    dataset = _open_set(cfg) if dataset is None else dataset
    wanted = cfg.soft_labels
    classes = list(dataset.metainfo.get('classes') or ())
    columns, head = wanted.teacher.get('columns'), wanted.teacher.cfg.model.get('head', {})
    num_classes = len(columns) if columns else head.get('num_classes') or len(classes)
    if classes and num_classes != len(classes):
        raise ValueError(f'the teacher has {num_classes} classes, the set {len(classes)}; give a '
                         f'teacher of the same classes')
    return dict({k: v for k, v in wanted.to_dict().items() if k != 'teacher'},
                images=len(dataset), classes=classes, num_classes=num_classes)


def write_soft_labels(cfg: Config, folder: str, settings: Dict[str, Any]) -> str:
    """Write soft labels epoch by epoch; finished epochs are kept.

    The size is printed before anything is written.

    Args:
        cfg: Student config of a protocol with stored labels.
        folder: Where they go.
        settings: See :func:`read_settings`.

    Returns:
        str: ``folder``.

    Raises:
        ValueError: If the folder holds other labels.
    """
    store = SoftLabelStore.create(folder, settings)
    missing = [epoch for epoch in store.missing if epoch < settings['epochs']]
    if not missing:
        return folder
    print(f'{planned_size(settings)} in {folder}', flush=True)
    wanted = cfg.soft_labels
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    teacher = Teacher(wanted.teacher.cfg, wanted.teacher.checkpoint,
                      wanted.teacher.get('columns')).to(device)
    dataset = _open_set(cfg)
    sizes = _image_sizes(dataset)
    dtype = row_type(settings['num_classes'], settings['topk'])
    progress = Progress('soft labels', len(dataset) * settings['epochs'])
    progress.skip(len(dataset) * (settings['epochs'] - len(missing)))
    for epoch in missing:
        rows = draw_epoch(settings, epoch, sizes, dtype)
        logits = _ask(cfg, dataset, teacher, rows, settings['num_classes'], progress)
        if settings['topk'] is None:
            rows['logits'] = logits
        else:
            rows['logits'], rows['classes'] = compress(
                logits, settings['topk'], settings['temperature'])
        store.write(epoch, rows)
    return folder


def check_labels(cfg: Config, folder: str) -> None:
    """Check labels that a student config names against the schedule and the teacher.

    The set is compared when the training opens it.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If they do not fit.
    """
    command = (f'python tools/relabel.py PROTOCOL --set {_set_folder(cfg)} --out {folder}')
    if not osp.isfile(osp.join(folder, INDEX)):
        raise FileNotFoundError(f'no soft labels in {folder}: {INDEX} not found; write them with '
                                f'{command}')
    store = SoftLabelStore(folder)
    wanted, settings = cfg.soft_labels, store.settings
    if store.epochs < wanted.epochs:
        raise ValueError(f'{folder} has soft labels of {store.epochs} epochs, the schedule needs '
                         f'{wanted.epochs}; write more with {command} or set '
                         f'protocol.schedule.pool={store.epochs}')
    check_class_order('the teacher', settings['classes'], 'the set',
                      read_classes(cfg, 'mmpretrain'), CLASSES_FIX)
    if settings['topk'] is not None and settings['temperature'] != wanted.temperature:
        raise ValueError(f'{folder} keeps the top {settings["topk"]} classes at temperature '
                         f'{settings["temperature"]:g}, the student has {wanted.temperature:g}; '
                         f'write labels for this temperature')
    if settings['image_size'] != wanted.image_size:
        raise ValueError(f'{folder} has soft labels of {settings["image_size"]} pixel images, the '
                         f'student takes {wanted.image_size}; write labels for this size')
    if list(wanted.teacher.get('columns') or []) != settings.get('columns', []):
        raise ValueError(f'{folder} has soft labels of other classes of the teacher; write labels '
                         f'with this protocol.schedule.teacher.mapping')
    _check_augmentation(cfg, folder, settings)
    checkpoint = wanted.teacher.get('checkpoint')
    if checkpoint is not None and sha256(resolve_path(checkpoint)) != settings['teacher']:
        raise ValueError(f'{folder} has soft labels of another teacher than {checkpoint}; write '
                         f'labels of this teacher')
    store.verify()


def _check_augmentation(cfg: Config, folder: str, settings: Mapping[str, Any]) -> None:
    """Compare what the protocol says of the images with what the labels replay.

    Raises:
        ValueError: With the fields of ``protocol.schedule`` that differ.
    """
    wanted = cfg.soft_labels.to_dict()
    other = [key for key in AUGMENTATION if settings[key] != wanted[key]]
    if other:
        told = ', '.join(f'{key} {settings[key]}, the protocol {wanted[key]}' for key in other)
        fix = ' '.join(f'protocol.schedule.{key}={str(settings[key]).replace(" ", "")}'
                        for key in other)
        raise ValueError(f'{folder} has soft labels with {told}; set {fix} or write labels for '
                         f'this protocol')
    if settings['pipeline'] != _pipeline_mark(cfg):
        raise ValueError(f'{folder} has soft labels of another train_dataloader.dataset.pipeline '
                         f'than that of the protocol; write labels for this protocol')


def _pipeline_mark(cfg: Config) -> str:
    return fingerprint(dict(pipeline=cfg.train_dataloader.dataset.dataset.pipeline))


def _set_folder(cfg: Config) -> str:
    """Folder of the set that a student config trains on."""
    return leaf_dataset(cfg.train_dataloader.dataset).get('data_root') or 'SET'


def _open_set(cfg: Config) -> Any:
    dataset = copy.deepcopy(cfg.train_dataloader.dataset.dataset)
    # Read by one process, so there is nothing to gain from packing it.
    dataset.setdefault('serialize_data', False)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmpretrain'):
        return DATASETS.build(dataset)


def _image_sizes(dataset: Any) -> np.ndarray:
    """(N, 2) height and width of the files, upright as the pipeline decodes them."""
    sizes = np.zeros((len(dataset), 2), np.int64)
    for index in range(len(dataset)):
        with Image.open(dataset.get_data_info(index)['img_path']) as image:
            sizes[index] = upright_size(image)
    return sizes


def _ask(cfg: Config, dataset: Any, teacher: Teacher, rows: np.ndarray,
         num_classes: int, progress: Progress) -> np.ndarray:
    """Logits (N, K) of the teacher for the rows of an epoch, in their order."""
    loader_cfg = cfg.train_dataloader
    draft: Any = SoftLabelDataset(dataset, _Draft(rows, num_classes), check=False)
    loader: DataLoader = DataLoader(
        draft, _CHUNK,
        num_workers=loader_cfg.get('num_workers', 0), collate_fn=pseudo_collate)
    device = next(teacher.parameters()).device
    rgb = reads_rgb(dict(train_dataloader=dict(dataset=loader_cfg.dataset.dataset)))
    found = []
    for batch in loader:
        images = torch.stack(batch['inputs']).to(device).float() / 255
        found.append(teacher.logits(images if rgb else images.flip(1)).cpu().numpy())
        progress.add(len(images))
    logits = np.concatenate(found)
    if logits.shape[1] != num_classes:
        raise ValueError(f'the teacher has {logits.shape[1]} classes, its config says '
                         f'{num_classes}; correct model.head.num_classes')
    return logits
