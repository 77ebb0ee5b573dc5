"""Contact sheets of sets on disk."""
import json
import os.path as osp
import runpy
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from mmdd.datasets import ClassFolderWriter, COCOWriter, SegMapWriter
from mmdd.datasets.gallery import read_gallery
from mmdd.datasets.manifest import image_entry, write_manifest
from mmdd.engine.hooks.contact_sheet_hook import sample_tile
from mmdd.structures import DistilledSample, DistillSlot, MaskTarget
from mmdd.utils.picture import Tile, class_colour, draw_tile

TOOL = osp.join(osp.dirname(__file__), '../../tools/browse.py')
CLASSES = ('background', 'tench, Tinca tinca', 'dog')


def browse(monkeypatch, *argv):
    monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, argv)])
    runpy.run_path(TOOL, run_name='__main__')


def test_voc_folder(digits):
    tiles, classes = read_gallery(str(digits), 5)
    assert len(tiles) == 5
    targets = [tile.target for tile in tiles]
    assert all(len(target.bboxes) == len(target.labels) > 0 for target in targets)
    assert all(0 <= target.bboxes.min() and target.bboxes.max() < 32 for target in targets)
    assert set(classes) <= set('0123456789')
    assert all(target.mask is None for target in targets)
    assert len(read_gallery(osp.join(digits, 'VOC2007'), 3)[0]) == 3


def test_masks_of_a_voc_folder(digits):
    """Ids up to 20 in VOC layout get VOC's names: the files hold none."""
    tiles, classes = read_gallery(str(digits), 5, masks=True)
    assert classes[0] == 'background' and classes[1] == 'aeroplane'
    for tile in tiles:
        assert tile.target.bboxes is None and tile.target.mask.shape == tile.image.shape[:2]
        assert 0 < tile.target.mask.max() < len(classes)


def test_class_folders(digits):
    tiles, classes = read_gallery(osp.join(digits, 'single', 'train'), 4)
    assert len(tiles) == 4 and classes == []
    assert tiles[0].caption.split(osp.sep)[0] in '0123456789'


def test_class_folders_of_wnids(tmp_path):
    (tmp_path / 'n02088364').mkdir()
    Image.new('RGB', (4, 4)).save(tmp_path / 'n02088364/7.png')
    tiles, _ = read_gallery(str(tmp_path), 4)
    assert [tile.caption for tile in tiles] == ['beagle/7.png']


def test_img_dir(tmp_path):
    for kind, suffix in (('img_dir', 'jpg'), ('ann_dir', 'png')):
        (tmp_path / kind / 'train').mkdir(parents=True)
        Image.fromarray(np.full((4, 6), 5, np.uint8)).save(tmp_path / f'{kind}/train/a.{suffix}')
    (tile, ), classes = read_gallery(str(tmp_path), 4)
    assert (tile.target.mask == 5).all() and classes == list('012345')


def samples():
    mask = np.zeros((20, 30), np.uint8)
    mask[5:10, 5:10], mask[12:, 20:], mask[0] = 1, 2, 255
    for i in range(3):
        labels, bboxes = np.array([1]), np.array([[2.5, 3, 12, 14]], np.float32)
        yield DistilledSample(
            DistillSlot(i, 1, (20, 30), labels, bboxes, mask=mask),
            image=np.full((20, 30, 3), 60 * i, np.uint8), labels=labels, bboxes=bboxes, mask=mask,
            score=None if i else .876, accepted=i != 2)


def written(folder, writer):
    """A distilled set in the work dir ``folder``."""
    out = str(folder / 'distilled')
    made = list(samples())
    entries = [image_entry(s, writer.write(s, out, CLASSES), CLASSES, 1) for s in made]
    write_manifest(out, entries, writer.close(made, out, CLASSES), classes=list(CLASSES))
    return made


@pytest.mark.parametrize('writer, captions', [
    (COCOWriter(), ['#0  0.88', '#1', '#2  rejected']),
    (SegMapWriter(), ['#0  0.88', '#1', '#2  rejected']),
    (ClassFolderWriter(), ['#0  tench  0.88', '#1  tench', '#2  tench  rejected'])])
def test_distilled_sets_of_every_layout(tmp_path, writer, captions):
    made = written(tmp_path, writer)
    tiles, classes = read_gallery(str(tmp_path), 9)
    assert classes == list(CLASSES)
    assert [tile.caption for tile in tiles] == captions
    for tile, sample in zip(tiles, made):
        assert np.abs(tile.image.astype(int) - sample.image).max() <= 3
        if isinstance(writer, COCOWriter):
            assert tile.target.bboxes.tolist() == sample.bboxes.tolist()
            assert tile.target.labels.tolist() == [1]
        elif isinstance(writer, SegMapWriter):
            assert (tile.target.mask == sample.mask).all()


