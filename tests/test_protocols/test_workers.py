"""Worker processes: kept for several calls, and replaced where one dies."""
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from mmdd.protocols.workers import end_with_parent, execute, kept_workers, worker_context


def note(job):
    """Write down which process does a job; 'die' ends it."""
    folder, name = job
    with open(os.path.join(folder, name), 'a') as f:
        f.write(f'{os.getpid()}\n')
    if name == 'die':
        os._exit(9)
    return None


def pids(folder, *names):
    return [(folder / name).read_text().split() for name in names]


def test_workers_are_kept_within_the_block(tmp_path):
    def do(*names):
        return dict((job[1], error) for job, error in execute(
            note, [(str(tmp_path), name) for name in names], jobs=1))

    with kept_workers():
        assert do('a') == dict(a=None) and do('b', 'c') == dict(b=None, c=None) and do() == {}
        (a, ), (b, ), (c, ) = pids(tmp_path, 'a', 'b', 'c')
        assert a == b == c != str(os.getpid())
        assert do('die') == dict(die='its worker process died twice (out of memory?)')
        first, second = pids(tmp_path, 'die')[0]
        assert first == a != second  # again in a process of its own
        assert do('d') == dict(d=None)
        (d, ), = pids(tmp_path, 'd')
        assert d not in (a, second)


def stay(path):
    """A process that would work on for a minute."""
    end_with_parent()
    with open(path, 'w') as f:
        f.write(str(os.getpid()))
    time.sleep(60)


def is_running(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


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


@pytest.mark.parametrize('context', ['multiprocessing.get_context("spawn")',
                                     'mmdd.protocols.workers.worker_context()'])
def test_a_killed_parent_leaves_no_worker_behind(tmp_path, context):
    path = tmp_path / 'pid'
    code = (f'import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n'
            f'import multiprocessing, mmdd.protocols.workers, test_workers\n'
            f'if __name__ == "__main__":\n'
            f'    {context}.Process('
            f'target=test_workers.stay, args=({str(path)!r}, )).start()\n')
    (tmp_path / 'parent.py').write_text(code)
    parent = subprocess.Popen([sys.executable, str(tmp_path / 'parent.py')], env=dict(
        os.environ, PYTHONPATH=os.pathsep.join(sys.path)))
    while not (path.exists() and path.read_text()):
        assert parent.poll() is None
        time.sleep(0.1)
    pid = int(path.read_text())
    assert is_running(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(200):
        if not is_running(pid):
            break
        time.sleep(0.1)
    assert not is_running(pid)
    assert multiprocessing.parent_process() is None
    end_with_parent()  # nothing to wait for in a process that nobody started
