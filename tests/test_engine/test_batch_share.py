"""Preparing and training under a launcher: two CPU processes."""
import json
import os.path as osp

import processes
import pytest
import torch
import toy_student
from mmengine.config import Config

from mmdd.engine import batch_share
from mmdd.engine.batch_share import share_batch
from mmdd.engine.train_job import ensure_checkpoint
from mmdd.models import MinimaxFineTuner
from mmdd.utils.training_record import read_record

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
    processes.run_ranks('tools/train.py', tmp_path / 'job.py', '--launcher', 'pytorch',
                        '--work-dir', tmp_path / 'work')
    weights = torch.load(tmp_path / 'toy.pth', weights_only=True)['state_dict']
    assert weights['weight'].item() == 3.
    assert osp.isfile(tmp_path / 'work' / 'iter_4.pth')
    assert osp.isfile(tmp_path / 'scenes' / 'digit_scenes.txt')


WORKER = """
import json
import os.path as osp
import sys

import toy_student
from mmengine.config import Config

from mmdd.engine import batch_share
from mmdd.engine.distill_job import share_trainings
from mmdd.engine.train_job import ensure_checkpoint
from mmdd.utils.rank_zero import on_every_rank
from mmdd.utils.runner import init_launcher
import torch.distributed as dist

folder = sys.argv[1]
init_launcher(Config(dict(launcher='pytorch')))
rank, forward = dist.get_rank(), toy_student.ToyStudent.forward


def recorded(self, inputs, mode='tensor'):
    if mode == 'loss':
        seen.append([float(value) for value in inputs])
    return forward(self, inputs, mode)


toy_student.ToyStudent.forward = recorded
for name in ('alone', 'shared'):
    seen = []
    batch_share.has_gpu = lambda: name == 'shared'
    ensure_checkpoint(f'{folder}/toy.py', f'{folder}/{name}.pth')
    with open(f'{folder}/{name}_{rank}.json', 'w') as f:
        json.dump(seen, f)
seen = []
batch_share.has_gpu = lambda: False
parts = [(f'{folder}/toy.py', f'{folder}/part{i}.pth') for i in range(3)]
on_every_rank(lambda: share_trainings(parts))
with open(f'{folder}/parts_{rank}.json', 'w') as f:
    json.dump([seen, [osp.isfile(path) for _, path in parts]], f)
bad = f'{folder}/bad.py', f'{folder}/bad.pth'
for name, work in (('bad', lambda: ensure_checkpoint(*bad)),
                   ('bad_part', lambda: on_every_rank(lambda: share_trainings([bad])))):
    try:
        work()
    except ValueError as error:
        with open(f'{folder}/{name}_{rank}.txt', 'w') as f:
            f.write(str(error))
"""


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Folder of a training of batch 4 by one process, by rank 0 of two, and by both."""
    folder = tmp_path_factory.mktemp('trained')
    for split, targets in (('train', range(1, 9)), ('val', [1]), ('bad', [13])):
        toy_student.voc_set(folder / 'real', targets, split)
    job = toy_student.training(folder / 'real', lr=0.3)
    job['randomness'] = dict(seed=0)
    job['train_dataloader']['batch_size'] = 4
    Config(job).dump(str(folder / 'toy.py'))
    job['train_dataloader'] = toy_student.loader(folder / 'real', 'bad', True)
    Config(job).dump(str(folder / 'bad.py'))
    ensure_checkpoint(str(folder / 'toy.py'), str(folder / 'single.pth'))
    (folder / 'worker.py').write_text(WORKER)
    processes.run_ranks(folder / 'worker.py', folder)
    return folder


def weight(path):
    return torch.load(path, weights_only=True)['state_dict']['weight'].item()


@pytest.mark.slow
def test_rank_0_alone_trains_to_the_weights_of_one_process(trained):
    seen = [json.loads((trained / f'alone_{rank}.json').read_text()) for rank in range(2)]
    assert [len(batch) for batch in seen[0]] == [4] * 4 and seen[1] == []
    assert read_record(str(trained / 'alone.pth'))['updates'] == 4
    assert weight(trained / 'alone.pth') == weight(trained / 'single.pth') != 0


@pytest.mark.slow
def test_ranks_share_the_batch_of_one_process(trained):
    alone = json.loads((trained / 'alone_0.json').read_text())
    shares = [json.loads((trained / f'shared_{rank}.json').read_text()) for rank in range(2)]
    assert [len(batch) for share in shares for batch in share] == [2] * 8
    assert [sorted(one + two) for one, two in zip(*shares)] == [sorted(batch) for batch in alone]
    assert read_record(str(trained / 'shared.pth'))['updates'] == 4
    assert weight(trained / 'shared.pth') == pytest.approx(weight(trained / 'single.pth'), 1e-6)


@pytest.mark.slow
def test_ranks_train_what_no_other_has_begun(trained):
    """Each of three trainings once, by one rank as by one process; all are there on all ranks."""
    seen, there = zip(*(json.loads((trained / f'parts_{rank}.json').read_text())
                        for rank in range(2)))
    assert [len(batch) for own in seen for batch in own] == [4] * 12
    assert {len(own) % 4 for own in seen} == {0} and there == ([True] * 3, ) * 2
    assert {weight(trained / f'part{i}.pth') for i in range(3)} == {weight(trained / 'single.pth')}


@pytest.mark.slow
@pytest.mark.parametrize('name', ['bad', 'bad_part'])
def test_bad_input_of_one_rank_is_the_same_line_on_all_ranks(trained, name):
    lines = {(trained / f'{name}_{rank}.txt').read_text() for rank in range(2)}
    assert lines == {'the toy set refuses 13'}


@pytest.mark.parametrize('ranks, gpu, batch, share', [
    (8, True, 16, 2), (2, True, 64, 32), (8, True, 8, 8), (3, True, 16, 16), (1, True, 16, 16),
    (2, False, 64, 64)])
def test_who_shares_a_batch(monkeypatch, ranks, gpu, batch, share):
    monkeypatch.setattr(batch_share, 'get_world_size', lambda: ranks)
    monkeypatch.setattr(batch_share, 'has_gpu', lambda: gpu)
    cfg = Config(dict(model=dict(type='ToyStudent'), train_dataloader=dict(batch_size=batch)))
    assert share_batch(cfg) == (share < batch) == ('sync_bn' in cfg)
    assert cfg.train_dataloader.batch_size == share


@pytest.mark.parametrize('kind', ['MinimaxFineTuner', 'mmdd.MinimaxFineTuner', MinimaxFineTuner])
def test_memories_of_a_fine_tuning_are_not_shared_out(monkeypatch, kind):
    monkeypatch.setattr(batch_share, 'get_world_size', lambda: 2)
    monkeypatch.setattr(batch_share, 'has_gpu', lambda: True)
    cfg = Config(dict(model=dict(type=kind), train_dataloader=dict(batch_size=8)))
    assert not share_batch(cfg) and cfg.train_dataloader.batch_size == 8
