"""Damaged files of real sets and of distilled sets, and what the message must name."""
import json
import os
import re
import struct
import zlib

import test_bad_input_sets as sets


def first(root, folder, suffix):
    """A file of a VOC set that its training list names first."""
    name = (root / 'VOC2007/ImageSets/Main/train.txt').read_text().split()[0]
    return root / 'VOC2007' / folder / f'{name}{suffix}'


def bomb(path):
    """A PNG that claims 60,000 x 60,000 pixels."""
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack(
            '>I', zlib.crc32(kind + data))
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(
        b'IHDR', struct.pack('>IIBBBBB', 60000, 60000, 8, 2, 0, 0, 0)) + chunk(
            b'IDAT', zlib.compress(b'\0' * 99)) + chunk(b'IEND', b''))


def link(path):
    path.unlink()
    path.symlink_to('gone.jpg')


def rewrite(path, pattern, text):
    content, count = re.subn(pattern, text, path.read_text(), count=1)
    assert count
    path.write_text(content)


def xml(pattern, text):
    return lambda root: rewrite(first(root, 'Annotations', '.xml'), pattern, text)


def image(change):
    return lambda root: change(first(root, 'JPEGImages', '.jpg'))


def listed(change):
    return lambda root: change(root / 'VOC2007/ImageSets/Main/train.txt')


def repeat(path):
    lines = path.read_text().split()
    path.write_text('\n'.join([*lines, lines[0]]) + '\n')


