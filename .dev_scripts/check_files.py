"""Check the given files, or all that git tracks: endings, trailing blanks, size.

    python3 .dev_scripts/check_files.py [FILE ...]
"""
import subprocess
import sys
from pathlib import Path

MAX_BYTES = 1024 * 1024
LARGE_ALLOWED = 'mmdd/priors/'


def tracked_files():
    """The files that git tracks or would add, relative to the repository."""
    command = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
    return [name for name in subprocess.check_output(command).decode().split('\0') if name]


def faults(name):
    """What is wrong with one file, one line each."""
    path = Path(name)
    if not path.is_file() or path.is_symlink():
        return
    if path.stat().st_size > MAX_BYTES and LARGE_ALLOWED not in path.as_posix():
        yield f'{name}: larger than 1 MB; only {LARGE_ALLOWED} may hold large files'
        return
    content = path.read_bytes()
    if not content or b'\0' in content:
        return
    if not content.endswith(b'\n') or content.endswith(b'\n\n'):
        yield f'{name}: must end with exactly one newline'
    if b'\r\n' in content:
        yield f'{name}: has Windows line endings'
    if path.suffix == '.md':  # two blanks are a line break there
        return
    for number, line in enumerate(content.split(b'\n'), 1):
        if line != line.rstrip():
            yield f'{name}:{number}: trailing blanks'


def main():
    """Print the faults of the files; the exit status says whether there were any."""
    found = [fault for name in sys.argv[1:] or tracked_files() for fault in faults(name)]
    print('\n'.join(found), end='\n' if found else '')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
