"""Photographs as the loaders of mmcv see them: turned as the camera says."""
from typing import Tuple

import numpy as np
from PIL import Image, ImageOps

# Number of the EXIF tag that says how a camera was held; these values swap the sides.
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)


def read_rgb(picture: Image.Image) -> Image.Image:
    """The pixels of an open image as RGB, turned upright as ``mmcv.imread`` does."""
    turned = picture.getexif().get(ORIENTATION, 1) != 1
    return (ImageOps.exif_transpose(picture) if turned else picture).convert('RGB')


def upright_size(picture: Image.Image) -> Tuple[int, int]:
    """(height, width) of an open image once it is upright; its pixels are not read."""
    width, height = picture.size
    return (width, height) if is_sideways(picture) else (height, width)


def is_sideways(picture: Image.Image) -> bool:
    """Whether turning an open image upright swaps its sides."""
    return picture.getexif().get(ORIENTATION) in SIDEWAYS


def read_array(path: str) -> np.ndarray:
    """An image file as (H, W, 3) uint8 RGB, upright."""
    with Image.open(path) as picture:
        return np.asarray(read_rgb(picture))
