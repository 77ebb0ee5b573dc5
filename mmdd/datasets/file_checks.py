"""Checks that every format needs: of images, and of lists of images.

What was found sound is not opened again as long as the file is unchanged.
"""
import os
import os.path as osp
from functools import cache
from typing import Any, Dict, Iterable, List, Optional, Tuple

from PIL import Image, UnidentifiedImageError

from mmdd.utils.photograph import is_sideways, upright_size

UNREADABLE = (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError,
              ValueError)


def missing_file(path: str, kind: str) -> str:
    """The problem of a file that is not there: an 'image', 'mask' or 'annotation'."""
    if osp.islink(path):
        return (f'{path}: the {kind} is missing, the link goes to {os.readlink(path)}; restore '
                f'that, or take it out of the image list')
    return f'{path}: the {kind} is missing; restore it or take it out of the image list'


def image_problem(path: str, size: Optional[Tuple[int, int]]) -> str:
    """The problem of an image: missing, unreadable, of another (height, width)."""
    if not osp.isfile(path):
        return missing_file(path, 'image')
    return _read_image_problem(path, os.stat(path).st_mtime_ns, size)


def decode(image: Image.Image) -> None:
    """Decode an open image, JPEGs at an eighth of their size: enough to notice damage.

    Raises:
        OSError: Or another error of ``UNREADABLE``, if it is damaged.
    """
    image.draft('RGB', (image.width // 8, image.height // 8))
    image.load()


@cache
def _read_image_problem(path: str, changed: int, size: Optional[Tuple[int, int]]) -> str:
    try:
        with Image.open(path) as image:
            sideways, (height, width) = is_sideways(image), upright_size(image)
            decode(image)
    except UNREADABLE as e:
        return f'{path}: cannot be read as an image ({e}); replace or remove it'
    if size and size != (height, width):
        turned = ' once it is turned as its EXIF says, as mmcv does' if sideways else ''
        return (f'{path}: the image is {width}x{height}{turned}, its annotation says '
                f'{size[1]}x{size[0]}; correct the annotation')
    return ''


def read_list(path: str) -> List[str]:
    """The lines of a list of images, without their ends.

    Raises:
        ValueError: If it cannot be read as UTF-8, or names an image twice.
    """
    try:
        with open(path, encoding='utf-8') as f:
            lines = [line.rstrip('\n') for line in f]
    except (OSError, UnicodeDecodeError) as e:
        raise ValueError(f'{path}: cannot be read as a list of images ({e}); it needs one per '
                         f'line, in UTF-8') from None
    if lines and lines[0].startswith('\ufeff'):
        raise ValueError(f'{path}:1: begins with a byte order mark; save it as UTF-8 without one')
    first: Dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and first.setdefault(line.strip(), number) != number:
            raise ValueError(f'{path}:{number}: {line.strip()[:60]!r} stands in line '
                             f'{first[line.strip()]} already; remove one of them')
    return lines


def shorten(names: Iterable[Any]) -> str:
    """Names in a row, the first few of them."""
    names = [str(name) for name in names]
    return ', '.join(names[:5]) + (f' and {len(names) - 5} more' if len(names) > 5 else '')
