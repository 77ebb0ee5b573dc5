"""State files: damage is noticed, said in one line, set aside, and what was in them made again."""
import errno
import hashlib
import json
import math
import os
import os.path as osp
import re
from typing import Any, Callable, Dict, Optional, Sequence
from zipfile import ZipFile

import numpy as np
from mmengine.logging import print_log

from .io import atomic_path, atomic_write_json, strict_json

CHECKSUM = 'checksum'
# What a damaged file is renamed to, behind its name.
DAMAGED = '.damaged'


class Damaged(ValueError):
    """A state file that does not hold what was written.

    Args:
        path: The file.
        why: What is wrong with it.
    """

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f'{path} is damaged ({why}); run the job again with --resume')
        self.why = why


def write_state(path: str, content: Dict[str, Any]) -> None:
    """Write a JSON object with its own checksum, atomically.

    Args:
        path: The file.
        content: Plain JSON values, see :func:`strict_json`; the key 'checksum' is taken.
    """
    content = json.loads(strict_json(content))
    atomic_write_json(path, {**content, CHECKSUM: checksum(content)})


def load_state(path: str, fits: Optional[Callable[[Any], bool]] = None) -> Dict[str, Any]:
    """The content of a file of :func:`write_state`.

    A file without a checksum, as earlier versions wrote it, passes if it fits.

    Args:
        path: The file.
        fits: Says whether a JSON object is what is looked for; what it stumbles over
            (KeyError, TypeError, ValueError, AttributeError) does not fit.

    Raises:
        FileNotFoundError: If there is no such file.
        Damaged: If it holds something else.
    """
    if osp.isdir(path):
        raise Damaged(path, 'it is a folder')
    try:
        with open(path, 'rb') as f:
            content = json.loads(f.read())
    except (ValueError, RecursionError):
        raise Damaged(path, 'it is no JSON' if osp.getsize(path) else 'it is empty') from None
    if not isinstance(content, dict):
        raise Damaged(path, 'it is no JSON object')
    if CHECKSUM in content and content.pop(CHECKSUM) != checksum(content):
        raise Damaged(path, 'its checksum differs')
    try:
        whole = fits is None or fits(content)
    except (KeyError, TypeError, ValueError, AttributeError):
        whole = False
    if not whole:
        raise Damaged(path, 'it holds something else')
    return content


def read_state(path: str, fits: Optional[Callable[[Any], bool]] = None,
               then: str = 'it is made again') -> Optional[Dict[str, Any]]:
    """As :func:`load_state`; None where there is no file, or a damaged one was set aside."""
    try:
        return load_state(path, fits)
    except FileNotFoundError:
        return None
    except Damaged as error:
        set_aside(path, error.why, then)
        return None


def write_arrays(path: str, **arrays: Any) -> None:
    """Write arrays to an ``.npz`` file, atomically; the format has checksums."""
    with atomic_path(path) as tmp:
        np.savez(tmp, **arrays)


def read_arrays(path: str, names: Sequence[str] = ()) -> Optional[Dict[str, np.ndarray]]:
    """All arrays of a file of :func:`write_arrays`, read whole.

    Args:
        path: The file.
        names: What it must hold at least.

    Returns:
        dict: Arrays by name; None where there is no file, or a damaged one was set aside.
    """
    why = None
    try:
        with np.load(path) as content:
            found = {name: content[name] for name in content.files}
        if not set(names) <= set(found):
            why = 'it holds something else'
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EISDIR):  # a bad offset, a folder
            raise
        why = str(error.strerror)
    except Exception as error:  # random bytes end in anything, also in too much memory
        why = type(error).__name__
    if why:
        set_aside(path, why)
        return None
    return found


def latest_checkpoint(folder: str) -> Optional[str]:
    """The newest undamaged checkpoint that MMEngine's ``CheckpointHook`` left in a folder.

    Damaged ones are set aside, and so is a ``last_checkpoint`` that names none.

    Args:
        folder: Work dir of a training.

    Returns:
        str: Its path; None where there is nothing to resume from.
    """
    pointer = osp.join(folder, 'last_checkpoint')
    if not osp.isfile(pointer):
        return None
    with open(pointer, 'rb') as f:
        named = f.read().decode(errors='replace').strip().replace('\0', '?')
    if osp.isfile(named):
        if is_whole_checkpoint(named):
            return named
        last: float = _step(osp.basename(named))
    else:
        set_aside(pointer, 'it names no checkpoint', 'the newest checkpoint is taken')
        last = math.inf
    earlier = {step: entry for entry in os.listdir(folder) if (step := _step(entry)) < last}
    for step in sorted(earlier, reverse=True):
        path = osp.join(folder, earlier[step])
        if step >= 0 and is_whole_checkpoint(path):
            return path
    return None


def _step(name: str) -> int:
    """The number in the name of a checkpoint of MMEngine; -1 of other files."""
    found = re.fullmatch(r'(?:iter|epoch)_(\d+)\.pth', name)
    return int(found[1]) if found else -1


def is_whole_checkpoint(path: str) -> bool:
    """Whether a file that ``torch.save`` wrote is undamaged; a damaged one is set aside.

    The checksums of its entries are compared, nothing in it is unpickled.
    """
    try:
        with ZipFile(path) as content:
            broken = content.testzip()
    except OSError:
        raise
    except Exception as error:  # as in read_arrays
        broken = type(error).__name__
    if broken is None:
        return True
    set_aside(path, 'it is truncated or changed', 'the training resumes from an earlier '
              'checkpoint, or starts again')
    return False


def set_aside(path: str, why: str, then: str = 'it is made again',
              along: Sequence[str] = ()) -> None:
    """Rename a damaged file to ``<name>.damaged`` and warn in one line.

    Another process may have done it already.

    Args:
        path: The file.
        why: What is wrong with it.
        then: What happens next.
        along: Files that are worthless without it and go with it.
    """
    for file in (path, *along):
        try:
            os.replace(file, free_name(f'{file}{DAMAGED}'))
        except FileNotFoundError:
            if file == path:
                return
    print_log(f'{path} is damaged ({why}): kept as {osp.basename(path)}{DAMAGED}, {then}',
              'current', level=30)


def free_name(path: str) -> str:
    """A path where nothing is yet: ``path``, or with a number behind it."""
    number, free = 1, path
    while osp.lexists(free):
        number += 1
        free = f'{path}{number}'
    return free


def checksum(content: Any) -> str:
    """SHA-256 of JSON values as they are read back; the order of keys does not count."""
    content = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
