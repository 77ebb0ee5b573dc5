"""A graph of jobs: order, failures and those that wait for them, targets, who is told."""
import os
import signal
import subprocess
import sys
import time

import processes
import pytest

from mmdd.utils.jobs import Event, Job, print_event, run_jobs


def make(path, text=''):
    with open(path, 'a') as f:
        f.write(text or 'x')


def refuse(text):
    return text or None


def kill(path):
    os.kill(os.getpid(), signal.SIGKILL)


def stay(path):
    make(path, str(os.getpid()))
    time.sleep(300)


def job(name, work=refuse, args=('', ), **more):
    return Job(name, name.upper(), work, args, **more)


def told(jobs, workers=0):
    """Errors, and (kind, name) of what was reported in order."""
    events = []
    errors = run_jobs(jobs, workers, events.append)
    return errors, [(event.kind, event.job.name) for event in events]


def test_jobs_run_after_what_they_need_and_by_their_order():
    jobs = [job('d', needs=['b', 'c']), job('c', needs=['a'], order=(2, )),
            job('b', needs=['a'], order=(1, -3)), job('a', order=(1, 0)), job('e', order=(1, -5))]
    errors, events = told(jobs)
    assert errors == {}
    assert [name for kind, name in events if kind == 'done'] == ['e', 'a', 'b', 'c', 'd']
    assert events[:2] == [('begun', 'e'), ('done', 'e')]


def test_what_needs_a_failed_job_is_left_with_the_reason():
    jobs = [job('bad', args=('no disk', )), job('next', needs=['bad']),
            job('last', needs=['next', 'good']), job('good')]
    errors, events = told(jobs)
    reason = 'not run, BAD failed: no disk'
    assert errors == dict(bad='no disk', next=reason, last=reason)
    assert sorted(events) == [('begun', 'bad'), ('begun', 'good'), ('done', 'good'),
                              ('failed', 'bad'), ('left', 'last'), ('left', 'next')]


def test_finished_targets_are_kept_and_each_is_made_once(tmp_path):
    there, made = str(tmp_path / 'there'), str(tmp_path / 'made')
    make(there)
    jobs = [job('a', make, (there, ), target=there), job('b', make, (made, ), target=made),
            job('c', make, (made, ), target=made), job('d', refuse, ('no', ), target='gone'),
            job('e', make, (made, ), target='gone')]
    errors, events = told(jobs)
    assert open(there).read() == open(made).read() == 'x'
    assert [kind for kind, name in events if name in 'ac'] == ['kept', 'kept']
    assert errors == dict(d='no', e='no')
    assert told([job('f', target='gone')])[0] == dict(f='gone is not there afterwards')


def test_a_plan_is_made_when_what_it_needs_is_there(tmp_path):
    path = str(tmp_path / 'x')

    def plan(one):
        one.args = (open(path).read() + ' read', )

    def fail(one):
        raise FileNotFoundError('no such set')

    jobs = [job('b', plan=plan, needs=['a']), job('a', make, (path, )),
            Job('idle', 'Idle', needs=['a']), job('c', plan=fail), job('d', needs=['c'])]
    errors, events = told(jobs)
    assert errors == dict(b='x read', c='no such set', d='not run, C failed: no such set')
    assert ('kept', 'idle') in events and ('begun', 'c') not in events


@pytest.mark.parametrize('jobs, line', [
    ([job('a', needs=['b']), job('b', needs=['a'])], 'need one another: a -> b -> a|b -> a -> b'),
    ([job('a', needs=['z'])], 'jobs: z are needed and not there'),
    ([job('a'), job('a')], 'two have the same name')])
def test_graphs_that_are_none(jobs, line):
    with pytest.raises(ValueError, match=line):
        run_jobs(jobs, 0)


def test_lines(capsys, tmp_path):
    log = str(tmp_path / 'log')
    make(log)
    one = job('a', log=log, result=lambda: 'top1 50')
    for event in (Event('begun', one), Event('kept', one, finished=1, total=4),
                  Event('done', one, 3.2, '', 2, 4, 9.), Event('failed', one, 1., 'no', 3, 4),
                  Event('left', one, 0., 'not run, B failed: no', 4, 4)):
        print_event(event)
    assert capsys.readouterr().out.splitlines() == [
        '[2/4] A: top1 50, 3 s, eta 9 s', f'[3/4] A: failed: no; see {log}, 1 s, eta 0 s',
        '[4/4] A: not run, B failed: no, 0 s, eta 0 s']


def test_counts_of_events():
    events = []
    run_jobs([job('a'), job('b', args=('no', )), job('c', needs=['b'])], 0, events.append)
    assert [(e.kind, e.finished, e.total) for e in events] == [
        ('begun', 0, 3), ('done', 1, 3), ('begun', 1, 3), ('failed', 2, 3), ('left', 3, 3)]


def test_in_processes_a_killed_job_fails_alone_and_places_are_kept(tmp_path):
    running, most = set(), []

    def count(event):
        name, places = event.job.name, min(event.job.places, 2)
        (running.add if event.kind == 'begun' else running.discard)((name, places))
        most.append(sum(places for _, places in running))

    jobs = [job('dead', kill, order=(0, )), job('large', make, (str(tmp_path / 'a'), ), places=9),
            job('after', make, (str(tmp_path / 'b'), ), needs=['large']),
            *(job(str(i), make, (str(tmp_path / 'c'), ), lock='c') for i in range(3))]
    errors = run_jobs(jobs, 2, count)
    assert errors == dict(dead='its worker process died with exit code -9 (out of memory?)')
    assert max(most) == 2 and (tmp_path / 'c').read_text() == 'xxx'


# Workers import nothing in advance, which takes long. Ctrl-C counts as in a terminal also where
# the tests run in the background of a shell, which lets its processes ignore it.
INTERRUPTED = '''
import multiprocessing
import signal
import sys
sys.path.insert(0, {folder!r})
import test_jobs
from mmdd.utils import pool
from mmdd.utils.cli import run_cli
from mmdd.utils.jobs import run_jobs

if __name__ == '__main__':
    pool.worker_context = lambda: multiprocessing.get_context('forkserver')
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run_cli(lambda: run_jobs([test_jobs.job('a', test_jobs.stay, ({path!r}, )),
                              test_jobs.job('b', test_jobs.stay, ({path!r} + 'b', ))], 1), 'again')
'''


@pytest.mark.parametrize('number, code, line', [
    (signal.SIGINT, 1, 'interrupted: again'), (signal.SIGTERM, 143, 'terminated: again')])
def test_ctrl_c_and_sigterm_end_everything(tmp_path, number, code, line):
    path = tmp_path / 'pid'
    (tmp_path / 'parent.py').write_text(INTERRUPTED.format(
        folder=os.path.dirname(__file__), path=str(path)))
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / 'parent.py')], text=True, stderr=subprocess.PIPE,
        stdout=subprocess.PIPE, start_new_session=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)))
    while not (path.exists() and path.read_text()):
        assert parent.poll() is None
        time.sleep(.02)
    if number == signal.SIGINT:  # reaches all processes of a terminal
        os.killpg(parent.pid, number)
    else:
        parent.send_signal(number)
    out, err = parent.communicate(timeout=120)
    assert parent.returncode == code and out == ''
    assert err.startswith(line) and len(err.splitlines()) == 1
    assert not (tmp_path / 'pidb').exists()
    assert processes.ends(path.read_text())
