"""Every project of class folders runs wherever its folder lies."""
import json
import os.path as osp
import shutil

import processes
import pytest
import torch
from mmengine.registry import DefaultScope
from project_files import PROJECTS, ROOT, parts, stem

from mmdd.datasets import DigitScenes
from mmdd.utils.config import load_config


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
    if project == 'ims3_selection':
        options.append('model.set_stages.0.groups=2')
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
