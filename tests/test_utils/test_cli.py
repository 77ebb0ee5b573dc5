"""How a command line ends: one line, once for all ranks."""
import os
import subprocess
import sys

import pytest

from mmdd.utils import cli


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
