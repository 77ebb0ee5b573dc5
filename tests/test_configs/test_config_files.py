"""Every config file resolves, and every component that it names is there and can be built."""
import copy
import json
import os.path as osp
import re
from functools import cache

import albumentations
import diffusers
import mmcv.ops
import pytest
import tiny
from config_files import CONFIGS, LEAVES, ROOT, job, read_config, students, training
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import PARAM_SCHEDULERS, TRANSFORMS, DefaultScope, root
from mmpretrain.registry import BATCH_AUGMENTS

from mmdd.datasets.views import read_classes
from mmdd.engine.distill_job import KNOWN_KEYS
from mmdd.engine.parts import parts_of
from mmdd.models.proxies.base import strip_init_cfg
from mmdd.protocols.protocol import read_protocol
from mmdd.protocols.sets import check_job_fits
from mmdd.registry import HOOKS, LOOPS, MODELS, TASK_UTILS
from mmdd.utils.components import check_part
from mmdd.utils.config import plain

SCOPES = ('mmdd', 'mmdet', 'mmpretrain', 'mmseg', 'mmengine')
REGISTRIES = [value for name, value in vars(root).items() if name.isupper()]
REGISTRIES.append(BATCH_AUGMENTS)


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
    # Schedulers are classes of diffusers, copies are made by albumentations; RoI layers and NMS
    # come from mmcv.
    libraries = diffusers, albumentations, mmcv.ops
    if any(callable(getattr(library, name, None)) for library in libraries):
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
    cfg = job(path) if path in LEAVES else read_config(path)
    scope = cfg.get('default_scope')
    # Other keys are variables of the file, which are used below a `_scope_`.
    keys = {key: cfg.get(key) for key in KNOWN_KEYS}
    for name, own in nodes_with_type(keys, scope):
        # A fragment takes its scope from the config that inherits from it.
        assert is_known(name, (own, ) if own else SCOPES), f'{path}: {name} of scope {own}'


@pytest.mark.parametrize('path', LEAVES)
def test_leaf_is_a_job(path):
    """Components know their settings; the files that a leaf names are there."""
    cfg = job(path)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        for where, registry, node in parts_of(cfg):
            check_part(where, registry, node)
    for protocol in students(cfg).values():
        for name, own in nodes_with_type(plain(read_protocol(training(protocol)).to_dict()), None):
            assert is_known(name, (own, ) if own else SCOPES), f'{path}: {name} of scope {own}'
    with open(osp.join(ROOT, path)) as f:
        assert sum(1 for _ in f) <= 40


@pytest.mark.parametrize('path', LEAVES)
def test_file_name_says_the_budget(path):
    percent, ipc = re.search(r'_(?:([\d.]+)pct|ipc(\d+))', path).groups()
    assert job(path).train_cfg.budget == (
        dict(type='Ratio', percent=float(percent)) if percent else dict(type='IPC', n=int(ipc)))


@pytest.mark.parametrize('path', LEAVES)
def test_proxy_and_students_know_the_classes_of_the_real_set(path):
    cfg = job(path)
    classes = read_classes(cfg, 'mmdd')
    assert classes
    trained = [training(protocol) for protocol in students(cfg).values()]
    trained += [training(cfg.model[name].cfg) for name in ('proxy', 'judge')
                if cfg.model.get(name) is not None]
    for each in trained:
        # Class folders need no names in the config; they are read in sorted order.
        assert read_classes(each, each.default_scope) in (
            (None, classes) if list(classes) == sorted(classes) else (classes, ))
        assert set(outputs(each.model)) == {len(classes)}
    for protocol in students(cfg).values():
        check_job_fits(cfg, read_protocol(training(protocol)))


