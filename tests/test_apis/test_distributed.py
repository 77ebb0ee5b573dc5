"""Preparing and training under a launcher: two CPU processes."""
import os
import os.path as osp
import subprocess
import sys

import pytest
import torch
import toy_student
from mmengine.config import Config

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))


@pytest.mark.slow
def test_all_ranks_train_and_rank_0_publishes(tmp_path):
    for split, targets in (('train', [3]), ('val', [1]), ('test', [1])):
        toy_student.voc_set(tmp_path / 'real', targets, split)
    job = toy_student.training(tmp_path / 'real')
    Config(job).dump(str(tmp_path / 'toy.py'))
    job['prepare'] = [
        dict(type='mmdd.DigitScenes', root=str(tmp_path / 'scenes'), num_scenes=dict(train=2),
             num_singles=dict(train=1)),
        dict(type='mmdd.TrainedCheckpoint', config=str(tmp_path / 'toy.py'),
             checkpoint=str(tmp_path / 'toy.pth'))]
    Config(job).dump(str(tmp_path / 'job.py'))
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2',
         osp.join(ROOT, 'tools', 'train.py'), str(tmp_path / 'job.py'), '--launcher', 'pytorch',
         '--work-dir', str(tmp_path / 'work')],
        capture_output=True, text=True, timeout=300, env=dict(
            os.environ, OMP_NUM_THREADS='1',
            PYTHONPATH=f'{ROOT}:{osp.join(ROOT, "tests")}'))
    assert done.returncode == 0, done.stderr[-2000:]
    weights = torch.load(tmp_path / 'toy.pth', weights_only=True)['state_dict']
    assert weights['weight'].item() == 3.
    assert osp.isfile(tmp_path / 'work' / 'iter_4.pth')
    assert osp.isfile(tmp_path / 'scenes' / 'digit_scenes.txt')