def test_coco_folder_without_a_manifest(tmp_path):
    written(tmp_path, COCOWriter())
    (tmp_path / 'distilled/manifest.json').unlink()
    tiles, classes = read_gallery(str(tmp_path), 2)
    assert [tile.caption for tile in tiles] == ['000000.jpg', '000002.jpg']
    assert classes == ['tench, Tinca tinca'] and tiles[0].target.labels.tolist() == [0]


def test_images_of_a_running_job_are_left_out(tmp_path):
    written(tmp_path, ClassFolderWriter())
    (tmp_path / 'distilled/manifest.json').unlink()
    attempts = tmp_path / 'distilled/_job/attempts'
    attempts.mkdir(parents=True)
    Image.new('RGB', (4, 4)).save(attempts / '000000_r0.png')
    assert len(read_gallery(str(tmp_path), 9)[0]) == 3


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
    assert [tile.caption for tile in tiles] == ['#0  0.91', '#1  rejected']
    assert all(len(tile.target.bboxes) for tile in tiles)


def test_tool(digits, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'sheet.png'
    for options in ([], ['--masks']):
        browse(monkeypatch, digits, '--num', 6, '--columns', 3, '--side', 64, '--out', out,
               *options)
        assert '6 images' in capsys.readouterr().out
        with Image.open(out) as sheet:
            assert sheet.size == (3 * 68, 2 * 84)


# Bad input


def first(folder, name):
    return min((folder / f'VOC2007/{name}').iterdir())


def break_image(folder):
    first(folder, 'JPEGImages').write_bytes(b'no image')


def break_manifest(folder):
    (folder / 'manifest.json').write_text('{')


def break_annotation(folder):
    first(folder, 'Annotations').write_text('<annotation>')


def break_mask(folder):
    shutil.rmtree(folder / 'VOC2007/Annotations')
    first(folder, 'SegmentationClass').write_bytes(b'no mask')


def colour_mask(folder):
    shutil.rmtree(folder / 'VOC2007/Annotations')
    Image.new('RGB', (32, 32)).save(first(folder, 'SegmentationClass'))


def break_coco(folder):
    (folder / 'manifest.json').unlink()
    (folder / 'annotations').mkdir()
    (folder / 'annotations/instances_train.json').write_text('{"images": []}')


@pytest.mark.parametrize('spoil, words', [
    (break_image, 'cannot be read as an image'), (break_manifest, 'manifest.json is damaged'),
    (break_annotation, 'cannot be read as a VOC annotation'), (shutil.rmtree, 'is no folder'),
    (lambda folder: shutil.rmtree(folder / 'VOC2007'), 'cannot be read as an image'),
    (break_mask, 'cannot be read as a mask'), (colour_mask, 'a mask has one channel'),
    (break_coco, 'cannot be read as COCO annotations'),
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


# Drawing


def test_overlay_and_outline():
    """The kept mask is 45 % of its colour, the asked one an outline; the rest stays."""
    mask = np.zeros((64, 64), np.uint8)
    mask[32:, :] = 2
    mask[60:, 60:] = 255
    asked = np.zeros((64, 64), np.uint8)
    asked[4:20, 4:20] = 1
    tile = Tile(np.full((64, 64, 3), 100, np.uint8), MaskTarget(np.array([2]), mask),
                MaskTarget(np.array([1]), asked))
    drawn = draw_tile(tile, CLASSES, 64).astype(int)
    expected = [round(.55 * 100 + .45 * c) for c in class_colour(2)]
    assert np.abs(drawn[34, 2] - expected).max() <= 1
    assert drawn[62, 62].tolist() == [100] * 3 and drawn[25, 30].tolist() == [100] * 3
    assert drawn[4, 10].tolist() == [255] * 3 and drawn[10, 10].tolist() == [100] * 3


def test_colours_differ():
    colours = {class_colour(i) for i in range(100)}
    assert len(colours) == 100 and all(0 <= c <= 255 for rgb in colours for c in rgb)


@pytest.mark.parametrize('field', [None, 'bboxes', 'mask'])
def test_tile_of_a_sample(field):
    """A class without box or mask stands in the caption."""
    sample, _, reject = samples()
    for name in {'bboxes', 'mask'} - {field}:
        for s in (sample, sample.slot, reject, reject.slot):
            setattr(s, name, None)
    tile = sample_tile(sample, CLASSES)
    group = '' if field else 'tench  '
    assert tile.caption == f'#0  {group}0.88'
    assert sample_tile(reject, CLASSES).caption == f'#2  {group}rejected'
    assert (tile.target.mask is None) == (field != 'mask') == (tile.asked.mask is None)
    assert draw_tile(tile, CLASSES, 48).shape == (64, 48, 3)
