"""Run commands in .venv, with a log and a sign of life."""
import glob
import os
import shutil
import subprocess
import time

from setup_steps.common import CACHE, CONSTRAINTS, LOG, PYTHON, ROOT, VENV, SetupError, clock, say

HEARTBEAT = 15
# what a log may say, and what the user can do about it
FIXES = (
    ('No space left on device', 'free some disk space'),
    ('Temporary failure in name resolution', 'check the network or the proxy settings of pip'),
    ('Failed to establish a new connection', 'check the network or the proxy settings of pip'),
    ('Read timed out', 'the network was too slow: run it again'),
    ('No matching distribution', 'check which package index pip uses (pip config list)'),
    ('Killed signal', 'memory ran out while compiling: run it again with MAX_JOBS=1'),
)


def environment(**more):
    """The variables for commands in .venv: its programs (ninja) first, no user packages."""
    env = dict(os.environ, PYTHONNOUSERSITE='1', PIP_USER='0', PIP_DISABLE_PIP_VERSION_CHECK='1')
    for name in ('PYTHONPATH', 'PYTHONHOME', 'PIP_TARGET', 'PIP_PREFIX'):
        env.pop(name, None)
    env['PATH'] = os.path.join(VENV, 'bin') + os.pathsep + env.get('PATH', '')
    env.update(more)
    return env


def run(command, what, env=None, progress=None):
    """Run a command into the log, with a sign of life now and then.

    Args:
        command (list[str]): The command.
        what (str): What it does, for the error line.
        env (dict, optional): The variables. Defaults to :func:`environment`.
        progress (callable, optional): Elapsed seconds to the text of a sign of life.
    """
    begin = beat = time.monotonic()
    with open(LOG, 'ab') as log:
        log.write(f'\n$ {" ".join(command)}\n'.encode())
        log.flush()
        start = log.tell()
        process = subprocess.Popen(command, cwd=ROOT, env=env or environment(), stdout=log,
                                   stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            while process.poll() is None:
                time.sleep(0.1)
                if time.monotonic() - beat >= HEARTBEAT:
                    beat = time.monotonic()
                    say('      ' + (progress or (lambda s: f'{clock(s)} passed'))(beat - begin))
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        raise SetupError(failure(what, process.returncode, start))


def failure(what, status, start):
    """The error line of a failed command and the end of what it logged."""
    with open(LOG, 'rb') as log:
        log.seek(start)
        text = log.read().decode(errors='replace')
    fixes = [fix for sign, fix in FIXES if sign in text]
    tail = '\n'.join('    ' + line for line in text.strip().splitlines()[-8:])
    return (f'{what} failed (exit status {status}); the fix: '
            f'{fixes[0] if fixes else "read the log, then run it again"}; '
            f'all of it: {os.path.relpath(LOG)}\n{tail}')


def ask(code):
    """What a line of Python prints in .venv, None where it fails."""
    done = subprocess.run([PYTHON, '-c', code], env=environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, cwd=CACHE)
    return done.stdout.strip() if done.returncode == 0 else None


def pip(what, *args, **kwargs):
    """Run pip of .venv."""
    run([PYTHON, '-m', 'pip', *args], what, **kwargs)


def install(what, *args):
    """Install with the tested versions."""
    forget_half_installed()
    pip(what, 'install', '-c', CONSTRAINTS, *args)


def forget_half_installed():
    """Drop the metadata of packages whose installation was interrupted, so pip redoes them."""
    pattern = os.path.join(glob.escape(VENV), 'lib', 'python*', 'site-packages', '*.dist-info')
    for folder in glob.glob(pattern):
        if not os.path.isfile(os.path.join(folder, 'RECORD')):
            shutil.rmtree(folder, ignore_errors=True)
