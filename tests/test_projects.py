"""Every project is a file or two and their configs, and works wherever the folder lies."""
import ast
import glob
import importlib
import json
import os.path as osp
import re
import shutil

import numpy as np
import processes
import pytest
import torch
from mmengine.registry import DefaultScope

from mmdd.datasets import DigitScenes
from mmdd.engine.distill_job import read_job
from mmdd.engine.parts import parts_of
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.components import check_part
from mmdd.utils.config import import_path, load_config

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
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


def test_projects_are_found_and_listed():
    assert {'cao2_selection', 'dm', 'example_project', 'od3', 'sre2l'} <= set(PROJECTS)
    text = open(osp.join(ROOT, 'projects/README.md')).read()
    assert all(f'[{project}]({project}/README.md)' in text for project in PROJECTS)


@pytest.mark.parametrize('project', PROJECTS)
def test_a_project_is_small_and_imports_what_is_exported(project):
    configs, modules = parts(project)
    assert osp.isfile(osp.join(ROOT, 'projects', project, 'README.md'))
    for config in configs:
        text = open(config).read()
        assert len(text.splitlines()) <= 40 and '../' not in text
    assert [check_imports(module) for module in modules][0]


def check_imports(module):
    """Check size and imports of a Python file; the imports from mmdd are returned."""
    text = open(module).read()
    assert len(text.splitlines()) <= 200
    imported = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)
                and (node.module or '').split('.')[0] == 'mmdd']
    for node in imported:
        package = importlib.import_module(node.module)
        exported = getattr(package, '__all__', [n for n in vars(package) if n[0] != '_'])
        assert len(node.module.split('.')) == 2 or node.module == 'mmdd.utils.seed', (
            f'{node.module} is not public')
        for alias in node.names:
            assert alias.name in exported or node.module == 'mmdd.models' and hasattr(
                package, alias.name), f'{node.module} does not export {alias.name}'
    assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import)
                and any(alias.name.startswith('mmdd') for alias in node.names)]
    return imported


@pytest.mark.parametrize('project', PROJECTS)
def test_configs_in_a_readme_name_what_there_is(project, tmp_path):
    load_module(project)
    shutil.copytree(osp.join(ROOT, 'projects', project), tmp_path / 'moved')
    text = open(osp.join(ROOT, 'projects', project, 'README.md')).read()
    for block in re.findall(r'```python\n(.*?)```', text, re.S):
        (tmp_path / 'moved/readme.py').write_text(block)
        cfg = read_job(str(tmp_path / 'moved/readme.py'))
        with DefaultScope.overwrite_default_scope('mmdd'):
            for part in parts_of(cfg):
                check_part(*part)


@pytest.fixture(scope='module')
def desk(tmp_path_factory):
    """A working directory with a few digits and a proxy that knows nothing."""
    from mmengine.registry import MODELS
    folder = tmp_path_factory.mktemp('desk')
    DigitScenes(str(folder / 'data/digit_scenes'), num_scenes=dict(train=1, val=1, test=1),
                num_singles=dict(train=40, val=1, test=1), size=64).build()
    (folder / 'work_dirs/digits').mkdir(parents=True)
    model = load_config(osp.join(ROOT, 'configs/_base_/backbones/convnet_digits.py')).model
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(dict(model, _scope_='mmpretrain'))
    torch.save(dict(meta={}, state_dict=model.state_dict()),
               folder / 'work_dirs/digits/convnet_backbone.pth')
    return folder


@pytest.mark.parametrize('project', [
    project for project in PROJECTS if '_ipc' in stem(parts(project)[0][0])])
