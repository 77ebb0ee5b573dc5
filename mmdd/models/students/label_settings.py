"""What the soft labels of a student depend on, and whether those that are there fit."""
import copy
import os.path as osp
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from mmdd.datasets import soft_labels
from mmdd.datasets.label_codec import FP16
from mmdd.datasets.replay import set_digest
from mmdd.datasets.views import check_class_order, leaf_dataset, read_classes
from mmdd.utils import compat
from mmdd.utils.config import fingerprint, resolve_path
from mmdd.utils.io import sha256
from mmdd.utils.paths import tool_command
from .label_regimes import regime_of
from .teacher import CLASSES_FIX, of_each, teachers_of

# What the labels replay, whatever the protocol says: it must say the same.
REPLAYED = ('image_size', 'crop_area', 'flip_prob', 'cutmix', 'topk', 'precision')


def read_settings(cfg: Config) -> Dict[str, Any]:
    """Everything the soft labels of a student config depend on.

    Raises:
        ValueError: If a teacher has no weights, or other classes than the set.
    """
    compat.setup()
    teachers = teachers_of(cfg.soft_labels.teacher)
    if any(teacher.get('checkpoint') is None for teacher in teachers):
        raise ValueError('the teacher has no weights; set protocol.schedule.teacher.checkpoint')
    dataset = open_set(cfg)
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
    dataset = open_set(cfg) if dataset is None else dataset
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


def open_set(cfg: Config) -> Any:
    """The set of a student config with stored labels, as its teachers see it."""
    dataset = copy.deepcopy(cfg.train_dataloader.dataset.dataset)
    if cfg.soft_labels.get('pipeline'):
        leaf_dataset(dataset)['pipeline'] = copy.deepcopy(cfg.soft_labels.pipeline)
    # Read by one process, so there is nothing to gain from packing it.
    dataset.setdefault('serialize_data', False)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmpretrain'):
        return DATASETS.build(dataset)
