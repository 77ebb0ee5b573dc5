"""Workarounds that let the OpenMMLab 2.x releases run on a current stack.

mmcv 2.1, mmengine 0.10, mmdet 3.3, mmseg 1.2 and mmpretrain 1.2 predate
torch 2.6, transformers 4.56 and setuptools 82, and read files that can run code. This
module holds the few changes they need, and nothing else; every function says why it is
there and when it can go.

``import mmdd`` applies those that configs need (:func:`setup_configs`).
Call :func:`setup` before anything imports ``mmdet.models``, ``mmseg.models``,
``mmpretrain`` or ``diffusers``, and :func:`fix_cpu_dist` before ``Runner.from_cfg``.
Every step may run twice and does nothing where upstream already works.
"""
import importlib.util
import os.path as osp
import re
import sys
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from functools import lru_cache, wraps
from importlib import metadata
from io import StringIO
from typing import Any, Callable, Iterator, Optional, Tuple

_TV_LIB = None


def fix_torchvision() -> None:
    """Import a torchvision wheel whose C++ operators do not load.

    Why: PyPI's torchvision beside a CPU build of torch stops with ``operator
    torchvision::nms does not exist``, inside every Runner. The operators' schemas
    are declared, so that the import succeeds; calling them still fails, as it should.
    Can go: when only matching torch / torchvision wheels are supported.
    """
    global _TV_LIB
    if 'torchvision' in sys.modules or importlib.util.find_spec('torchvision') is None:
        return
    import torch
    for _ in range(16):
        try:
            import torchvision  # noqa: F401
            return
        except RuntimeError as error:
            missing = re.search(r'operator torchvision::(\w+) does not exist', str(error))
            if missing is None:
                raise
        for name in [k for k in sys.modules if k.partition('.')[0] == 'torchvision']:
            del sys.modules[name]
        if _TV_LIB is None:
            _TV_LIB = torch.library.Library('torchvision', 'FRAGMENT')
        _TV_LIB.define(f'{missing[1]}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    raise RuntimeError('torchvision cannot be imported')


def fix_mmpretrain() -> None:
    """Switch mmpretrain's multimodal models off.

    Why: they subclass names that transformers dropped in 4.56, and the import
    of mmpretrain, mmdet and mmseg models fails with them.
    Can go: with an mmpretrain later than 1.2.0 that supports transformers 5.
    """
    if importlib.util.find_spec('mmpretrain') is None:
        return
    version = _transformers_version()
    if version is not None and version >= (4, 56):
        import mmpretrain.utils.dependency as dependency
        dependency.WITH_MULTIMODAL = False


@lru_cache(maxsize=1)
def _transformers_version() -> Optional[Tuple[int, int]]:
    # Reading the metadata takes milliseconds, and every look-up of a class asks.
    try:
        major, minor = metadata.version('transformers').split('.')[:2]
    except metadata.PackageNotFoundError:
        return None
    return int(major), int(minor)


def fix_checkpoint_loading() -> None:
    """Read every checkpoint of mmengine by :func:`mmdd.utils.checkpoint.read_checkpoint`.

    Why: training checkpoints hold HistoryBuffer objects, which torch >= 2.6 refuses by
    default, and those that mmengine downloads are unpickled without restriction.
    Can go: with an mmengine later than 0.10.7 that passes ``weights_only`` itself.
    """
    import mmengine.runner.checkpoint as upstream

    from .checkpoint import download, read_checkpoint

    def load_from_local(filename: str, map_location: Any = None) -> Any:
        return read_checkpoint(filename, map_location)

    def load_from_http(filename: str, map_location: Any = None, **_: Any) -> Any:
        return read_checkpoint(download(filename), map_location)

    def load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
        name = filename.partition('://')[2]
        name = upstream.get_deprecated_model_names().get(name, name)
        url = upstream.get_external_models()[name]
        if url.startswith(('http://', 'https://')):
            return load_from_http(url, map_location)
        return read_checkpoint(osp.join(upstream._get_mmengine_home(), url), map_location)

    def load_from_store(filename: str, map_location: Any = None) -> Any:
        raise ValueError(f'{filename}: checkpoints are not read from this store; download the '
                         f'file and give its path')

    upstream.load_from_http = load_from_http  # those of torchvision and mmcls call it
    for prefixes, loader in (
            ('', load_from_local), (('http://', 'https://'), load_from_http),
            (('open-mmlab://', 'openmmlab://'), load_from_openmmlab),
            (('pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://'), load_from_store)):
        upstream.CheckpointLoader.register_scheme(prefixes=prefixes, loader=loader, force=True)


def fix_file_handlers() -> None:
    """Let ``mmengine.load`` read pickle and YAML files of plain values only.

    Why: datasets read annotation files with it, and by their ending it unpickles them, or
    builds the Python objects that a YAML tag names.
    Can go: with an mmengine later than 0.10.7 that does neither.
    """
    import mmengine.fileio.handlers.yaml_handler as yaml_handler
    import yaml
    from mmengine.fileio import PickleHandler, register_handler

    from .plain_pickle import load_pickle

    class PlainPickleHandler(PickleHandler):

        def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
            return load_pickle(file, **kwargs)

    register_handler(['pickle', 'pkl'])(PlainPickleHandler)
    yaml_handler.Loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


def fix_one_cycle_state() -> None:
    """Leave the function of a 1cycle schedule out of its state.

    Why: the state of a training would hold a function, which no checkpoint that is read as
    data may; the scheduler has it from its own settings.
    Can go: with an mmengine later than 0.10.7 that keeps the name of the annealing.
    """
    from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler, _ParamScheduler

    def state_dict(self: Any) -> dict:
        state = _ParamScheduler.state_dict(self)
        state.pop('anneal_func', None)
        return state

    OneCycleParamScheduler.state_dict = state_dict


def fix_coco_lines() -> None:
    """Read COCO annotations, and compare results with them, without lines on the standard output.

    The table of the metrics stays, see :func:`without_coco_tables`.
    Why: pycocotools prints four lines for every file that a dataset or a metric opens, and five
    for every kind of boxes or masks that it compares.
    Can go: with a pycocotools that does so by a logger.
    """
    if importlib.util.find_spec('pycocotools') is None:
        return
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    for kind, names in ((COCO, ('__init__', 'createIndex', 'loadRes')),
                        (COCOeval, ('evaluate', 'accumulate'))):
        for name in names:
            if not hasattr(getattr(kind, name), '_original'):
                setattr(kind, name, _silenced(getattr(kind, name)))


def _silenced(method: Callable) -> Callable:
    """A method that prints nothing on the standard output."""

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        with redirect_stdout(StringIO()):
            return method(*args, **kwargs)

    _remember(call, method)
    return call


@contextmanager
def without_coco_tables() -> Iterator[None]:
    """Within the block pycocotools prints no table of its metrics: MMEngine logs them in a line.

    For trainings that a job does on its way, whose metrics nobody asked for.
    """
    if importlib.util.find_spec('pycocotools') is None:
        yield
        return
    from pycocotools.cocoeval import COCOeval
    summarize = COCOeval.summarize
    COCOeval.summarize = _silenced(summarize)
    try:
        yield
    finally:
        COCOeval.summarize = summarize


def fix_package_configs() -> None:
    """Resolve ``_base_ = 'mmdet::...'`` without ``pkg_resources``.

    Why: setuptools 82 removed it and mmengine's package utilities import it.
    Can go: with an mmengine later than 0.10.7 that uses importlib.metadata.
    """
    import mmengine.config.config as config
    import mmengine.config.utils as config_utils
    import mmengine.utils as utils
    to_module = {v: k for k, v in config_utils.MODULE2PACKAGE.items()}

    def find(package: str) -> Any:
        try:
            return importlib.util.find_spec(to_module.get(package, package).replace('-', '_'))
        except (ImportError, ValueError):
            return None

    def is_installed(package: str) -> bool:
        spec = find(package)
        return spec is not None and spec.origin is not None

    def get_installed_path(package: str) -> str:
        if not is_installed(package):
            raise ModuleNotFoundError(f'{package} is not installed')
        return osp.dirname(find(package).origin)

    def install_package(package: str) -> None:  # upstream runs `pip install` here
        if not is_installed(package):
            raise ModuleNotFoundError(f'{package} is not installed')

    modules = [config, utils, utils.package_utils]
    if 'mmengine.hub.hub' in sys.modules:  # imported later, it takes them from mmengine.utils
        modules.append(sys.modules['mmengine.hub.hub'])
    for module in modules:
        for function in (is_installed, get_installed_path, install_package):
            if hasattr(module, function.__name__):
                setattr(module, function.__name__, function)


def fix_own_configs(find: Callable[[str], str]) -> None:
    """Let ``'mmdd::...'`` name a config of mmdd.

    In ``_base_``, ``Config.fromfile`` and ``mmengine.hub.get_config``.
    Why: mmengine knows the packages of OpenMMLab by a closed list, and stamps the
    package's scope on what is inherited from one; mmdd's configs have the scope of their task.
    Can go: with an mmengine later than 0.10.7 that takes any installed package.

    Args:
        find: Turns such a name into a path.
    """
    from mmengine.config import Config
    from mmengine.config.utils import MODULE2PACKAGE
    MODULE2PACKAGE['mmdd'] = 'mmdd'
    get_path = getattr(Config._get_cfg_path, '_original', Config._get_cfg_path)
    read = getattr(Config.fromfile, '_original', Config.fromfile)

    def _get_cfg_path(cfg_path: str, filename: str) -> Tuple[str, Optional[str]]:
        return (find(cfg_path), None) if cfg_path.startswith('mmdd::') else get_path(
            cfg_path, filename)

    def fromfile(filename: Any, *args: Any, **kwargs: Any) -> Config:
        own = str(filename).startswith('mmdd::')
        return read(find(filename) if own else filename, *args, **kwargs)

    _remember(_get_cfg_path, get_path)
    _remember(fromfile, read)
    Config._get_cfg_path, Config.fromfile = staticmethod(_get_cfg_path), staticmethod(fromfile)


def fix_lazy_configs() -> None:
    """Let Python-style configs call the standard library.

    Why: mmengine takes frozen modules (``os``) and those of a virtual environment
    for lazy objects and raises a bare RuntimeError.
    Can go: with an mmengine later than 0.10.7 that asks ``sys.stdlib_module_names``.
    """
    import mmengine.config.utils as config_utils
    original = getattr(config_utils._is_builtin_module, '_original',
                       config_utils._is_builtin_module)

    def _is_builtin_module(name: str) -> bool:
        return name.partition('.')[0] in sys.stdlib_module_names or original(name)

    _remember(_is_builtin_module, original)
    config_utils._is_builtin_module = _is_builtin_module


def _remember(changed: Any, original: Callable) -> None:
    """Note what a function stands for, so that it is wrapped once."""
    changed._original = original


def fix_cpu_dist(cfg: Any) -> None:
    """Let a distributed launcher run on CPU.

    Why: mmengine calls ``torch.cuda.set_device`` for every launcher and wraps
    the model with ``device_ids``, which DistributedDataParallel refuses on CPU.
    Can go: with an mmengine later than 0.10.7 that checks for a device first.

    Args:
        cfg: Runner config, changed in place; untouched with a GPU or without
            a launcher.
    """
    import torch
    if torch.cuda.is_available() or cfg.get('launcher', 'none') == 'none':
        return
    import torch.distributed as dist
    if not dist.is_initialized():
        # Runner skips init_dist() if a group exists; ranks may wait long for the first one.
        dist.init_process_group('gloo', timeout=timedelta(days=1))
    wrapper = dict(type='MMDistributedDataParallel', broadcast_buffers=False, device_ids=None)
    wrapper.update(cfg.get('model_wrapper_cfg') or {})
    cfg.model_wrapper_cfg = wrapper


def setup_configs(find: Callable[[str], str]) -> None:
    """Apply the workarounds that reading a config needs; they import neither torch nor mmcv.

    Args:
        find: See :func:`fix_own_configs`.
    """
    fix_package_configs()
    fix_own_configs(find)
    fix_lazy_configs()


def setup() -> None:
    """Apply every other workaround that does not need a config."""
    fix_torchvision()
    fix_mmpretrain()
    fix_checkpoint_loading()
    fix_file_handlers()
    fix_one_cycle_state()
    fix_coco_lines()
