"""Photographs of a turned camera: what mmcv sees is what features, sizes and copies say."""
import mmcv
import numpy as np
import pytest
from PIL import Image

from mmdd.datasets.annotations import load_image
from mmdd.datasets.file_checks import image_problem
from mmdd.datasets.formats.base import image_size, write_jpeg
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.photograph import ORIENTATION, read_array, upright_size


@pytest.fixture(params=range(1, 9))
def photograph(request, tmp_path):
    """A file of 12 x 20 pixels, no two corners alike, held in one of the eight ways."""
    pixels = np.zeros((12, 20, 3), np.uint8)
    pixels[:6, :10], pixels[:6, 10:], pixels[6:, :10] = 250, 170, 90
    exif = Image.Exif()
    exif[ORIENTATION] = request.param
    path = str(tmp_path / 'a.jpg')
    Image.fromarray(pixels).save(path, exif=exif, quality=95)
    return path, request.param


def test_pixels_are_those_of_mmcv(photograph):
    path, orientation = photograph
    seen = mmcv.imread(path, channel_order='rgb')
    assert seen.shape[:2] == ((20, 12) if orientation > 4 else (12, 20))
    assert np.abs(read_array(path).astype(int) - seen).max() <= 3
    assert np.abs(load_image(path, seen.shape[:2]).astype(int) - seen).max() <= 3
    with Image.open(path) as picture:
        assert upright_size(picture) == seen.shape[:2]


def test_annotations_are_of_the_upright_image(photograph):
    path, orientation = photograph
    size = (20, 12) if orientation > 4 else (12, 20)
    assert image_problem(path, size) == ''
    message = image_problem(path, size[::-1])
    assert f'the image is {size[1]}x{size[0]}' in message
    assert ('once it is turned as its EXIF says' in message) == (orientation > 4)


def test_copies_stay_what_they_were(photograph, tmp_path):
    path, _ = photograph
    seen = mmcv.imread(path)
    slot = DistillSlot(0, 0, (12, 20), np.zeros(1, np.int64))
    assert write_jpeg(DistilledSample(slot, path=path),
                      str(tmp_path / 'copy.jpg')) == seen.shape[:2]
    assert np.array_equal(mmcv.imread(str(tmp_path / 'copy.jpg')), seen)
    assert image_size(str(tmp_path / 'copy.jpg')) == seen.shape[:2]
    # Converted, the pixels are turned and the tag is gone.
    with Image.open(path) as picture:
        picture.save(str(tmp_path / 'a.webp'), exif=picture.getexif(), lossless=True)
    write_jpeg(DistilledSample(slot, path=str(tmp_path / 'a.webp')),
               str(tmp_path / 'new.jpg'))
    with Image.open(tmp_path / 'new.jpg') as picture:
        assert not picture.getexif().get(ORIENTATION) and picture.size == seen.shape[1::-1]
    assert np.abs(mmcv.imread(str(tmp_path / 'new.jpg')).astype(int) - seen).max() < 12
