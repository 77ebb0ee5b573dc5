"""A teacher writes the soft labels of a set, once for all students."""
import copy
import os.path as osp
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image
from torch.utils.data import DataLoader, Subset

from mmdd.datasets import soft_labels
from mmdd.datasets.label_codec import FP16, fill_logits
from mmdd.datasets.replay import SoftLabelDataset, set_digest
from mmdd.datasets.views import check_class_order, leaf_dataset, read_classes
from mmdd.models.proxies.base import reads_rgb
from mmdd.models.students.teacher import Teacher, build_teachers, mean_logits, of_each, teachers_of
from mmdd.utils import compat
from mmdd.utils.config import fingerprint, load_config, resolve_path
from mmdd.utils.io import sha256
from mmdd.utils.paths import tool_command
from mmdd.utils.photograph import upright_size
from mmdd.utils.progress import Progress
from mmdd.utils.seed import derive_seed
from .recipes.soft import CLASSES_FIX
from .regimes import regime_of

# What the labels replay, whatever the protocol says: it must say the same.
REPLAYED = ('image_size', 'crop_area', 'flip_prob', 'cutmix', 'topk', 'precision')
# Images per forward pass of the teacher. In evaluation mode it changes nothing else.
_CHUNK = 128


@dataclass
class _Draft:
    """Rows of the only epoch, which no teacher has seen yet; stands in for a store."""
    drawn: np.ndarray

    def rows(self, epoch: int) -> np.ndarray:
        return self.drawn

    def logits(self, row: np.void) -> np.ndarray:
        return np.zeros(0, np.float32)


def prepare_student(config: Mapping[str, Any], work_dir: str) -> Config:
    """The config of a student with the folder of its stored soft labels, which are made first.

    Args:
        config: Student config as :func:`student_config` gives it; one without stored labels
            stays as it is, and of labels that it names :func:`check_labels` is asked.
        work_dir: Folder of the evaluation; labels go to ``<work_dir>/soft_labels/<key>``, where
            the key stands for images, teacher and settings. Labels that are there are used,
            unfinished ones finished.
    """
    cfg = load_config(config)
    if cfg.get('soft_labels') is None:
        return cfg
    dataset = cfg.train_dataloader.dataset
    if dataset.labels is not None:
        check_labels(cfg, dataset.labels)
    else:
        settings = read_settings(cfg)
        key = fingerprint(dict(settings=settings))[:16]
        dataset.labels = write_soft_labels(cfg, osp.join(work_dir, 'soft_labels', key), settings)
    return cfg


def read_settings(cfg: Config) -> Dict[str, Any]:
    """Everything the soft labels of a student config depend on; ValueError without a teacher."""
    compat.setup()
    teachers = teachers_of(cfg.soft_labels.teacher)
    if any(teacher.get('checkpoint') is None for teacher in teachers):
        raise ValueError('the teacher has no weights; set protocol.schedule.teacher.checkpoint')
    dataset = _open_set(cfg)
    columns = _columns(teachers)
    return dict(
        size_settings(cfg, dataset), set=set_digest(dataset), teacher=_teacher_hashes(teachers),
        network=of_each([fingerprint(dict(model=teacher['cfg'].model)) for teacher in teachers]),
        pipeline=_pipeline_mark(cfg), **(dict(columns=columns) if columns else {}))


def _teacher_hashes(teachers: Sequence[Mapping[str, Any]]) -> Any:
    return of_each([sha256(resolve_path(teacher['checkpoint'])) for teacher in teachers])


def _columns(teachers: Sequence[Mapping[str, Any]]) -> List[Any]:
    """The logits of each teacher that count; empty where all do."""
    found = [list(teacher.get('columns') or []) for teacher in teachers]
    return of_each(found) if any(found) else []


def size_settings(cfg: Config, dataset: Optional[Any] = None) -> Dict[str, Any]:
    """What of :func:`read_settings` needs no weights of a teacher: enough for the size.

    ValueError where the classes of teacher and set differ.
    """
    dataset = _open_set(cfg) if dataset is None else dataset
    wanted = cfg.soft_labels
    classes = list(dataset.metainfo.get('classes') or ())
    counts = {_num_classes(teacher) or len(classes) for teacher in teachers_of(wanted.teacher)}
    for count in sorted(counts):
        if count != len(classes) and classes or len(counts) > 1:
            raise ValueError(f'the teacher has {count} classes, the set {len(classes)}; give a '
                             f'teacher of the same classes')
    return dict({k: v for k, v in wanted.to_dict().items() if k not in ('teacher', 'pipeline')},
                images=len(dataset), classes=classes, num_classes=counts.pop())


def _num_classes(teacher: Mapping[str, Any]) -> Optional[int]:
    columns = teacher.get('columns')
    return len(columns) if columns else teacher['cfg'].model.get('head', {}).get('num_classes')


def write_soft_labels(cfg: Config, folder: str, settings: Dict[str, Any]) -> str:
    """Write the soft labels of a student config epoch by epoch into a folder, and return it.

    Finished epochs are kept. The size is printed before anything is written.
    """
    store = soft_labels.SoftLabelStore.create(folder, settings)
    missing = [epoch for epoch in store.missing if epoch < settings['epochs']]
    if not missing:
        return folder
    print(f'{soft_labels.planned_size(settings)} in {folder}', flush=True)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    teachers = build_teachers(teachers_of(cfg.soft_labels.teacher), device)
    dataset = _open_set(cfg)
    total = [soft_labels.rows_of_epoch(settings, epoch) for epoch in range(settings['epochs'])]
    progress = Progress('soft labels', sum(total))
    progress.skip(sum(total) - sum(total[epoch] for epoch in missing))
    sizes = None if settings.get('regime') == 'image' else _image_sizes(dataset)
    for epoch in missing:
        if sizes is None:
            rows, views = np.zeros(total[epoch], store.dtype), dataset
        else:
            rows = soft_labels.draw_epoch(settings, epoch, sizes, store.dtype)[:total[epoch]]
            views = SoftLabelDataset(dataset, _Draft(rows), check=False)
        fill_logits(rows, _ask(cfg, views, teachers, epoch, settings, progress), settings)
        store.write(epoch, rows)
    return folder


