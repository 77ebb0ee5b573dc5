"""Teachers and soft labels of student protocols, made where they are missing."""
import os.path as osp
from typing import Any, Dict, List, Mapping, Optional, Tuple

from mmengine.config import Config

from mmdd.datasets.soft_labels import planned_size
from mmdd.engine.prepare import prepare
from mmdd.engine.train_job import ensure_checkpoint
from mmdd.models.students.label_settings import read_settings, size_settings
from mmdd.models.students.label_writer import write_soft_labels
from mmdd.models.students.teacher import of_each, teachers_of
from mmdd.registry import TASK_UTILS
from mmdd.utils import compat
from mmdd.utils.components import class_of
from mmdd.utils.config import ConfigType, fingerprint, load_config
from .protocol import read_protocol, student_config
from .recipes import StoredLabels
from .recipes.base import set_image_size
from .sets import protocol_classes
from .student_check import check_student

# How a teacher is trained that has no config of its own.
TEACHER_SCHEDULE = 'configs/_base_/schedules/teacher_cls.py'


def ensure_teacher(protocol: ConfigType, work_dir: str, folder: Optional[str] = None) -> Config:
    """The protocol with ``protocol.schedule.teacher`` complete: teachers are trained if missing.

    Args:
        protocol: See :func:`read_protocol`; its data must be there. One without a teacher is
            returned as it is.
        work_dir: Weights that it does not place go to ``<work_dir>/teacher_<key>.pth``.
        folder: A set that students will be trained on, or 'full': their network is looked at
            by :func:`check_student` before a teacher is trained, which may take hours.

    Raises:
        ValueError: If the checkpoint cannot be read, the real set is missing, or no student
            can be trained.
    """
    cfg = read_protocol(protocol)
    planned = planned_teachers(cfg, work_dir)
    if folder is not None and not all(osp.isfile(path) for _, path in planned):
        check_student(student_config(cfg, folder, 0), len(protocol_classes(cfg) or ()))
    if planned:
        schedule, complete = cfg.protocol.schedule, []
        for node, (training, checkpoint) in zip(teachers_of(schedule.teacher) or [{}], planned):
            ensure_checkpoint(training, checkpoint)
            complete.append(dict(node, cfg=training.to_dict(), checkpoint=checkpoint))
        schedule.teacher = of_each(complete)
    return cfg


def planned_teachers(protocol: Config, work_dir: str) -> List[Tuple[Config, str]]:
    """Training config and checkpoint of each of a protocol's teachers; they may not be there."""
    schedule: Mapping[str, Any] = protocol.protocol.get('schedule') or {}
    if 'teacher' not in schedule or schedule.get('labels') and not schedule['teacher']:
        return []
    planned = []
    for teacher in teachers_of(schedule['teacher']) or [{}]:
        training = teacher_config(protocol) if teacher.get('cfg') is None else load_config(
            teacher['cfg'])
        planned.append((training, teacher.get('checkpoint') or osp.join(
            work_dir, f'teacher_{fingerprint(training)[:8]}.pth')))
    return planned


def teacher_config(protocol: Config) -> Config:
    """Training config of the student's own network on the protocol's real set.

    Model and datasets of the protocol with the schedule of
    ``configs/_base_/schedules/teacher_cls.py``, at the student's image size.
    """
    kept = ['default_scope', 'model', 'data_preprocessor', 'prepare', 'custom_imports']
    loaders = {}
    for split in ('train', 'val', 'test'):
        if protocol.get(f'{split}_dataloader') is not None:
            kept.append(f'{split}_evaluator')
            loaders[f'{split}_dataloader'] = dict(dataset=protocol[f'{split}_dataloader'].dataset)
    base = {key: protocol[key] for key in kept if protocol.get(key) is not None}
    cfg = load_config([dict(base, **loaders), TEACHER_SCHEDULE])
    cfg.model.pop('train_cfg', None)
    for split in ('val', 'test'):
        if cfg.get(f'{split}_evaluator') is None:  # there is no such split: it is not measured
            cfg.update({f'{split}_{part}': None for part in ('dataloader', 'evaluator', 'cfg')})
    size = (protocol.protocol.get('schedule') or {}).get('image_size') or 224
    set_image_size(cfg, size, 224)
    return cfg


def ensure_soft_labels(protocol: ConfigType, set_folder: str, folder: str,
                       cfg_options: Optional[Dict[str, Any]] = None) -> str:
    """Write the soft labels of a set unless they are there.

    Args:
        protocol: A protocol whose schedule is a ``StoredLabels``, see
            :func:`read_protocol`. Its teacher is trained first where its weights are missing.
        set_folder: Folder of the set, or 'full' for the protocol's real set.
        folder: Where the labels go, for ``protocol.schedule.labels``; it is returned. An
            interrupted run is resumed.
        cfg_options: Dotted options merged into the protocol.

    Raises:
        FileNotFoundError: If the set is incomplete.
        ValueError: If the protocol stores no labels, or set, teacher or ``folder`` do not fit.
    """
    cfg = _storing_protocol(protocol, cfg_options)
    prepare(cfg)
    cfg = ensure_teacher(cfg, osp.dirname(osp.abspath(folder)))
    student = student_config(cfg, set_folder, 0)
    return write_soft_labels(student, folder, read_settings(student))


def describe_soft_labels(protocol: ConfigType, set_folder: str,
                         cfg_options: Optional[Dict[str, Any]] = None) -> str:
    """The size of the labels of :func:`ensure_soft_labels` in one line; nothing is written.

    Errors are the same, but for those of the teacher's weights.
    """
    cfg = _storing_protocol(protocol, cfg_options)
    return planned_size(size_settings(student_config(cfg, set_folder, 0)))


def _storing_protocol(protocol: ConfigType, cfg_options: Optional[Dict[str, Any]]) -> Config:
    cfg = read_protocol(protocol, cfg_options)
    rule = class_of(TASK_UTILS, cfg.protocol.get('schedule'))
    if rule is None or not issubclass(rule, StoredLabels):
        raise ValueError('the protocol stores no soft labels: its schedule must be FKDSchedule, '
                         'as in configs/_base_/protocols/fkd_soft.py, or ImageLabels')
    compat.setup()
    return cfg
