"""Worker processes: kept or alone, and what becomes of the others where one dies."""
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import processes
import pytest

from mmdd.utils.pool import (
    Pool,
    WorkerDied,
    allowed_threads,
    default_jobs,
    end_with_parent,
    worker_context,
)


def note(path):
    """Write down which process does a job, and with how many threads."""
    import torch
    with open(path, 'a') as f:
        f.write(f'{os.getpid()} {torch.get_num_threads()}\n')
    return os.path.basename(path)


def die(path, number):
    """Be killed, once another job runs beside."""
    while not os.path.exists(path):
        time.sleep(.05)
    os.kill(os.getpid(), number)


def nap(path, seconds=1.):
    with open(path, 'w') as f:
        f.write(str(os.getpid()))
    time.sleep(seconds)
    return os.getpid()


def refuse():
    raise ValueError('no')


def notes(path):
    return [tuple(map(int, line.split())) for line in path.read_text().splitlines()]


def test_garbage_collections_of_a_worker_pass_over_the_libraries():
    with Pool(1) as pool:
        assert pool.submit(gc.get_freeze_count).result() > 100_000


def test_a_killed_worker_takes_its_own_job_alone(tmp_path):
    with Pool(2) as pool:
        beside = pool.submit(nap, str(tmp_path / 'nap'))
        killed = pool.submit(die, str(tmp_path / 'nap'), signal.SIGKILL)
        crashed = pool.submit(die, str(tmp_path / 'nap'), signal.SIGSEGV)
        after = [pool.submit(note, str(tmp_path / name)) for name in 'ab']
        with pytest.raises(WorkerDied, match=r'^its worker process died with exit code -9 '
                                             r'\(out of memory\?\)$'):
            killed.result()
        with pytest.raises(WorkerDied, match='exit code -11'):
            crashed.result()
        assert [future.result() for future in after] == ['a', 'b']
        assert beside.result() == int((tmp_path / 'nap').read_text())


def test_pool_are_kept_but_for_jobs_that_want_one_alone(tmp_path):
    path = str(tmp_path / 'x')
    with Pool(1) as pool:
        for settings in (dict(), dict(threads=2), dict(alone=True), dict()):
            pool.submit(note, path, **settings).result()
        with pytest.raises(ValueError, match='^no$'):
            pool.submit(refuse).result()
        pool.submit(note, path).result()
    (a, one), (b, two), (c, _), (d, _), (e, _) = notes(tmp_path / 'x')
    assert (one, two) == (1, 2) and a == b and d == e
    assert len({a, c, d, os.getpid()}) == 4


def test_without_processes_jobs_run_here(tmp_path):
    with Pool(0) as pool:
        assert pool.submit(nap, str(tmp_path / 'x'), 0.).result() == os.getpid()
        with pytest.raises(ValueError, match='^no$'):
            pool.submit(refuse).result()


def test_an_error_in_the_block_ends_the_jobs(tmp_path):
    begin = time.time()
    with pytest.raises(KeyboardInterrupt):
        with Pool(1) as pool:
            running = pool.submit(nap, str(tmp_path / 'x'), 300.)
            waiting = pool.submit(nap, str(tmp_path / 'y'), 300.)
            while not (tmp_path / 'x').exists() or not (tmp_path / 'x').read_text():
                time.sleep(.1)
            raise KeyboardInterrupt
    assert time.time() - begin < 200 and waiting.cancelled()
    assert isinstance(running.exception(), WorkerDied)
    assert not processes.is_running(int((tmp_path / 'x').read_text()))
    assert not (tmp_path / 'y').exists()


def stay(path):
    """A process that would work on for a minute."""
    end_with_parent()
    with open(path, 'w') as f:
        f.write(str(os.getpid()))
    time.sleep(60)


def look_around(queue):
    """What a process finds when it begins."""
    queue.put((os.getppid(), [name for name in ('mmdet.models', 'mmseg.models', 'diffusers')
                              if name in sys.modules]))


def test_on_a_cpu_processes_begin_with_everything_imported():
    context = worker_context()
    queue = context.SimpleQueue()
    server = set()
    for _ in range(2):
        process = context.Process(target=look_around, args=(queue, ))
        process.start()
        parent, found = queue.get()
        process.join()
        server.add(parent)
        # Not forked from this process, whose threads and state would come along.
        assert parent != os.getpid()
        assert found == ['mmdet.models', 'mmseg.models', 'diffusers']
    assert len(server) == 1


def test_with_a_gpu_nothing_is_forked(monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    assert worker_context().get_start_method() == 'spawn'


@pytest.mark.parametrize('method', ['spawn', 'forkserver'])
def test_a_killed_parent_leaves_no_worker_behind(tmp_path, method):
    path = tmp_path / 'pid'
    code = (f'import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n'
            f'import multiprocessing, test_pool\n'
            f'if __name__ == "__main__":\n'
            f'    multiprocessing.get_context({method!r}).Process('
            f'target=test_pool.stay, args=({str(path)!r}, )).start()\n')
    (tmp_path / 'parent.py').write_text(code)
    parent = subprocess.Popen([sys.executable, str(tmp_path / 'parent.py')], env=dict(
        os.environ, PYTHONPATH=os.pathsep.join(sys.path)))
    while not (path.exists() and path.read_text()):
        assert parent.poll() is None
        time.sleep(0.1)
    pid = int(path.read_text())
    assert processes.is_running(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert processes.ends(pid)
    assert multiprocessing.parent_process() is None
    end_with_parent()  # nothing to wait for in a process that nobody started


@pytest.mark.parametrize('given, found', [('3', 3), ('1', 1), ('0', None), ('many', None),
                                          (None, None)])
def test_threads_are_those_that_the_environment_allows(given, found, monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    if given is not None:
        monkeypatch.setenv('OMP_NUM_THREADS', given)
    assert allowed_threads() == (found or default_jobs())
