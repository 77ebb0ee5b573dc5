"""Worker processes: kept for several calls, and replaced where one dies."""
import os

from mmdd.evaluation.workers import execute, kept_workers


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