def check_labels(cfg: Config, folder: str) -> None:
    """Check labels that a student config names against the schedule and the teacher.

    FileNotFoundError if there are none, ValueError if they do not fit. The set is compared when
    the training opens it.
    """
    own_set = leaf_dataset(cfg.train_dataloader.dataset).get('data_root') or 'SET'
    command = f'{tool_command("relabel")} PROTOCOL --set {own_set} --out {folder}'
    if not osp.isfile(osp.join(folder, soft_labels.INDEX)):
        raise FileNotFoundError(f'no soft labels in {folder}: {soft_labels.INDEX} not found; '
                                f'write them with {command}')
    store = soft_labels.SoftLabelStore(folder)
    if store.epochs < cfg.soft_labels.epochs:
        raise ValueError(f'{folder} has soft labels of {store.epochs} epochs, the schedule needs '
                         f'{cfg.soft_labels.epochs}; write more with {command} or set '
                         f'protocol.schedule.pool={store.epochs}')
    check_class_order('the teacher', store.settings['classes'], 'the set',
                      read_classes(cfg, 'mmpretrain'), CLASSES_FIX)
    for differs, what in _differences(cfg, store.settings):
        if differs:
            raise ValueError(f'{folder} has soft labels {what}write labels for this protocol')
    store.verify()


def _differences(cfg: Config, settings: Mapping[str, Any]) -> Iterator[Tuple[bool, str]]:
    """Whether labels are of another thing than a student config asks for, and of which."""
    stored, wanted = (dict(dict(precision=FP16), **each)
                      for each in (settings, cfg.soft_labels.to_dict()))
    kinds = [_kind(each) for each in (stored, wanted)]
    yield kinds[0] != kinds[1], f'of the regime {kinds[0]}, the protocol is of {kinds[1]}; '
    keys = [*REPLAYED, *(['temperature'] if stored['topk'] is not None else [])]
    other = [key for key in keys if stored.get(key) != wanted.get(key)]
    told = ', '.join(f'{key} {stored[key]}, the protocol {wanted[key]}' for key in other)
    fix = ' '.join(f'protocol.schedule.{key}={str(stored[key]).replace(" ", "")}' for key in other)
    yield bool(other), f'with {told}; set {fix} or '
    yield (stored['pipeline'] != _pipeline_mark(cfg),
           'of another train_dataloader.dataset.pipeline than that of the protocol; ')
    teachers = teachers_of(wanted['teacher'])
    yield (_columns(teachers) != stored.get('columns', []),
           'of other classes of the teacher than protocol.schedule.teacher.mapping; ')
    given = [teacher['checkpoint'] for teacher in teachers if teacher.get('checkpoint')]
    yield (bool(given) and (_teacher_hashes(teachers) != stored['teacher']
                            or wanted.get('combine') != stored.get('combine')),
           f'of another teacher than {", ".join(given)}; ')


def _kind(labels: Mapping[str, Any]) -> str:
    """The regime of labels, and how large a pool of batches is."""
    batches = labels.get('batches')
    return regime_of(labels) + (
        f' ({batches} batches of {labels["batch_size"]} images)' if batches else '')


def _pipeline_mark(cfg: Config) -> str:
    """What identifies the pipeline through which the teacher sees the images."""
    own = cfg.soft_labels.get('pipeline')
    return fingerprint(dict(pipeline=own or cfg.train_dataloader.dataset.dataset.pipeline))


def _open_set(cfg: Config) -> Any:
    dataset = copy.deepcopy(cfg.train_dataloader.dataset.dataset)
    if cfg.soft_labels.get('pipeline'):
        leaf_dataset(dataset)['pipeline'] = copy.deepcopy(cfg.soft_labels.pipeline)
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


def _ask(cfg: Config, dataset: Any, teachers: Sequence[Teacher], epoch: int,
         settings: Mapping[str, Any], progress: Progress) -> np.ndarray:
    """Logits (N, K) of the teachers for the rows of an epoch, in their order."""
    loader_cfg = cfg.train_dataloader
    drawn = settings.get('combine') == 'sample'
    rng = np.random.default_rng(derive_seed('teachers', settings.get('seed', 0), epoch))
    rows = range(soft_labels.rows_of_epoch(settings, epoch))
    loader: DataLoader = DataLoader(
        Subset(dataset, rows), settings['batch_size'] if drawn else _CHUNK,
        num_workers=loader_cfg.get('num_workers', 0), collate_fn=pseudo_collate)
    device = next(teachers[0].parameters()).device
    rgb = reads_rgb(dict(train_dataloader=dict(dataset=loader_cfg.dataset.dataset)))
    found = []
    for batch in loader:
        images = torch.stack(batch['inputs']).to(device).float() / 255
        images = images if rgb else images.flip(1)
        asked = [teachers[int(rng.integers(len(teachers)))]] if drawn else teachers
        found.append(mean_logits([teacher.logits(images) for teacher in asked]).cpu().numpy())
        progress.add(len(images))
    logits, num_classes = np.concatenate(found), settings['num_classes']
    if logits.shape[1] != num_classes:
        raise ValueError(f'the teacher has {logits.shape[1]} classes, its config says '
                         f'{num_classes}; correct model.head.num_classes')
    return logits
