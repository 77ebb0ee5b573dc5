"""Every config file resolves, and every component that it names is there."""
import glob
import os.path as osp
import re
from functools import cache

import diffusers
import mmcv.ops
import pytest
from mmengine.registry import DefaultScope, root

from mmdd.apis.distill import KNOWN_KEYS, read_job
from mmdd.apis.preflight import check_part, parts_of
from mmdd.utils.config import load_config, resolve_path

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
CONFIGS = sorted(osp.relpath(path, ROOT) for path in glob.glob(
    osp.join(ROOT, 'configs', '**', '*.py'), recursive=True))
LEAVES = [path for path in CONFIGS if '_base_' not in path]
VOC = [path for path in LEAVES if '_voc_' in path]
PERCENT = {'0.5pct': 0.5, '1pct': 1, '2pct': 2}
SCOPES = ('mmdd', 'mmdet', 'mmpretrain', 'mmseg', 'mmengine')
REGISTRIES = [value for name, value in vars(root).items() if name.isupper()]


def nodes_with_type(node, scope):
    """(type, scope) of every component in a config."""
    if isinstance(node, dict):
        scope = node.get('_scope_', scope)
        if isinstance(node.get('type'), str):
            yield node['type'], scope
        for value in node.values():
            yield from nodes_with_type(value, scope)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from nodes_with_type(value, scope)


@cache
def is_known(name, scopes):
    # Schedulers are classes of diffusers; RoI layers and NMS come from mmcv.
    if any(callable(getattr(library, name, None)) for library in (diffusers, mmcv.ops)):
        return True
    for scope in scopes:
        for registry in REGISTRIES:
            with DefaultScope.overwrite_default_scope(scope):
                with registry.switch_scope_and_registry(scope) as scoped:
                    if scoped.get(name) is not None:
                        return True
    return False


@pytest.mark.parametrize('path', CONFIGS)
def test_every_component_is_known(path):
    cfg = load_config(osp.join(ROOT, path))
    scope = cfg.get('default_scope')
    # Other keys are variables of the file, which are used below a `_scope_`.
    keys = {key: cfg.get(key) for key in KNOWN_KEYS}
    for name, own in nodes_with_type(keys, scope):
        # A fragment takes its scope from the config that inherits from it.
        assert is_known(name, (own, ) if own else SCOPES), f'{path}: {name} of scope {own}'


@pytest.mark.parametrize('path', LEAVES)
def test_leaf_is_a_job(path):
    """Components know their settings; the files that a leaf names are there."""
    cfg = read_job(osp.join(ROOT, path))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        for where, registry, node in parts_of(cfg):
            check_part(where, registry, node)
    resolve_path(cfg.evaluation.protocol)
    if cfg.model.get('proxy') is not None:
        resolve_path(cfg.model.proxy.cfg)
    with open(osp.join(ROOT, path)) as f:
        assert sum(1 for _ in f) <= 40


@pytest.mark.parametrize('path', LEAVES)
def test_file_name_says_the_budget(path):
    cfg = load_config(osp.join(ROOT, path))
    percent = float(re.search(r'_([\d.]+)pct', path)[1])
    assert cfg.train_cfg.budget == dict(type='Ratio', percent=percent)


@pytest.mark.parametrize('budget', ['0.5pct', '1pct', '2pct'])
def test_constants_of_the_paper(budget):
    """UniDD, sections 4.1 and 4.4."""
    cfg = load_config(osp.join(ROOT, f'configs/unidd/faster-rcnn_voc_{budget}.py'))
    guidance = [hook for hook in cfg.custom_hooks if hook.type == 'TaskGuidanceHook']
    assert [(hook.scale, hook.wrt) for hook in guidance] == [(100., 'latent')]
    assert cfg.model.diffusion.steps == 250
    assert cfg.model.diffusion.scheduler.type == 'DDIMScheduler'
    assert 'stable-diffusion-v1-5' in cfg.model.diffusion.pretrained
    assert cfg.model.image_size == 512
    assert [refiner.threshold for refiner in cfg.model.refiners] == [0.85]
    assert cfg.train_cfg.budget.percent == PERCENT[budget]


@pytest.mark.parametrize('path', VOC)
def test_voc_set(path):
    """VOC 2007 and 2012 trainval, 16,551 images; classes in the order of mmdet."""
    from mmdd.structures import Ratio
    cfg = load_config(osp.join(ROOT, path))
    parts = cfg.train_dataloader.dataset.datasets
    assert [part.ann_file for part in parts] == [
        f'VOC{year}/ImageSets/Main/trainval.txt' for year in (2007, 2012)]
    assert all('metainfo' not in part for part in parts)
    images = Ratio(cfg.train_cfg.budget.percent).resolve(16551, 20)
    assert images == {0.5: 83, 1: 166, 2: 331}[cfg.train_cfg.budget.percent]


@pytest.mark.parametrize('method', ['random', 'uniform'])
@pytest.mark.parametrize('budget', ['0.5pct', '1pct', '2pct'])
def test_coreset_twin(method, budget):
    """A baseline differs from the method in nothing but the model and the loop."""
    method_cfg = load_config(osp.join(ROOT, f'configs/unidd/faster-rcnn_voc_{budget}.py'))
    twin = load_config(osp.join(ROOT, f'configs/coreset/{method}_faster-rcnn_voc_{budget}.py'))
    for key in ('train_dataloader', 'evaluation'):
        assert twin[key] == method_cfg[key]
    for key in ('budget', 'writer'):
        assert twin.train_cfg[key] == method_cfg.train_cfg[key]
