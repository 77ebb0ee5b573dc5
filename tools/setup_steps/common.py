"""Where things lie, the tested versions, and the one kind of error."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, '.venv')
PYTHON = os.path.join(VENV, 'bin', 'python')
CACHE = os.path.join(ROOT, '.cache')
LOG = os.path.join(CACHE, 'setup.log')
REQUIREMENTS = os.path.join(ROOT, 'requirements')
CONSTRAINTS = os.path.join(REQUIREMENTS, 'constraints.txt')


class SetupError(Exception):
    """Something the user has to fix: what, where and the fix in one line."""


def say(text):
    """Print a line at once."""
    print(text, flush=True)


def clock(seconds):
    """Seconds as minutes:seconds."""
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'


def pins():
    """The tested versions, by package name."""
    with open(CONSTRAINTS, encoding='utf-8') as f:
        return dict(re.findall(r'^([\w.-]+)==([^\s;]+)', f.read(), flags=re.M))


def read_text(path):
    """The stripped text of a file, '' where there is none."""
    try:
        with open(path, encoding='utf-8') as f:
            return f.read().strip()
    except OSError:
        return ''


def write_text(path, text):
    """Write a small file in one move."""
    with open(path + '.tmp', 'w', encoding='utf-8') as f:
        f.write(text + '\n')
    os.replace(path + '.tmp', path)


def wheel_folders():
    """The folders that may hold ready wheels."""
    given = os.environ.get('MMDD_WHEELS', '')
    if given and not os.path.isdir(given):
        raise SetupError(f'MMDD_WHEELS={given} is not a folder; the fix: correct or unset it')
    return [os.path.abspath(given)] * bool(given) + [os.path.join(CACHE, 'wheels')]
