"""Two processes on one folder: one is refused, or waits for what the other makes."""
import copy
import os
import os.path as osp
import threading

import pytest
import tiny
import toy_student
from filelock import FileLock

from mmdd.apis import distill
from mmdd.engine import train_job
from mmdd.engine.shards import Shard, own_lock_path
from mmdd.engine.train_job import ensure_checkpoint
from mmdd.protocols import training
from mmdd.protocols.student import evaluate_sets, plan_runs
from mmdd.utils.locks import LOCK, sole


@pytest.fixture(scope='module')
def job(digits):
    return tiny.classification_job(digits, batch_size=5)


@pytest.mark.parametrize('other, own', [(None, None), (Shard(0, 2), None), (None, '1/2')])
def test_a_set_is_made_by_one_process(job, tmp_path, other, own):
    """Or by one for each shard; a process that was killed keeps none out."""
    path = own_lock_path(str(tmp_path / 'distilled'), other)
    os.makedirs(osp.dirname(path))
    with FileLock(path):
        with pytest.raises(ValueError, match=f'made by another process already.*holds {path}'):
            distill(copy.deepcopy(job), str(tmp_path), shard=own)
        assert os.listdir(tmp_path) == ['distilled.locks']
        assert os.listdir(tmp_path / 'distilled.locks') == [osp.basename(path)]
    assert osp.isfile(path)  # as a process that was killed leaves it
    distill(copy.deepcopy(job), str(tmp_path), shard=own)
    assert not osp.exists(tmp_path / 'distilled.locks')


def test_a_job_works_where_the_file_system_has_no_locks(job, tmp_path, monkeypatch):
    def acquire(self, **kwargs):
        raise OSError(95, 'Operation not supported')

    monkeypatch.setattr(FileLock, 'acquire', acquire)
    folder = distill(copy.deepcopy(job), str(tmp_path))
    assert osp.isfile(osp.join(folder, 'manifest.json'))
    with pytest.raises(ValueError, match='cannot be locked .Operation not supported.: shards'):
        distill(copy.deepcopy(job), str(tmp_path), shard='0/2')
    assert sorted(name for name in os.listdir(tmp_path) if 'lock' in name) == []


def test_other_locks_in_the_folder_do_not_matter(tmp_path):
    with sole(str(tmp_path / 'locks/a'), 'no'), sole(str(tmp_path / 'locks/b'), 'no'):
        assert sorted(os.listdir(tmp_path / 'locks')) == ['a', 'b']
    assert os.listdir(tmp_path) == []


def waits(folder, work, make):
    """What a piece of work gives that begins while another process trains in a folder."""
    os.makedirs(folder)
    found, lock = [], FileLock(osp.join(folder, LOCK))
    with lock:
        thread = threading.Thread(target=lambda: found.append(work()))
        thread.start()
        thread.join(.5)
        assert thread.is_alive()
        make()
    thread.join(30)
    return found


def test_a_checkpoint_is_trained_by_one_of_two_jobs(tmp_path, monkeypatch):
    toy_student.voc_set(tmp_path / 'real', [1, 2, 3])
    toy_student.voc_set(tmp_path / 'real', [1], 'val')
    cfg = toy_student.training(tmp_path / 'real')
    first = ensure_checkpoint(cfg, str(tmp_path / 'first.pth'))
    monkeypatch.setattr(train_job, '_train_checkpoint', lambda *args: pytest.fail('trained again'))
    path = str(tmp_path / 'second.pth')
    assert waits(str(tmp_path / 'second_train'), lambda: ensure_checkpoint(cfg, path),
                 lambda: os.link(first, path)) == [path]


def test_a_student_is_trained_by_one_of_two_evaluations(tmp_path, monkeypatch):
    protocol = toy_student.protocol(tmp_path / 'real')
    sets = dict(a=toy_student.voc_set(tmp_path / 'a', [1]))
    evaluate_sets(sets, protocol, str(tmp_path / 'one'), seeds=[0], jobs=0)
    one, two = (plan_runs(sets, protocol, str(tmp_path / name), [0])[0] for name in ('one', 'two'))
    monkeypatch.setattr(training, 'train_student', lambda run: pytest.fail('trained again'))
    assert waits(two.work_dir, lambda: training.train_logged(two),
                 lambda: os.link(one.result_file, two.result_file)) == [None]
