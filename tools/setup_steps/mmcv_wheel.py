"""An mmcv wheel that belongs to the torch in .venv: found, or built once and kept."""
import glob
import os
import re
import shutil
import sys
import zipfile

from setup_steps.commands import ask, environment, pip
from setup_steps.common import CACHE, SetupError, clock, pins, read_text, say, wheel_folders
from setup_steps.machine import build_jobs, compiler

SECONDS_PER_FILE = 9  # one file of mmcv on one core


def mmcv_key():
    """Name of the build: Python, torch with its suffix, mmcv, and whether with CUDA operators.

    Returns:
        tuple[str, bool]: The name, and whether a GPU is there.
    """
    answer = ask(
        'import os, torch\n'
        'from torch.utils.cpp_extension import CUDA_HOME\n'
        'nvcc = bool(CUDA_HOME) and os.path.isfile(os.path.join(CUDA_HOME, "bin", "nvcc"))\n'
        'print(torch.__version__, int(torch.cuda.is_available()), int(nvcc))')
    if answer is None:
        raise SetupError('torch in .venv cannot be imported; the fix: remove .venv and run it '
                         'again')
    torch, gpu, nvcc = answer.split()
    tag = f'cp{sys.version_info[0]}{sys.version_info[1]}'
    cuda = '-cuda' if gpu == nvcc == '1' else ''
    return f'{tag}-torch{torch}-mmcv{pins()["mmcv"]}{cuda}', gpu == '1'


def find_wheel(key):
    """A ready wheel that belongs to this torch and has its operators, None where there is none."""
    for folder in wheel_folders():
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), key, 'mmcv-*.whl'))):
            if has_operators(path):
                return path
            say(f'      {path} has no operators (mmcv/_ext), it is not used')
    return None


def has_operators(path):
    """Whether a wheel is whole and holds the compiled operators."""
    try:
        with zipfile.ZipFile(path) as wheel:
            return any(name.startswith('mmcv/_ext') for name in wheel.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def build_env(key, folder):
    """The variables for building mmcv below a folder."""
    env = environment(MAX_JOBS=str(build_jobs()), CFLAGS='-g0 -O1', MMCV_WITH_OPS='1')
    if shutil.which('c++') is None:
        env['CXX'] = compiler()
    if needs_cpp20(key):
        env.update(CXX=cpp20_compiler(folder), NVCC_APPEND_FLAGS='-std=c++20')
    if not key.endswith('-cuda'):  # mmcv would ask for nvcc where it sees a GPU
        env.update(CUDA_VISIBLE_DEVICES='', FORCE_CUDA='0')
    return env


def needs_cpp20(key):
    """Whether the headers of the torch of a build are C++20, which begins at 2.14."""
    major, minor = re.search(r'-torch(\d+)\.(\d+)', key).groups()
    return (int(major), int(minor)) >= (2, 14)


def cpp20_compiler(folder):
    """A command that compiles as C++20 although mmcv's setup.py ends its own with C++17.

    The last standard on a command line holds, and no variable comes after those of setup.py.
    It can go with an mmcv that leaves the standard to torch.
    """
    path = os.path.join(folder, 'c++20')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(f'#!/bin/sh\nexec {compiler()} "$@" -std=c++20\n')
    os.chmod(path, 0o755)
    return path


def fetch_source(folder, env):
    """Unpack mmcv's source below the folder, once."""
    version = pins()['mmcv']
    source = os.path.join(folder, f'mmcv-{version}')
    if not os.path.isdir(source):
        pip('fetching the source of mmcv', 'download', '--no-deps', '--no-cache-dir',
            '--no-build-isolation', '--no-binary', 'mmcv', '-d', folder, f'mmcv=={version}',
            env=env)
        unpacked = os.path.join(folder, 'unpacked')
        shutil.rmtree(unpacked, ignore_errors=True)
        archive = glob.glob(os.path.join(glob.escape(folder), 'mmcv-*.tar.gz'))[0]
        shutil.unpack_archive(archive, unpacked)
        os.rename(os.path.join(unpacked, f'mmcv-{version}'), source)
    return source


def build_progress(source, jobs):
    """A function that tells how far ninja is, from the object files it has made."""
    built_before = []

    def tell(elapsed):
        plans = glob.glob(os.path.join(glob.escape(source), 'build', '**', 'build.ninja'),
                          recursive=True)
        if not plans:
            return f'{clock(elapsed)} passed, preparing'
        total = len(re.findall(r'^build \S+\.o:', read_text(plans[0]), flags=re.M))
        built = len(glob.glob(os.path.join(os.path.dirname(glob.escape(plans[0])), '**', '*.o'),
                              recursive=True))
        built_before.append(built)
        new = built - built_before[0]
        pace = elapsed / new if new >= 8 else SECONDS_PER_FILE / jobs
        return (f'{built} of {total} files, {clock(elapsed)} passed, about '
                f'{clock(pace * max(total - built, 0) + 10)} to go')

    return tell


def build_wheel(key):
    """Build mmcv for the torch in .venv and keep the wheel; an interrupted one resumes."""
    check_compiler_again()
    folder = os.path.join(CACHE, 'build', key)
    os.makedirs(folder, exist_ok=True)
    env = build_env(key, folder)
    source = fetch_source(folder, env)
    fresh = os.path.join(folder, 'wheel')
    shutil.rmtree(fresh, ignore_errors=True)
    pip('building mmcv', 'wheel', '-v', '--no-deps', '--no-build-isolation', '--use-pep517',
        '--no-cache-dir', '-w', fresh, source, env=env,
        progress=build_progress(source, int(env['MAX_JOBS'])))
    wheel = glob.glob(os.path.join(glob.escape(fresh), 'mmcv-*.whl'))[0]
    if not has_operators(wheel):
        raise SetupError(f'mmcv was built without its operators; the fix: remove {folder} and '
                         'run it again')
    kept = os.path.join(CACHE, 'wheels', key)
    os.makedirs(kept, exist_ok=True)
    kept = os.path.join(kept, os.path.basename(wheel))
    os.replace(wheel, kept)
    shutil.rmtree(folder, ignore_errors=True)
    return kept


def check_compiler_again():
    """A wheel that lay ready for another torch may have let a missing compiler pass."""
    if not compiler():
        raise SetupError('no C++ compiler (c++ or g++) in PATH, and no mmcv wheel for this torch; '
                         'the fix: apt-get install g++')