def outputs(node):
    """Every ``num_classes`` inside a model, but those of preprocessors and losses."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == 'num_classes':
                yield value
            elif key not in ('data_preprocessor', 'teacher', 'mix'):
                yield from outputs(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from outputs(value)


BUILT = set()


def once(kind, node):
    """Whether a part is met for the first time in this run."""
    key = kind + json.dumps(plain(node), sort_keys=True)
    new = key not in BUILT
    BUILT.add(key)
    return new


@pytest.mark.parametrize('path', LEAVES)
def test_components_build(path):
    """Whatever no earlier leaf had: the diffusion tiny, everything else in its own size."""
    cfg = job(path)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        for where, registry, node in parts_of(cfg):
            if registry in (TASK_UTILS, HOOKS) and once(where, node):
                registry.build(copy.deepcopy(node))
        assert LOOPS.get(cfg.train_cfg.type) is not None
        model = copy.deepcopy(cfg.model)
        if model.get('diffusion') is not None:
            real = model.diffusion
            if real.pretrained.startswith('mmdd::'):
                MODELS.get(real.type).check_config(real)
            model.diffusion = tiny.stable_diffusion(**{
                key: real[key] for key in real if key in ('steps', 'cfg_scale')})
        for name in ('proxy', 'judge'):
            if model.get(name) is not None:
                build_proxy(model[name], training(model[name].cfg))
                model[name] = TINY_PROXY
        if isinstance(model.get('cluster_features'), dict):
            model.cluster_features = TINY_CLIP
        # The tiny proxy is a classifier, which knows no objects.
        if model.get('label_sampler') is not None:
            model.label_sampler.pop('surest', None)
        if once('model', model):
            assert MODELS.build(model).classes == ()
    for protocol in students(cfg).values():
        build_training(training(protocol), cfg.train_cfg.budget)


# What selects, filters or chooses cannot be built without a proxy.
TINY_PROXY = dict(type='ClassifierProxy', cfg=dict(model=dict(
    type='ImageClassifier', backbone=dict(type='mmdd.ConvNet', widths=(4, )),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=2, in_channels=4))))


# Its weights do not come with mmdd.
TINY_CLIP = dict(type='CLIPFeatures', vision=dict(
    hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=8,
    patch_size=4, projection_dim=4))


def build_proxy(proxy, cfg):
    """Build a proxy, whose ``cfg`` is given, and what trains it."""
    if once('proxy', [proxy.type, cfg.model, cfg.get('test_dataloader')]):
        built = MODELS.build(dict(proxy, cfg=cfg, checkpoint=None))
        assert not any(p.requires_grad for p in built.parameters())
    build_training(cfg)


def build_training(cfg, budget=None):
    """Build what a training config consists of, but for data sets and loops.

    For a student of a distilled set, the rule of its protocol comes first.
    """
    cfg = Config(copy.deepcopy(cfg.to_dict()))
    rule = cfg.get('protocol', {}).get('schedule')
    if rule:
        classes = len(read_classes(cfg, cfg.default_scope))
        images = budget.n * classes if budget.type == 'IPC' else 100
        TASK_UTILS.build(rule).apply(cfg, images, classes)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        for name in ('train', 'val', 'test'):
            for pipeline in pipelines(cfg.get(f'{name}_dataloader')):
                for step in pipeline:
                    if once('transform', step):
                        TRANSFORMS.build(step)
            evaluator = cfg.get(f'{name}_evaluator')
            for metric in evaluator if isinstance(evaluator, list) else [evaluator or {}]:
                metric.pop('ann_file', None)  # read at once, where COCO lies
                if metric and once('metric', metric):
                    Evaluator(metric)
        for hook in [*cfg.default_hooks.values(), *(cfg.get('custom_hooks') or [])]:
            if hook is not None and once('hook', hook):
                ROOT_HOOKS.build(hook)
        if once('training', [cfg.model, cfg.optim_wrapper, cfg.get('param_scheduler')]):
            model = ROOT_MODELS.build(without_teacher(strip_init_cfg(cfg.model)))
            optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
            for scheduler in cfg.get('param_scheduler') or []:
                scheduler.pop('convert_to_iter_based', None)
                PARAM_SCHEDULERS.build(scheduler, default_args=dict(optimizer=optimizer))


def without_teacher(model):
    """A model whose teacher, if any, has no weights yet."""
    if model.get('teacher') is not None:
        model.teacher.checkpoint = None
    return model


def pipelines(node):
    """Pipelines of the data sets below a node."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == 'pipeline':
                yield value
            else:
                yield from pipelines(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from pipelines(value)
