"""Contact sheets of sets on disk."""
import json
import os.path as osp
import runpy
import shutil
import sys

import pytest
from PIL import Image

from mmdd.datasets.gallery import read_gallery

TOOL = osp.join(osp.dirname(__file__), '../../tools/browse.py')


def browse(monkeypatch, *argv):
    monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, argv)])
    runpy.run_path(TOOL, run_name='__main__')


def test_voc_folder(digits):
    tiles, classes = read_gallery(str(digits), 5)
    assert len(tiles) == 5
    assert all(len(tile.bboxes) == len(tile.labels) > 0 for tile in tiles)
    assert all(0 <= tile.bboxes.min() and tile.bboxes.max() < 32 for tile in tiles)
    assert set(classes) <= set('0123456789')
    assert len(read_gallery(osp.join(digits, 'VOC2007'), 3)[0]) == 3


def test_class_folders(digits):
    tiles, classes = read_gallery(osp.join(digits, 'single', 'train'), 4)
    assert len(tiles) == 4 and classes == []
    assert tiles[0].caption.split(osp.sep)[0] in '0123456789'


def distilled(digits, folder):
    """A set with a manifest that marks its second image as a reject."""
    shutil.copytree(osp.join(digits, 'VOC2007'), folder / 'VOC2007')
    names = sorted(path.name for path in (folder / 'VOC2007/JPEGImages').iterdir())[:2]
    (folder / 'manifest.json').write_text(json.dumps(dict(images=[
        dict(files=[f'VOC2007/JPEGImages/{name}'], slot=i, score=score, accepted=not i)
        for i, (name, score) in enumerate(zip(names, (0.91, None)))])))


def test_distilled_set(digits, tmp_path):
    distilled(digits, tmp_path)
    tiles, _ = read_gallery(str(tmp_path), 64)
    assert [tile.caption for tile in tiles] == ['0 0.91', '1 rejected']
    assert all(len(tile.bboxes) for tile in tiles)


def test_tool(digits, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'sheet.png'
    browse(monkeypatch, digits, '--num', 6, '--columns', 3, '--side', 64, '--out', out)
    assert '6 images' in capsys.readouterr().out
    with Image.open(out) as sheet:
        assert sheet.size == (3 * 68, 2 * 84)


def break_image(folder):
    next(iter(sorted((folder / 'VOC2007/JPEGImages').iterdir()))).write_bytes(b'no image')


def break_manifest(folder):
    (folder / 'manifest.json').write_text('{')


def break_annotation(folder):
    next(iter(sorted((folder / 'VOC2007/Annotations').iterdir()))).write_text('<annotation>')


@pytest.mark.parametrize('spoil, words', [
    (break_image, 'cannot be read as an image'), (break_manifest, 'manifest.json is damaged'),
    (break_annotation, 'cannot be read as a VOC annotation'), (shutil.rmtree, 'is no folder'),
    (lambda folder: shutil.rmtree(folder / 'VOC2007'), 'cannot be read as an image'),
])
def test_bad_input(digits, tmp_path, monkeypatch, spoil, words):
    folder = tmp_path / 'set'
    folder.mkdir()
    distilled(digits, folder)
    spoil(folder)
    with pytest.raises(SystemExit, match=words) as info:
        browse(monkeypatch, folder, '--out', tmp_path / 'sheet.png')
    assert '\n' not in info.value.code
    assert not (tmp_path / 'sheet.png').exists()


def test_empty_folder(tmp_path):
    with pytest.raises(ValueError, match='holds no images'):
        read_gallery(str(tmp_path), 4)
