"""VOC files: what is written is what stock readers get."""
import os
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import tiny
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmdd.datasets import VOCWriter
from mmdd.datasets.formats.voc import whole_pixels
from mmdd.datasets.formats.voc_xml import voc_palette, write_voc_xml
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.io import atomic_copy, atomic_path, atomic_write_json, atomic_write_text


def sample(id=0, bboxes=((2, 3, 10, 12), ), labels=(7, ), size=(24, 32), **kwargs):
    labels, bboxes = np.array(labels, np.int64), np.array(bboxes, np.float32).reshape(-1, 4)
    slot = DistillSlot(id, 1, size, labels, bboxes)
    if 'path' not in kwargs:
        kwargs['image'] = np.full((*size, 3), 100 + id, np.uint8)
    return DistilledSample(slot, labels=labels, bboxes=bboxes, **kwargs)


def write(folder, *samples):
    writer = VOCWriter()
    files = [writer.write(s, str(folder), tiny.CLASSES) for s in samples]
    return files, writer.close(samples, str(folder), tiny.CLASSES)


def plain_boxes(path):
    """Boxes of a VOC annotation in its own 1-based pixels, without mmdd or mmdet."""
    return [[int(obj.find('bndbox').findtext(tag)) for tag in ('xmin', 'ymin', 'xmax', 'ymax')]
            for obj in ET.parse(path).getroot().findall('object')]


def test_round_trip_through_stock_mmdet(tmp_path):
    boxes = [[0, 0, 31, 23], [2.4, 3.6, 10.2, 12.49], [5.5, 5.5, 6.5, 6.5]]
    files, lists = write(tmp_path, sample(0, boxes, (0, 9, 4)), sample(41, [], ()))
    assert files == [['VOC2007/JPEGImages/000000.jpg', 'VOC2007/Annotations/000000.xml'],
                     ['VOC2007/JPEGImages/000041.jpg', 'VOC2007/Annotations/000041.xml']]
    assert lists == ['VOC2007/ImageSets/Main/train.txt', 'VOC2007/ImageSets/Main/trainval.txt']
    stock = tiny.read_stock(tmp_path)
    assert stock['000000.jpg'] == [([0, 0, 31, 23], 0), ([2, 4, 10, 12], 9), ([6, 6, 7, 7], 4)]
    assert stock['000041.jpg'] == []
    xml = tmp_path / 'VOC2007/Annotations/000000.xml'
    assert plain_boxes(xml) == [[1, 1, 32, 24], [3, 5, 11, 13], [7, 7, 8, 8]]
    size = ET.parse(xml).getroot().find('size')
    assert [size.findtext(tag) for tag in ('width', 'height', 'depth')] == ['32', '24', '3']
    assert (tmp_path / lists[0]).read_text() == '000000\n000041\n'


def test_image_is_close_to_the_sample(tmp_path):
    rng = np.random.default_rng(0)
    made = sample()
    made.image = np.repeat(np.repeat(rng.integers(0, 256, (6, 8, 3), np.uint8), 4, 0), 4, 1)
    write(tmp_path, made)
    with Image.open(tmp_path / 'VOC2007/JPEGImages/000000.jpg') as picture:
        read = np.asarray(picture).astype(int)
    assert np.abs(read - made.image).mean() < 2


def test_coreset_files_are_byte_identical(tmp_path):
    source = tmp_path / 'real.jpg'
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)).save(
        source, quality=37)
    write(tmp_path / 'out', sample(3, path=str(source)))
    copy = tmp_path / 'out/VOC2007/JPEGImages/000003.jpg'
    assert copy.read_bytes() == source.read_bytes()
    assert plain_boxes(tmp_path / 'out/VOC2007/Annotations/000003.xml') == [[3, 4, 11, 13]]


def test_a_png_of_a_coreset_becomes_a_jpeg(tmp_path):
    Image.new('RGB', (32, 24), (10, 200, 30)).save(tmp_path / 'real.png')
    write(tmp_path / 'out', sample(0, path=str(tmp_path / 'real.png')))
    with Image.open(tmp_path / 'out/VOC2007/JPEGImages/000000.jpg') as picture:
        assert picture.format == 'JPEG' and picture.size == (32, 24)


def test_writing_twice_gives_the_same_bytes(tmp_path):
    def content():
        return {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}
    write(tmp_path, sample(0), sample(1))
    first = content()
    write(tmp_path, sample(0), sample(1))
    assert content() == first and len(first) == 6


@pytest.mark.parametrize('box', [[-1, 0, 5, 5], [0, 0, 32, 5], [0, 0, 5, 24], [4, 4, 4, 9]])
def test_a_box_outside_its_image_is_refused(tmp_path, box):
    with pytest.raises(ValueError, match="a.jpg: box .* of class '7'"):
        write_voc_xml(str(tmp_path / 'a.xml'), 'a.jpg', (24, 32), [box], ['7'])
    assert not (tmp_path / 'a.xml').exists()


@settings(max_examples=200)
@example(5.5, 2.5, 1., 1.)
@given(st.floats(0, 30), st.floats(0, 22), st.floats(1, 31), st.floats(1, 23))
def test_a_box_of_a_pixel_survives_rounding(x, y, width, height):
    """What relabelling keeps, at least a pixel wide and inside, reaches the file."""
    box = np.array([[x, y, min(x + width, 31), min(y + height, 23)]], np.float32)
    if (box[0, 2:] - box[0, :2] < 1).any():
        return
    rounded, labels = whole_pixels(box, np.array([5]), (24, 32))
    assert labels.tolist() == [5]
    assert np.abs(rounded - box).max() <= .5
    assert (rounded >= 0).all() and (rounded <= [31, 23, 31, 23]).all()


def test_whole_pixels_drops_what_is_empty():
    boxes = np.array([[1, 1, 1.2, 9], [-5, -5, 3, 3], [40, 2, 50, 9]], np.float32)
    rounded, labels = whole_pixels(boxes, np.array([0, 1, 2]), (24, 32))
    assert labels.tolist() == [1] and rounded.tolist() == [[0, 0, 3, 3]]


def test_palette():
    palette = voc_palette()
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 7: (128, 128, 128),
             8: (64, 0, 0), 12: (64, 0, 128), 15: (192, 128, 128), 20: (0, 64, 128),
             255: (224, 224, 192)}
    assert {i: tuple(palette[i].tolist()) for i in known} == known
    assert len(np.unique(palette, axis=0)) == 256


def test_atomic_path_leaves_nothing_on_failure(tmp_path):
    target = tmp_path / 'new' / 'file.txt'
    with pytest.raises(RuntimeError), atomic_path(str(target)) as tmp:
        with open(tmp, 'w') as f:
            f.write('half')
        raise RuntimeError
    assert os.listdir(tmp_path / 'new') == []
    atomic_write_text(str(target), 'whole')
    with pytest.raises(TypeError):
        atomic_write_json(str(target), object())
    with pytest.raises(FileNotFoundError):
        atomic_copy(str(tmp_path / 'missing'), str(target))
    assert os.listdir(tmp_path / 'new') == ['file.txt'] and target.read_text() == 'whole'
