"""Patches of photographs, and mosaics of them."""
import math
from typing import Optional, Sequence, Tuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmdd.utils.photograph import read_rgb


def read_resized(path: str, resize: Optional[int]) -> np.ndarray:
    """Read a photograph as RGB with a given short side, the ratio kept.

    Args:
        path: Image file.
        resize: Pixels of the short side; None keeps the size.

    Returns:
        ndarray: (H, W, 3) uint8.

    Raises:
        ValueError: If the file cannot be read as an image.
    """
    try:
        with Image.open(path) as image:
            picture = read_rgb(image)
    except (UnidentifiedImageError, OSError) as e:
        raise ValueError(f'{path}: cannot be read as an image ({e}); replace or remove it'
                         ) from None
    if resize is not None:
        factor = resize / min(picture.size)
        width, height = (max(resize, int(n * factor + 0.5)) for n in picture.size)
        picture = resized(picture, (width, height))
    return np.asarray(picture)


def crop_photograph(path: str, resize: Optional[int],
                    window: Optional[Sequence[int]]) -> np.ndarray:
    """A patch of a photograph, (H, W, 3) uint8.

    Args:
        path: Image file.
        resize: Pixels of the short side before the window is cut.
        window: xyxy in pixels of the resized photograph; None takes the whole
            photograph as it is.

    Raises:
        ValueError: If the file cannot be read as an image.
    """
    if window is None:
        return read_resized(path, None)
    x1, y1, x2, y2 = window
    return read_resized(path, resize)[y1:y2, x1:x2]


def compose(patches: Sequence[np.ndarray], size: Tuple[int, int]) -> np.ndarray:
    """One image of n x n patches, row by row (section 3.4): 2 x 2, or a single one.

    Args:
        patches: n² patches, (h, w, 3) uint8; each is resized to its cell.
        size: (height, width) of the image, multiples of n.

    Raises:
        ValueError: If the number of patches is no square or ``size`` no multiple.
    """
    side = math.isqrt(len(patches))
    height, width = size
    if side**2 != len(patches) or not patches or height % side or width % side:
        raise ValueError(f'{len(patches)} patches do not fill an image of {height}x{width} in '
                         f'equal cells')
    cell = (width // side, height // side)
    cells = [np.asarray(resized(Image.fromarray(np.ascontiguousarray(patch)), cell))
             for patch in patches]
    rows = [np.concatenate(cells[i:i + side], axis=1) for i in range(0, len(cells), side)]
    return np.concatenate(rows, axis=0)


def resized(picture: Image.Image, size: Tuple[int, int]) -> Image.Image:
    """Resize to (width, height), bilinear with antialiasing; a no-op where it fits."""
    return picture if picture.size == size else picture.resize(
        size, Image.Resampling.BILINEAR)
