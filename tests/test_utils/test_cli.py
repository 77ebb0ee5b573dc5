"""How command lines end."""
import os
import signal
import subprocess
import sys

import pytest

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


run_cli(main)
'''


@pytest.mark.parametrize('rank, line', [
    (None, 'terminated: what is finished is on disk, add --resume to go on\n'),
    ('0', 'terminated: what is finished is on disk, add --resume to go on\n'), ('1', '')])
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
