"""Shards of a job: the set of one process, whatever dies; what is refused; who does what once."""
import copy
import os
import os.path as osp
import shutil
import signal
import subprocess
import sys
import time

import processes
import pytest
import tiny
from distilled import files, manifest
from filelock import FileLock
from mmengine.config import Config
from mmengine.hooks import Hook

from mmdd.apis import distill
from mmdd.engine import distill_job
from mmdd.engine.cost import count_ranks
from mmdd.engine.distill_loop import DistillLoop
from mmdd.engine.journal import Journal
from mmdd.engine.shards import Shard, Shards, own_lock_path, read_shard
from mmdd.models import DatasetDistiller
from mmdd.registry import HOOKS
from mmdd.utils.locks import alone, forget_lock, sole, unless_taken

DIE = {}


@HOOKS.register_module(force=True)
class DyingHook(Hook):
    """Dies in the batch that ``DIE`` names."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if DIE.get('batch') == batch_idx:
            raise KeyboardInterrupt


@pytest.fixture(scope='module')
def job(digits):
    """10 slots in batches of 2."""
    cfg = tiny.classification_job(digits, batch_size=2)
    cfg['custom_hooks'] = [dict(type='DyingHook')]
    return cfg


def run(job, work_dir, **kwargs):
    return distill(copy.deepcopy(job), str(work_dir), **kwargs)


def contents(folder):
    """Bytes of the files of a set, and what its manifest says but for times and places."""
    told = manifest(folder)
    for entry in told['images']:
        entry.pop('seconds')
    for name in ('cost', 'config'):
        told.pop(name)
    return files(folder), told


def cost(folder):
    return manifest(folder)['cost']


@pytest.fixture(scope='module')
def whole(job, tmp_path_factory):
    return run(job, tmp_path_factory.mktemp('whole'))


def test_shards_make_the_set_of_one_process(job, whole, tmp_path):
    folder = run(job, tmp_path, shard='0/3')
    assert {slot for slot, _ in Journal(folder).keys()} == {0, 1, 6, 7}
    DIE['batch'] = 1
    try:
        with pytest.raises(KeyboardInterrupt):
            run(job, tmp_path, shard='1/3')
    finally:
        DIE.clear()
    (tmp_path / 'distilled/_job/attempts/.tmp_killed.png').write_bytes(b'half')
    run(job, tmp_path, shard='2/3')
    assert {slot for slot, _ in Journal(folder).keys()} == {0, 1, 2, 3, 4, 5, 6, 7}
    assert not osp.exists(osp.join(folder, 'manifest.json'))
    with pytest.raises(ValueError, match=r'2 of 10 slots are not finished: shard 1/3 \(2 slots\)'):
        run(job, tmp_path, merge=True)
    kept = Journal(folder).read((2, 0))
    run(job, tmp_path, shard='1/3')
    assert Journal(folder).read((2, 0)) == kept
    assert contents(folder) == contents(whole)
    assert cost(folder)['denoiser_passes'] == cost(whole)['denoiser_passes']
    assert cost(folder)['ranks'] == 3
    assert sorted(os.listdir(tmp_path / 'shards')) == ['0000', '0001', '0002']


def test_a_merge_writes_what_is_gone_again(job, whole, tmp_path):
    for shard in ('0/2', '1/2'):
        folder = run(job, tmp_path, shard=shard)
    before = contents(folder)
    os.unlink(osp.join(folder, 'manifest.json'))
    os.unlink(osp.join(folder, next(iter(before[0]))))
    assert contents(run(job, tmp_path, merge=True)) == before == contents(whole)
    assert cost(folder)['ranks'] == 2
    # An attempt that is damaged later is named with its shard, and made again by it.
    with open(Journal(folder)._path((2, 0), '.json'), 'w') as f:
        f.write('{')
    with pytest.raises(ValueError, match=r'1 of 10 slots .* shard 1/2 \(1 slots\)'):
        run(job, tmp_path, merge=True)
    run(job, tmp_path, shard='1/2')
    assert contents(run(job, tmp_path, merge=True)) == before


def test_a_shard_looks_at_its_own_attempts_alone(job, tmp_path):
    folder = run(job, tmp_path, shard='0/3')
    damaged = Journal(folder)._path((0, 0), '.json')
    with open(damaged, 'w') as f:
        f.write('{')
    run(job, tmp_path, shard='1/3')
    assert osp.isfile(damaged) and not osp.exists(f'{damaged}.damaged')
    # The last one is about to write the set, so it looks at all.
    run(job, tmp_path, shard='2/3')
    assert osp.exists(f'{damaged}.damaged')
    assert not osp.exists(osp.join(folder, 'manifest.json'))
    run(job, tmp_path, shard='0/3')
    assert osp.isfile(osp.join(folder, 'manifest.json'))


def test_rejected_slots_are_tried_again_by_their_shard(digits, detector_checkpoint, tmp_path):
    cfg = tiny.distill_job(digits, detector_checkpoint, total=3, threshold=1., batch_size=1,
                           max_rounds=2)
    whole = run(cfg, tmp_path / 'whole')
    run(cfg, tmp_path / 'shards', shard='0/2')
    folder = run(cfg, tmp_path / 'shards', shard='1/2')
    assert list(Journal(folder).keys()) == [(slot, r) for slot in range(3) for r in range(2)]
    assert contents(folder) == contents(whole)


def test_the_division_stays_once_images_are_made(job, tmp_path):
    folder = run(job, tmp_path, shard='0/3')
    with pytest.raises(ValueError, match='divided into 3 shards, not 4; give --shard I/3 '):
        run(job, tmp_path, shard='0/4')
    # Another batch size deals out the same slots.
    run(dict(job, train_cfg=dict(job['train_cfg'], batch_size=4)), tmp_path, shard='1/3')
    assert {slot for slot, _ in Journal(folder).keys()} == {0, 1, 6, 7, 2, 3, 8, 9}


def test_another_plan_is_refused_before_any_image(job, tmp_path, monkeypatch):
    monkeypatch.setattr(DistillLoop, 'synthesize', lambda self: None)
    run(job, tmp_path, shard='0/2')
    plan = DatasetDistiller.plan
    monkeypatch.setattr(DatasetDistiller, 'plan', lambda self, budget: plan(self, budget)[::-1])
    with pytest.raises(ValueError, match='the plan changed since the job was started'):
        run(job, tmp_path, shard='1/2')


@pytest.mark.parametrize('text', ['3/3', '-1/3', '1', '1/0', 'a/b', '1/2/3'])
def test_what_is_no_shard(text):
    with pytest.raises(ValueError, match='write I/N, from 0/N to .N-1./N'):
        read_shard(text)
    assert read_shard('2/3') == Shard(2, 3)


def test_nothing_to_merge(job, tmp_path):
    with pytest.raises(ValueError, match='distilled holds no job to merge: run its shards first'):
        run(job, tmp_path / 'none', merge=True)
    assert not osp.exists(tmp_path / 'none')


@pytest.mark.parametrize('slots, count, block', [(10, 3, 2), (10, 4, 8), (7, 7, 1), (100, 64, 1)])
def test_every_slot_has_one_shard(slots, count, block):
    shards = [Shards('none', Shard(i, count), block) for i in range(count)]
    owned = [[slot for slot in range(slots) if shard.owns(slot)] for shard in shards]
    assert sorted(sum(owned, [])) == list(range(slots))
    assert max(map(len, owned)) - min(map(len, owned)) <= block
    assert shards[0].describe([0, 1]).startswith('shard 0/')


def test_ranks_of_shards_add_up():
    assert count_ranks({'rank0.json': dict(ranks=2), 'rank1.json': dict(ranks=2)}) == {'': 2}
    assert count_ranks({'shard0000_rank0.json': dict(ranks=2), 'write_rank0.json': dict(ranks=1),
                        'shard0001_rank0.json': dict(ranks=8)}) == {
                            'shard0000_': 2, 'shard0001_': 8}


def test_one_at_a_time_until_it_is_made(tmp_path):
    lock, made = str(tmp_path / 'x.lock'), []
    with alone(lock, until=lambda: bool(made)):
        with pytest.raises(BlockingIOError):
            _lock_now(lock)
        made.append(1)
    with alone(lock, until=lambda: bool(made)):
        _lock_now(lock)
    with pytest.raises(KeyError), alone(lock):
        raise KeyError
    _lock_now(lock)


def test_a_lock_that_is_taken_is_left_to_its_owner(tmp_path):
    lock = str(tmp_path / 'x.lock')
    with unless_taken(lock) as mine, unless_taken(lock) as again:
        assert (mine, again) == (True, False)
        with pytest.raises(BlockingIOError):
            _lock_now(lock)
    _lock_now(lock)
    with unless_taken(lock, wait=True) as mine:
        assert mine


def test_class_shards_are_fine_tuned_beside_other_jobs(tmp_path, monkeypatch):
    """A job takes what no other has begun, then what another did not come to finish."""
    paths, trained, held = [str(tmp_path / f'{i}.pth') for i in range(4)], [], []

    def train(config, path):
        trained.append(path)
        open(path, 'w').close()
        for lock in held[:len(trained) == 2]:  # the other job dies while this one trains
            lock.__exit__(None, None, None)

    monkeypatch.setattr(distill_job, 'ensure_checkpoint', train)
    open(paths[1], 'w').close()
    other = unless_taken(str(tmp_path / '0.lock'))
    assert other.__enter__()
    held.append(other)
    distill_job.share_trainings([({}, path) for path in paths])
    assert trained == [paths[2], paths[3], paths[0]]
    assert sorted(path.name for path in tmp_path.glob('*.lock')) == ['0.lock', '2.lock', '3.lock']


def _lock_now(path):
    import fcntl
    with open(path) as f:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)


HOLDER = '''
import sys, time
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print('held', flush=True)
time.sleep(60)
'''


def test_a_shard_that_runs_is_not_made_twice(job, tmp_path):
    """Another one is; so is this one once its process is gone, however it went."""
    path = own_lock_path(str(tmp_path / 'distilled'), Shard(1, 2))
    os.makedirs(osp.dirname(path))
    holder = subprocess.Popen([sys.executable, '-c', HOLDER, path], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b'held\n'
        with pytest.raises(ValueError, match='shard 1/2 is made by another process already: wait '
                                             f'for it, or end it first .it holds {path}'):
            run(job, tmp_path, shard='1/2')
        folder = run(job, tmp_path, shard='0/2')
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    run(job, tmp_path, shard='1/2')
    assert osp.isfile(osp.join(folder, 'manifest.json'))


def test_shards_leave_no_locks(job, tmp_path):
    """Their own go with them, the common one with the set."""
    run(job, tmp_path / 'w', shard='0/2')
    assert not osp.exists(tmp_path / 'w/distilled.locks')
    run(job, tmp_path / 'w', shard='1/2')
    assert sorted(os.listdir(tmp_path / 'w')) == ['distilled', 'shards']


@pytest.mark.parametrize('wrong', [
    dict(max_rounds=0), dict(budget=dict(type='IPC', n=10**6)), dict(writer=dict(type='None'))])
@pytest.mark.parametrize('shard', [None, '1/2'])
def test_a_job_that_is_refused_leaves_nothing(job, tmp_path, wrong, shard):
    bad = dict(job, train_cfg=dict(job['train_cfg'], **wrong))
    with pytest.raises(ValueError):
        run(bad, tmp_path / 'new/w', shard=shard)
    assert os.listdir(tmp_path) == []


def test_a_shard_that_is_refused_leaves_a_set_as_it_is(job, whole, tmp_path):
    """What it finds there is the set of a job without shards."""
    folder = shutil.copytree(osp.dirname(whole), tmp_path / 'w')
    before = sorted(os.listdir(folder))
    bad = dict(job, model=dict(job['model'], seed=7))
    with pytest.raises(ValueError, match='holds a distilled set of another config'):
        run(bad, folder, shard='1/2')
    assert sorted(os.listdir(folder)) == before


def test_a_lock_is_forgotten_unless_it_is_held(tmp_path):
    lock = str(tmp_path / 'x.lock')
    with alone(lock):
        forget_lock(lock)
        assert osp.isfile(lock)
    forget_lock(lock)
    assert not osp.isfile(lock)
    forget_lock(lock)
    assert os.listdir(tmp_path) == []


def test_a_lock_whose_folder_goes_is_made_again(tmp_path, monkeypatch):
    """Another job may remove it between the two steps."""
    acquire, failures = FileLock.acquire, [FileNotFoundError(2, 'gone')]

    def vanishing(self, **kwargs):
        if failures:
            raise failures.pop()
        return acquire(self, **kwargs)

    monkeypatch.setattr(FileLock, 'acquire', vanishing)
    with sole(str(tmp_path / 'locks/x'), 'refused'):
        assert osp.isfile(tmp_path / 'locks/x') and not failures
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_shards_at_once_of_which_one_is_killed(digits, tmp_path):
    """Three processes begin together: the proxy is trained once, the plan made once."""
    cfg = tiny.distill_job(digits, total=6, guidance=0, batch_size=1)
    Config(cfg).dump(str(tmp_path / 'job.py'))
    whole = distill(str(tmp_path / 'job.py'), str(tmp_path / 'whole'))
    work_dir = tmp_path / 'shards'

    def start(shard):
        return processes.Started('tools/distill.py', tmp_path / 'job.py', '--work-dir', work_dir,
                                 '--shard', shard)

    jobs = [start(f'{index}/3') for index in range(3)]
    first = work_dir / 'distilled/_job/attempts'
    deadline = time.time() + 300
    while not any(first.glob('*.json')) and time.time() < deadline:
        time.sleep(.002)
    os.killpg(jobs[1].process.pid, signal.SIGKILL)
    codes, outs = [job.wait() for job in jobs], [job.output for job in jobs]
    assert codes == [0, -signal.SIGKILL, 0], outs
    assert sum('is missing: training' in out for out in outs) == 1
    assert 'shard 1/3 is finished, 3 of 3 are' in processes.finish(start('1/3'))
    (made, found), (expected, wanted) = contents(work_dir / 'distilled'), contents(whole)
    for told in (found, wanted):
        told.pop('job')  # a checkpoint that is trained again has another date
    assert made == expected and found == wanted
