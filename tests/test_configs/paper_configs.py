"""What every test of a paper's tables needs: rows, metafiles, READMEs, networks."""
import copy
import os.path as osp
from functools import cache

import yaml
from config_files import LEAVES as PATHS
from config_files import ROOT, job, training
from mmengine.config import Config

from mmdd.benchmark.report.paper_values import paper_values
from mmdd.registry import TASK_UTILS

LEAVES = [path[len('configs/'):-len('.py')] for path in PATHS]
# Networks of which the papers use one size.
OTHERS = dict(MobileNetV2='mobilenet-v2', EfficientNet='efficientnet-b0', SwinTransformer='swin-t',
              VisionTransformer='vit-b16')
# The embedded digit scenes, small networks and priors that are trained first are in no paper.
PUBLISHED = [leaf for leaf in LEAVES
             if not any(part in leaf for part in ('_digits_', '-small_', '_own-prior'))]


def read_yaml(path):
    """A YAML file by its path in the repository."""
    with open(osp.join(ROOT, path), encoding='utf-8') as f:
        return yaml.safe_load(f)


def config(leaf):
    """The distillation config of ``<method>/<name>``."""
    return job(f'configs/{leaf}.py')


def mean_std(text):
    """'16.8±0.5' as (16.8, 0.5); without a deviation, None stands there."""
    mean, _, std = str(text).partition('±')
    return float(mean), float(std) if std else None


def network(model):
    """Which network of a paper a model config describes."""
    backbone, kind = model.backbone, model.type.rpartition('.')[2]
    if kind == 'FasterRCNN':
        return 'faster-rcnn'
    if kind == 'EncoderDecoder':
        assert (backbone.type, backbone.arch) == ('MobileNetV3', 'large')
        assert 'LRASPP' in model.decode_head.type
        return 'lraspp'
    kind = backbone.type.rpartition('.')[2]
    if kind == 'ConvNet':
        return f'convnet{len(backbone.widths)}'
    if kind == 'ResNetAP':
        return f'resnetap{backbone.depth}'
    if kind in OTHERS:
        return OTHERS[kind]
    assert kind.startswith('ResNet'), kind
    return f'resnet{backbone.depth}'


def student_network(protocol):
    """The network that a student protocol trains, below a wrapper for soft labels too."""
    model = training(protocol).model
    return network(model.get('student', model))


@cache
def entries(method):
    """Entries of a metafile by config file."""
    models = read_yaml(f'configs/{method}/metafile.yml')['Models']
    names = [model['Name'] for model in models]
    assert len(set(names)) == len(names)
    return {model['Config']: model for model in models}


@cache
def readme_lines(method):
    """Lines of the README of a method's configs."""
    with open(osp.join(ROOT, f'configs/{method}/README.md'), encoding='utf-8') as f:
        return f.read().splitlines()


def ruled(protocol, images, classes):
    """A student's training config after its protocol's rule, for a set of so many images."""
    cfg = Config(copy.deepcopy(training(protocol).to_dict()))
    TASK_UTILS.build(cfg.protocol.schedule).apply(cfg, images, classes)
    return cfg


def assert_top1_is(leaf, student, value):
    """The metafile has this top-1 for a student of a config; '' is the one that counts."""
    found = paper_values(osp.join(ROOT, f'configs/{leaf}.py'), ['Top-1'], student)['Top-1']
    assert (found.mean, found.std) == mean_std(value)


def assert_metafile_has(leaf, images, names, values):
    """The metafile's entry of a config has its number of images, and top-1 by student.

    The first of ``names`` is the student that counts by default.
    """
    for i, (name, value) in enumerate(zip(names, values)):
        assert_top1_is(leaf, name if i else '', value)
    entry = entries(leaf.split('/')[0])[f'configs/{leaf}.py']
    assert entry['Metadata']['Images'] == images


def assert_readme_has(leaf, values):
    """The README's row that links to a config shows these values, in cells or as the link."""
    method, stem = leaf.split('/')
    wanted = {str(value).replace('±', ' ± ') for value in values}
    link = f']({stem}.py)'
    rows = [line.split('|') for line in readme_lines(method) if link in line]
    cells = [{cell.strip().removeprefix('[').removesuffix(link) for cell in row} for row in rows]
    assert any(wanted <= found for found in cells), f'{leaf}: {wanted}'