def half(path):
    path.write_bytes(path.read_bytes()[:len(path.read_bytes()) // 2])


VOC = [
    (xml(r'<xmin>\d+', '<xmin>nan'), '.xml'), (xml(r'<xmin>\d+', '<xmin>inf'), '.xml'),
    (xml(r'<xmin>\d+', '<xmin>left'), '.xml'), (xml(r'<xmin>\d+</xmin>', ''), '.xml'),
    (xml(r'<width>\d+', '<width>wide'), 'size/width'),
    (xml(r'<width>\d+', '<width>nan'), 'size/width'),
    (xml(r'<height>\d+</height>', ''), 'size/height'),
    (xml(r'<width>\d+', '<width>7'), '.xml'), (xml(r'<xmax>\d+', '<xmax>1'), '.xml'),
    (xml('<annotation>', '<?xml version="1.0" encoding="klingon"?><annotation>'), '.xml'),
    (lambda root: half(first(root, 'Annotations', '.xml')), '.xml'),
    (lambda root: first(root, 'Annotations', '.xml').write_bytes(b'\xff\xfe\0<'), '.xml'),
    (lambda root: link(first(root, 'Annotations', '.xml')), 'gone.jpg'),
    (image(lambda path: path.write_bytes(b'')), '.jpg'), (image(half), '.jpg'),
    (image(bomb), '.jpg'), (image(link), 'gone.jpg'), (image(os.unlink), '.jpg'),
    (image(lambda path: path.write_text('no picture')), '.jpg'),
    (listed(repeat), 'train.txt:13'), (listed(os.unlink), 'train.txt'),
    (listed(lambda path: path.write_bytes(b'\xff\xfe\0a\n')), 'train.txt'),
    (listed(lambda path: path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())), 'train.txt:1'),
    (listed(lambda path: path.write_text('../../x\n')), 'x.xml'),
    (listed(lambda path: (path.unlink(), path.mkdir())), 'train.txt'),
]


def coco(change):
    def spoil(job):
        path = job.root / 'a.json'
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
    return spoil


def raw_coco(content):
    return lambda job: (job.root / 'a.json').write_bytes(content)


COCO = [
    (coco(lambda c: c['annotations'][1].update(bbox=[1, 2, float('nan'), 4])), 'annotation 2'),
    (coco(lambda c: c['annotations'][1].update(bbox=[1, 2, float('inf'), 4])), 'annotation 2'),
    (coco(lambda c: c['annotations'][1].update(bbox=[1, 2, -3, 4])), 'annotation 2'),
    (coco(lambda c: c['annotations'][1].update(bbox=['1', 2, 3, 4])), 'annotation 2'),
    (coco(lambda c: c['annotations'][1].update(bbox=5)), 'a.json'),
    (coco(lambda c: c['annotations'][1].update(area=float('nan'))), 'annotation 2'),
    (coco(lambda c: c['images'][0].update(width=float('nan'))), 'a.json'),
    (coco(lambda c: c['images'][0].update(width='wide')), 'a.json'),
    (coco(lambda c: c['images'][0].update(height=0)), 'image 0'),
    (coco(lambda c: c.update(images=5)), 'a.json'),
    (raw_coco(b''), 'a.json'), (raw_coco(b'[]'), 'a.json'), (raw_coco(b'\xff\xfe{'), 'a.json'),
    (raw_coco(b'\xef\xbb\xbf{}'), 'a.json'),
    (lambda job: (job.root / 'train2017/1.jpg').write_bytes(b''), '1.jpg'),
    (lambda job: bomb(job.root / 'train2017/1.jpg'), '1.jpg'),
]
FOLDERS = [
    (lambda job: (job.root / 'train/cat/0.png').write_bytes(b''), '0.png'),
    (lambda job: half(job.root / 'train/cat/0.png'), '0.png'),
    (lambda job: bomb(job.root / 'train/cat/0.png'), '0.png'),
    (lambda job: link(job.root / 'train/cat/0.png'), '0.png'),
    (lambda job: sets.label_list(job, 'cat/0.png 1\ncat/0.png 1\n'), 'list.txt:2'),
    (lambda job: sets.label_list(job, 'cat/0.png one\n'), 'list.txt:1'),
    (lambda job: sets.label_list(job, '\ufeffcat/0.png 1\n'), 'list.txt:1'),
]
MASKS = [
    (lambda job: (job.root / 'SegmentationClass/1.png').write_bytes(b''), '1.png'),
    (lambda job: bomb(job.root / 'SegmentationClass/1.png'), '1.png'),
    (lambda job: link(job.root / 'SegmentationClass/1.png'), '1.png'),
    (lambda job: half(job.root / 'SegmentationClass/1.png'), '1.png'),
    (lambda job: (job.root / 'ImageSets/Segmentation/train.txt').write_text('0\n1\n0\n'),
     'train.txt:3'),
    (lambda job: (job.root / 'ImageSets/Segmentation/train.txt').write_bytes(b'\xff\n'),
     'train.txt'),
]
# Distilled sets that students are to be trained on: the folder of the VOC set is given.
DISTILLED = [
    (lambda root: (root / 'VOC2007/JPEGImages/x1.jpg').write_bytes(b''), 'x1.jpg'),
    (lambda root: half(root / 'VOC2007/JPEGImages/x1.jpg'), 'x1.jpg'),
    (lambda root: bomb(root / 'VOC2007/JPEGImages/x1.jpg'), 'x1.jpg'),
    (lambda root: link(root / 'VOC2007/JPEGImages/x1.jpg'), 'x1.jpg'),
    (lambda root: rewrite(root / 'VOC2007/Annotations/x1.xml', r'<xmin>\d+', '<xmin>nan'),
     'x1.xml'),
    (lambda root: half(root / 'VOC2007/Annotations/x1.xml'), 'x1.xml'),
    (lambda root: (root / 'VOC2007/Annotations/x1.xml').unlink(), 'x1.xml'),
    (lambda root: (root / 'VOC2007/ImageSets/Main/train.txt').write_bytes(b'\xff\xfe'),
     'train.txt'),
    (lambda root: (root / 'VOC2007/ImageSets/Main/train.txt').write_text('x1\nx1\n'),
     'train.txt:2'),
    (lambda root: (root / 'VOC2007/ImageSets/Main/train.txt').write_text(''), 'train.txt'),
    (lambda root: (root / 'manifest.json').write_text('{'), 'manifest.json'),
    (lambda root: (root / 'manifest.json').write_text('[1]'), 'manifest.json'),
    (lambda root: (root / 'manifest.json').write_bytes(b'\xff\xfe{}'), 'manifest.json'),
]
# Prompt files: what is written at the path.
PROMPTS = [
    lambda path: path.mkdir(), lambda path: path.write_bytes(b'\x89PNG\r\n\xff\0'),
    lambda path: path.write_text('a photo\n'), lambda path: path.write_text('{"image": 1}\n'),
    lambda path: path.write_text('[1, 2]\n'),
]