def test_a_project_runs_outside_of_the_repository(project, desk, tmp_path):
    from mmpretrain.datasets import CustomDataset
    folder = shutil.copytree(osp.join(ROOT, 'projects', project), tmp_path / 'moved')
    config = folder / osp.basename(parts(project)[0][0])
    cfg = load_config(str(config))
    options = ['train_cfg.budget.n=1', 'prepare=[]', 'train_cfg.max_rounds=1',
               'train_cfg.batch_size=10']
    if cfg.model.get('diffusion'):
        options.append('model.diffusion.steps=2')
    if 'iterations' in cfg.model:
        options.append('model.iterations=2')
    processes.run('tools/distill.py', config, '--work-dir', tmp_path / 'work', '--cfg-options',
                  *options, cwd=desk)
    out = tmp_path / 'work/distilled'
    dataset = CustomDataset(data_root=str(out), data_prefix='train', pipeline=[])
    assert sorted(dataset.get_gt_labels()) == list(range(10))
    assert dataset.CLASSES == tuple('0123456789')
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['method'] == cfg.model.type and manifest['budget'] == 'IPC(n=1)'
    if project == 'cao2_selection':
        assert manifest['images_made'] == 40 and manifest['budget_asked'] == 10
        assert manifest['cost']['denoiser_passes'] == 40 * 2 * 2
    if project == 'example_project':
        assert manifest['cost']['denoiser_passes'] == 0


class Pool(list):
    """Samples of class 1 whose images are their numbers."""

    def __init__(self, num, labels=(1, ), group=1):
        super().__init__(DistilledSample(DistillSlot(
            i, i, (2, 2), np.array(labels), group=group)) for i in range(num))

    def image(self, index):
        return np.full((2, 2, 3), index, np.uint8)


class Judge(torch.nn.Module):
    """Gives the image ``i`` the i-th row of probabilities."""

    def __init__(self, rows):
        super().__init__()
        self.rows = torch.nn.Parameter(torch.tensor(rows))
        self.batches = []

    @torch.no_grad()
    def predict(self, images):
        self.batches.append(len(images))
        return [self.rows[int(i)].clone() for i in (images[:, 0, 0, 0] * 255).round()]


# Classes 0, 1, 2; class 1 is asked for: samples 1, 3, 4, 6 are correct.
ROWS = [[.6, .4, .0], [.1, .8, .1], [.0, .1, .9], [.0, 1., .0], [.3, .5, .2], [.55, .45, .0],
        [.2, .6, .2], [.5, .3, .2]]


@pytest.mark.parametrize('up_to, num, expected', [
    (10, 2, [3, 1]),  # the most confident of the correct ones
    (10, 4, [3, 1, 6, 4]),
    (10, 6, [3, 1, 6, 4, 5, 0]),  # then the wrong ones that come closest
    (1, 2, [4, 6]),  # a large budget takes the least confident ones
    (1, 6, [4, 6, 1, 3, 5, 0]), (2, 2, [3, 1])])
def test_cao2_keeps_what_the_proxy_gets_right(up_to, num, expected):
    stage = load_module('cao2_selection').ConfidenceSelection(
        confident_up_to=up_to, batch_size=3)
    judge = Judge(ROWS)
    distiller = type('Distiller', (), dict(proxy=judge))
    assert stage.choose(Pool(8), num, distiller) == expected
    assert judge.batches == [3, 3, 2]
    assert stage.slots(10) == 40 and stage.images(40) == 10


@pytest.mark.parametrize('labels, group', [((1, 2), 1), ((), 0), ((1, ), 0)])
def test_cao2_refuses_what_is_not_one_class_an_image(labels, group):
    stage = load_module('cao2_selection').ConfidenceSelection()
    stage.check([sample.slot for sample in Pool(2)])
    with pytest.raises(ValueError, match='class by class: slot 0') as caught:
        stage.check([sample.slot for sample in Pool(2, labels, group)])
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('settings', [dict(pool=0), dict(batch_size=0), dict(confident_up_to=-1)])
def test_cao2_settings_out_of_range(settings):
    with pytest.raises(ValueError, match='ConfidenceSelection: pool and batch_size'):
        load_module('cao2_selection').ConfidenceSelection(**settings)


def test_the_example_keeps_the_most_typical_images():
    coreset = object.__new__(load_module('example_project').NearestToMean)
    features = torch.tensor([[0., 0.], [5., 0.], [2., 1.], [2., -9.], [2., 0.]])
    # Their mean is (2.2, -1.6).
    assert coreset.select(features, [], 3) == [4, 2, 0]
    with pytest.raises(ValueError, match='NearestToMean selects by features'):
        load_module('example_project').NearestToMean()
