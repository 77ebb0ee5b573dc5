"""Atomic file writing: a file is either whole or not there."""
import errno
import hashlib
import io
import json
import math
import os
import os.path as osp
import re
import shutil
import tempfile
from contextlib import contextmanager
from functools import cache
from typing import Any, Iterator, Mapping, Optional, Tuple

import numpy as np

# Files whose name begins so are not finished.
UNFINISHED = '.tmp_'


class CannotWrite(OSError):
    """A file cannot be written: the disk is full, or the folder is gone or read-only."""

    def __str__(self) -> str:
        return (f'{self.filename} cannot be written ({self.strerror}); what is finished is kept: '
                f'make room or correct the folder, then run the same command again (distill.py: '
                f'with --resume)')


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Let what fails inside the block for want of a disk name the file.

    Args:
        path: The file that the block writes.

    Raises:
        CannotWrite: If it cannot be written. A file elsewhere that cannot be read keeps its
            own error.
    """
    try:
        yield
    except CannotWrite:
        raise
    except OSError as error:
        named = [str(name) for name in (error.filename, error.filename2) if name is not None]
        if named and not any(_concerns(name, path) for name in named):
            raise
        raise CannotWrite(error.errno or errno.EIO, error.strerror or str(error), path) from None
    except RuntimeError as error:
        if not re.search('PytorchStreamWriter|inline_container', str(error)):  # torch.save
            raise
        raise CannotWrite(errno.EIO, 'no space left on device?', path) from None


def _concerns(failed: str, path: str) -> bool:
    """Whether a name is that of a file beside ``path``, or of a folder above it."""
    failed, folder = osp.abspath(failed), osp.dirname(osp.abspath(path))
    return osp.dirname(failed) == folder or f'{folder}/'.startswith(f'{failed}/')


@contextmanager
def atomic_path(path: str) -> Iterator[str]:
    """Give a temporary path that replaces ``path`` when the block succeeds.

    Raises:
        CannotWrite: If the folder cannot be written; the message names the path.
    """
    folder = osp.dirname(path) or '.'
    with writing(path):
        os.makedirs(folder, exist_ok=True)
        handle, tmp = tempfile.mkstemp(
            prefix=UNFINISHED, suffix=osp.splitext(path)[1], dir=folder)
        os.close(handle)
        try:
            yield tmp
            os.chmod(tmp, 0o644)
            os.replace(tmp, path)
        except BaseException:
            if osp.exists(tmp):
                os.unlink(tmp)
            raise


def remove_leftovers(folder: str) -> None:
    """Remove what a killed process was writing below a folder.

    Some readers, such as torchvision's, take such files for images.
    """
    for base, _, names in os.walk(folder):
        for name in names:
            if name.startswith(UNFINISHED):
                os.unlink(osp.join(base, name))


def atomic_write_text(path: str, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, atomically."""
    with atomic_path(path) as tmp, open(tmp, 'w', encoding='utf-8') as f:
        f.write(text)


def atomic_write_json(path: str, value: Any) -> None:
    """Write ``value`` as indented JSON to ``path``, atomically, see :func:`strict_json`."""
    atomic_write_text(path, strict_json(value, indent=1, sort_keys=True) + '\n')


def strict_json(value: Any, **options: Any) -> str:
    """``value`` as JSON; a number that is not finite, for which JSON has no word, is null.

    A mapping with such numbers says how many there were: ``non_finite`` in the outermost one.

    Args:
        value: What ``json.dumps`` takes.
        options: Those of ``json.dumps``.
    """
    clean, number = without_non_finite(value)
    if number and isinstance(clean, dict):
        clean['non_finite'] = number
    return json.dumps(clean, allow_nan=False, **options)


def without_non_finite(value: Any) -> Tuple[Any, int]:
    """A value with None for every number that is not finite, and how many there were."""
    if isinstance(value, float) and not math.isfinite(value):
        return None, 1
    if isinstance(value, Mapping):
        pairs = {key: without_non_finite(own) for key, own in value.items()}
        return ({key: own for key, (own, _) in pairs.items()},
                sum(number for _, number in pairs.values()))
    if isinstance(value, (list, tuple)):
        items = [without_non_finite(own) for own in value]
        return [own for own, _ in items], sum(number for _, number in items)
    return value, 0


def atomic_copy(source: str, path: str) -> None:
    """Copy a file byte for byte to ``path``, atomically."""
    with atomic_path(path) as tmp:
        shutil.copyfile(source, tmp)


def atomic_save_image(path: str,
                      image: np.ndarray,
                      palette: Optional[np.ndarray] = None) -> None:
    """Save an image atomically; the extension chooses JPEG or PNG.

    JPEGs are written at quality 98 without chroma subsampling, so that small
    synthetic images keep their colours.

    Args:
        path: File to write.
        image: (H, W, 3) uint8 RGB, or (H, W) uint8 for a mask.
        palette: (256, 3) uint8 colours of a paletted mask.
    """
    from PIL import Image
    picture = Image.fromarray(np.ascontiguousarray(image))
    if palette is not None:
        picture.putpalette(palette.reshape(-1).tolist())
    options = {}
    if path.lower().endswith(('.jpg', '.jpeg')):
        options = dict(quality=98, subsampling=0)
    # Not straight to the file: Pillow takes a short write on a full disk for a whole one.
    encoded = io.BytesIO()
    kind = Image.registered_extensions()[osp.splitext(path)[1].lower()]
    picture.save(encoded, kind, **options)
    with atomic_path(path) as tmp, open(tmp, 'wb') as f:
        f.write(encoded.getbuffer())


def sha256_once(path: str) -> str:
    """As :func:`sha256`; a file of the same size and time is read once in a process."""
    status = os.stat(path)
    return _sha256_of(osp.abspath(path), status.st_size, status.st_mtime_ns, status.st_ino)


@cache
def _sha256_of(path: str, *status: int) -> str:
    return sha256(path)


def sha256(path: str) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, 'rb') as f:
        for block in iter(lambda: f.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()
