"""Make .venv ready: torch, mmcv built against that torch, the requirements, mmdd itself.

    python3 tools/setup_venv.py [--force]

Needs the standard library only. The versions are those of requirements/constraints.txt.
Run it again after an interruption: it resumes where it stopped, and once everything is
there it returns at once.
"""
import argparse
import fcntl
import glob
import hashlib
import os
import sys
import time

from setup_steps import machine, mmcv_wheel
from setup_steps.commands import ask, forget_half_installed, install, pip, run
from setup_steps.common import (
    CACHE,
    LOG,
    PYTHON,
    REQUIREMENTS,
    ROOT,
    VENV,
    SetupError,
    clock,
    pins,
    read_text,
    say,
    write_text,
)
from setup_steps.torchvision_wheel import match_torchvision

STAMP = os.path.join(VENV, 'mmdd-setup.stamp')
MMCV_MARK = os.path.join(VENV, 'mmdd-mmcv.key')
STEPS = 6
EPILOG = """\
environment:
  MMDD_WHEELS  a folder of ready mmcv wheels, looked into before .cache/wheels. A wheel is taken
               only from the subfolder named after the Python, the torch and the mmcv at hand,
               such as cp311-torch2.13.0+cpu-mmcv2.1.0 (the .cache/wheels of another checkout
               has that form; the name of the wanted one is printed when mmcv is built)
  MAX_JOBS     compilers at a time for the mmcv build (default: cores, as far as memory allows)

On a machine with a GPU and nvcc mmcv is built with its CUDA operators.
"""


def stamp_key():
    """What a finished set-up depends on: the requirements, setup.py, Python, the place."""
    digest = hashlib.sha256(f'{ROOT} {sys.version_info[:2]}'.encode())
    names = sorted(glob.glob(os.path.join(REQUIREMENTS, '*.txt')))
    for name in names + [os.path.join(ROOT, 'setup.py')]:
        with open(name, 'rb') as f:
            digest.update(os.path.basename(name).encode() + b'\0' + f.read())
    return digest.hexdigest()


def step(number, text):
    """Announce a step."""
    say(f'[{number}/{STEPS}] {text}')


def make_venv():
    """Create .venv, or complete one whose creation was interrupted."""
    if os.path.exists(PYTHON) and ask('import pip._internal.cli.main') is not None:
        step(1, 'use the .venv that is there')
        return
    step(1, 'create .venv (about 5 s)')
    machine.check_venv_module()
    run([sys.executable, '-m', 'venv', VENV], 'creating .venv', env=dict(os.environ))


def install_torch():
    """The build tools and torch, which mmcv is built against."""
    version = pins()['torch']
    step(2, f'install torch {version} (some GB, about 2:00 from a near mirror)')
    before = ask('import torch; print(torch.__version__)')
    install('installing the build tools', '-r', os.path.join(REQUIREMENTS, 'build.txt'))
    install('installing torch', f'torch=={version}', f'torchvision=={pins()["torchvision"]}')
    match_torchvision()
    return before


def install_mmcv(torch_before):
    """mmcv from a ready wheel, or built."""
    key, gpu = mmcv_wheel.mmcv_key()
    mark, torch = read_text(MMCV_MARK), key.split('-')[1][len('torch'):]
    unmarked = not mark and torch_before == torch  # somebody installed it by hand
    if (mark == key or unmarked) and mmcv_version() == pins()['mmcv']:
        step(3, f'use the mmcv that is there ({key})')
        write_text(MMCV_MARK, key)
        return
    if gpu and not key.endswith('-cuda'):
        say('      note: there is a GPU but no nvcc, so mmcv gets CPU operators only (detection '
            'needs them on the GPU); the fix: install the CUDA toolkit, then run '
            'python3 tools/setup_venv.py --force')
    wheel = mmcv_wheel.find_wheel(key)
    if wheel:
        step(3, f'take the ready mmcv wheel {wheel}')
    else:
        jobs = machine.build_jobs()
        about = clock(77 * mmcv_wheel.SECONDS_PER_FILE / jobs)
        step(3, f'build mmcv for {key} with {jobs} jobs, once (about {about}; CUDA takes longer)')
        wheel = mmcv_wheel.build_wheel(key)
    if os.path.exists(MMCV_MARK):
        os.remove(MMCV_MARK)
    forget_half_installed()
    pip('installing mmcv', 'install', '--no-deps', '--no-index', '--force-reinstall', wheel)
    write_text(MMCV_MARK, key)


def mmcv_version():
    """The version of an installed mmcv whose operators load, None without one."""
    return ask('import mmcv.ops; print(mmcv.__version__)')


def install_requirements():
    """Everything else at the tested versions."""
    step(4, 'install the requirements (about 1:00)')
    args = []
    for name in ('mminstall', 'runtime', 'tests'):
        args += ['-r', os.path.join(REQUIREMENTS, f'{name}.txt')]
    install('installing the requirements', *args)
    install('installing packages without their dependencies', '--no-deps', '-r',
            os.path.join(REQUIREMENTS, 'nodeps.txt'))


def install_mmdd():
    """mmdd itself, editable."""
    step(5, 'install mmdd (about 10 s)')
    pip('installing mmdd', 'install', '--no-deps', '--no-build-isolation', '-e', ROOT)


def check_result():
    """That the operators load and mmdd is importable."""
    step(6, 'check the result (about 10 s)')
    key = read_text(MMCV_MARK)
    run([PYTHON, '-P', '-c', 'import mmcv.ops'],
        f'importing mmcv.ops (a bad mmcv? remove .cache/wheels/{key} and .venv/'
        f'{os.path.basename(MMCV_MARK)})')
    run([PYTHON, '-P', '-c', 'import mmdd'], 'importing mmdd')


def set_up(force=False):
    """Make .venv ready.

    Args:
        force (bool): Go through all steps although nothing has changed.
    """
    machine.check_python()
    if not force and ready():
        return
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, 'setup.lock'), 'w') as lock:
        wait_for(lock)
        if not force and ready():
            return
        machine.check_build_tools()
        machine.check_disk()
        machine.check_memory()
        begin = time.monotonic()
        say(f'setting up .venv, once (log: {os.path.relpath(LOG)})')
        open(LOG, 'wb').close()
        key = stamp_key()
        make_venv()
        torch_before = install_torch()
        install_mmcv(torch_before)
        install_requirements()
        install_mmdd()
        check_result()
        write_text(STAMP, key)
        say(f'.venv is ready ({clock(time.monotonic() - begin)})')


def ready():
    """Whether a set-up of exactly these requirements was finished."""
    return os.path.exists(PYTHON) and read_text(STAMP) == stamp_key()


def wait_for(lock):
    """Let one set-up run at a time."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        say('another set-up is running in this folder, waiting for it')
        fcntl.flock(lock, fcntl.LOCK_EX)


def main():
    """Set up, and turn what can go wrong into one line."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--force', action='store_true', help='go through all steps once more')
    args = parser.parse_args()
    try:
        set_up(args.force)
    except KeyboardInterrupt:
        print('interrupted; the next run resumes from here', file=sys.stderr)
        return 130
    except (SetupError, OSError) as e:
        print(f'error: {e}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
