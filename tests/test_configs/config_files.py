"""The config files of the repository, read once for all tests."""
import glob
import json
import os.path as osp
import tempfile
from contextlib import contextmanager
from functools import cache
from unittest import mock

from mmdd.engine.distill_job import read_job
from mmdd.utils.config import load_config, plain

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
METHODS = sorted(osp.basename(osp.dirname(path)) for path in glob.glob(
    osp.join(ROOT, 'configs', '*', 'metafile.yml')))
CONFIGS = sorted(osp.relpath(path, ROOT) for path in glob.glob(
    osp.join(ROOT, 'configs', '**', '*.py'), recursive=True))
LEAVES = [path for path in CONFIGS if path.split('/')[1] in METHODS]


@contextmanager
def temporary_files_in_memory():
    """MMEngine copies every file that it reads; on a slow disk that takes most of the time."""
    folder = '/dev/shm' if osp.isdir('/dev/shm') else None
    with mock.patch.object(tempfile, 'tempdir', folder):
        yield


def read_config(path):
    """Any config file by its path in the repository."""
    with temporary_files_in_memory():
        return load_config(osp.join(ROOT, path))


@cache
def job(path):
    """A distillation config by its path in the repository; not to be changed."""
    with temporary_files_in_memory():
        return read_job(osp.join(ROOT, path))


def training(config):
    """The training config of a proxy or a student; not to be changed."""
    return _training(json.dumps(plain(config)))


@cache
def _training(text):
    with temporary_files_in_memory():
        return load_config(json.loads(text))


def students(cfg):
    """The student protocols of a job by name; '' is the one that counts by default."""
    return {'': cfg.evaluation.protocol, **cfg.evaluation.get('students', {})}
