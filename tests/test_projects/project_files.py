"""The folders of projects: their configs, their Python files, these as modules."""
import glob
import importlib
import os.path as osp

from mmdd.utils.config import import_path

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
PROJECTS = sorted(osp.basename(osp.dirname(path)) for path in glob.glob(
    osp.join(ROOT, 'projects', '*', '')))


def parts(project):
    """Configs and Python files of a project; the first of these is what the configs import."""
    files = sorted(glob.glob(osp.join(ROOT, 'projects', project, '*.py')))
    configs = [path for path in files if '_base_ = ' in open(path).read()]
    modules = [path for path in files if path not in configs]
    assert 1 <= len(configs) <= 2 and 1 <= len(modules) <= 2, files
    assert all(f"imports=['{stem(modules[0])}']" in open(path).read() for path in configs)
    return configs, modules


def stem(path):
    """Name of a file without folder and ending."""
    return osp.splitext(osp.basename(path))[0]


def load_module(project):
    """The Python file of a project that its configs import, as a module."""
    configs, modules = parts(project)
    with import_path(configs[0]):
        return importlib.import_module(stem(modules[0]))
