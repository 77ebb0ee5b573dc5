"""What the machine must have: one clear line for whatever is missing."""
import glob
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig

from setup_steps.common import ROOT, VENV, SetupError, pins, read_text, say, wheel_folders

PYTHONS = ((3, 11), (3, 12))
DISK_GB = 6
RAM_GB = 4
BUILD_GB_PER_JOB = 1.5


def check_python():
    """The Python version, and that it agrees with the one of an existing .venv."""
    here = sys.version_info[:2]
    if here not in PYTHONS:
        others = [f'python{a}.{b}' for a, b in PYTHONS if works(f'python{a}.{b}')]
        fix = f'make PYTHON={others[0]}' if others else 'install Python 3.11'
        raise SetupError(f'Python {here[0]}.{here[1]} ({sys.executable}) is not supported, mmdd '
                         f'needs 3.11 or 3.12; the fix: {fix}')
    found = re.search(r'^version\w* = (\d+)\.(\d+)', read_text(os.path.join(VENV, 'pyvenv.cfg')),
                      flags=re.M)
    if found and (int(found[1]), int(found[2])) != here:
        old = f'{found[1]}.{found[2]}'
        raise SetupError(f'.venv was made by Python {old}, this is Python {here[0]}.{here[1]}; '
                         f'the fix: make PYTHON=python{old}, or remove .venv and run it again')


def works(command):
    """Whether a command can be found and answers --version."""
    if shutil.which(command) is None:
        return False
    return subprocess.call([command, '--version'], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL) == 0


def check_venv_module():
    """Debian and Ubuntu pack venv's parts apart from Python."""
    if not all(importlib.util.find_spec(name) for name in ('venv', 'ensurepip')):
        version = f'{sys.version_info[0]}.{sys.version_info[1]}'
        raise SetupError(f'{sys.executable} lacks venv or ensurepip; the fix: '
                         f'apt-get install python{version}-venv')


def compiler():
    """The C++ compiler's command, '' where there is none."""
    for name in (os.environ.get('CXX', ''), 'c++', 'g++'):
        if name and shutil.which(name.split()[-1]):
            return name
    return ''


def check_build_tools():
    """The compiler and Python's headers, where no mmcv wheel lies ready."""
    tag, mmcv = f'cp{sys.version_info[0]}{sys.version_info[1]}', pins()['mmcv']
    if any(glob.glob(os.path.join(glob.escape(folder), f'{tag}-torch*-mmcv{mmcv}*', 'mmcv-*.whl'))
           for folder in wheel_folders()):
        return
    if not compiler():
        raise SetupError('no C++ compiler (c++ or g++) in PATH, mmcv is built with one; the fix: '
                         'apt-get install g++')
    header = os.path.join(sysconfig.get_paths()['include'], 'Python.h')
    if not os.path.isfile(header):
        version = f'{sys.version_info[0]}.{sys.version_info[1]}'
        raise SetupError(f'{header} is missing, mmcv is built with it; the fix: '
                         f'apt-get install python{version}-dev')


def check_disk():
    """Room for a fresh environment."""
    if glob.glob(os.path.join(glob.escape(VENV), 'lib', 'python*', 'site-packages', 'torch')):
        return
    free = shutil.disk_usage(ROOT).free / 1024 ** 3
    if free < DISK_GB:
        raise SetupError(f'only {free:.1f} GB free under {ROOT}, the environment needs {DISK_GB} '
                         'GB; the fix: free some disk space')


def memory_gb():
    """The memory of this machine or container, None where it cannot be told."""
    found = re.search(r'MemTotal:\s+(\d+) kB', read_text('/proc/meminfo'))
    total = int(found[1]) / 1024 ** 2 if found else None
    limit = read_text('/sys/fs/cgroup/memory.max')
    if limit.isdigit():
        total = min(total or 1e9, int(limit) / 1024 ** 3)
    return total


def check_memory():
    """Warn where memory is short; nothing fails for certain."""
    total = memory_gb()
    if total is not None and total < RAM_GB:
        say(f'warning: only {total:.1f} GB of memory, {RAM_GB} GB are advised')


def build_jobs():
    """How many compilers to run at a time."""
    asked = os.environ.get('MAX_JOBS', '')
    if asked:
        if not asked.isdigit() or int(asked) < 1:
            raise SetupError(f'MAX_JOBS={asked} is not a positive number; the fix: MAX_JOBS=2')
        return int(asked)
    cores = (len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity')
             else os.cpu_count() or 1)
    total = memory_gb()
    return max(1, cores if total is None else min(cores, int(total / BUILD_GB_PER_JOB)))
