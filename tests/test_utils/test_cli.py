"""How a command line ends: one line, once for all ranks; SIGTERM."""
import os
import signal
import subprocess
import sys

import pytest

from mmdd.utils import cli

JOB = '''
import os
import time

from mmdd.utils.cli import run_cli


def main():
    forked, tell = os.pipe()
    if os.fork() == 0:
        os.write(tell, b'x')
        time.sleep(60)
    os.read(forked, 1)
    print('ready', flush=True)
    time.sleep(60)


run_cli(main, 'add --resume to resume it')
'''


@pytest.mark.parametrize('rank, line', [
    (None, 'terminated: add --resume to resume it\n'),
    ('0', 'terminated: add --resume to resume it\n'), ('1', '')])
def test_sigterm_ends_at_once_and_rank_0_says_how_to_resume(rank, line):
    environment = {key: value for key, value in os.environ.items() if key != 'RANK'}
    if rank is not None:
        environment['RANK'] = rank
    process = subprocess.Popen(
        [sys.executable, '-c', JOB], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment, start_new_session=True)
    assert process.stdout.readline() == 'ready\n'
    os.killpg(process.pid, signal.SIGTERM)  # as scancel does it: the forked process too
    assert process.communicate(timeout=20)[1] == line
    assert process.returncode == 143


POOL = '''
import multiprocessing

from mmdd.utils.cli import run_cli


def main():
    for _ in range(40):
        pool = multiprocessing.get_context('fork').Pool(3)
        pool.terminate()
        pool.join()
    print('done')


run_cli(main)
'''


def test_pools_can_be_terminated():
    """Their workers have the system's own answer to SIGTERM, which no waiting delays."""
    done = subprocess.run([sys.executable, '-c', POOL], capture_output=True, text=True,
                          timeout=60)
    assert (done.stdout, done.stderr) == ('done\n', '')


def fail(error):
    def main():
        raise error
    return main


@pytest.fixture
def naps(monkeypatch):
    """Seconds that the process waited, which it does not."""
    seconds = []
    monkeypatch.setattr(cli.time, 'sleep', seconds.append)
    for name in (*cli.RANKS, 'MMDD_DEBUG'):
        monkeypatch.delenv(name, raising=False)
    return seconds


@pytest.mark.parametrize('error, line', [
    (ValueError('a\nb'), 'error: a b (MMDD_DEBUG=1 shows the traceback)'),
    (KeyError('a'), 'error: KeyError: a (MMDD_DEBUG=1 shows the traceback)'),
    (RuntimeError('size mismatch'), 'error: RuntimeError: size mismatch (internal: run with '
                                    'MMDD_DEBUG=1 for the traceback)'),
    (ZeroDivisionError(), 'error: ZeroDivisionError: (internal: run with MMDD_DEBUG=1 for the '
                          'traceback)'),
])
def test_any_exception_is_one_line(naps, error, line):
    with pytest.raises(SystemExit) as stop:
        cli.run_cli(fail(error))
    assert stop.value.code.replace(':  (', ': (') == line and naps == []


def test_debugging_shows_the_traceback(naps, monkeypatch):
    monkeypatch.setenv('MMDD_DEBUG', '1')
    with pytest.raises(RuntimeError):
        cli.run_cli(fail(RuntimeError('x')))


@pytest.mark.parametrize('name', cli.RANKS)
def test_other_ranks_wait_for_rank_0(naps, monkeypatch, name):
    monkeypatch.setenv(name, '3')
    with pytest.raises(SystemExit) as stop:
        cli.run_cli(fail(ValueError('x')))
    assert stop.value.code.startswith('rank 3: error: x') and naps == [cli.GRACE]
    monkeypatch.setenv(name, '0')
    with pytest.raises(SystemExit) as stop:
        cli.run_cli(fail(ValueError('x')))
    assert stop.value.code.startswith('error: x') and len(naps) == 1


def test_two_ranks_print_one_line(tmp_path):
    script = tmp_path / 'tool.py'
    script.write_text('from mmdd.utils.cli import run_cli\n\n\ndef main():\n'
                      '    raise ValueError("the config is wrong")\n\n\nrun_cli(main)\n')
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2',
         str(script)], capture_output=True, text=True, timeout=120,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)))
    assert done.returncode != 0
    assert done.stderr.count('error: the config is wrong') == 1
