"""The page of a set, as text and in a browser."""
import json
import os
import re
from urllib.parse import unquote

import browser
import numpy as np
import pytest
from export_sets import SEED, class_samples, samples, write_set
from PIL import Image

from mmdd.datasets import ClassFolderWriter, COCOWriter, SegMapWriter
from mmdd.datasets.export import export_set
from mmdd.datasets.export.neighbours import Neighbour
from mmdd.datasets.export.viewer import mask_outlines

SCRIPT = '''
const tiles = () => [...document.querySelectorAll('figcaption > p:first-child')].map(
  node => node.textContent.split(' ')[0]);
const set = (id, value) => {
  document.getElementById(id).value = value;
  document.getElementById(id).dispatchEvent(new Event('input'));
  const found = tiles();
  document.getElementById(id).value = '';
  return found;
};
await Promise.all([...document.images].map(image => image.decode().catch(() => 0)));
const sizes = [...document.images].map(image => [image.naturalWidth, image.naturalHeight]);
return {
  all: tiles(), sizes, shapes: document.querySelectorAll('figure rect, figure path').length,
  names: [...document.querySelectorAll('.names span')].map(node => node.textContent),
  class: set('class', '1'), fate: set('fate', 'false'), low: set('low', '0.5'),
  text: set('text', 'PHOTO real_1'), bold: document.querySelectorAll('b').length,
};
'''


NEAR = '''
await Promise.all([...document.images].map(image => image.decode().catch(() => 0)));
const all = (from, what) => [...from.querySelectorAll(what)];
const rows = all(document, '.near').map(row => all(row, 'img').map(
  image => [image.title, image.naturalWidth, image.naturalHeight]));
const told = all(document, '.near p:first-child').map(line => line.textContent);
const order = value => {
  document.getElementById('order').value = value;
  document.getElementById('order').dispatchEvent(new Event('input'));
  return all(document, 'figcaption > p:first-child').map(
    node => node.textContent.split(' ')[0]);
};
const found = {rows, told, near: order('near'), far: order('far')};
document.getElementById('real').click();
return {...found, left: all(document, '.near').filter(
  row => getComputedStyle(row).display !== 'none').length};
'''


def page_of(tmp_path, writer, made, neighbours=None):
    folder = write_set(tmp_path / 'set', writer, made)
    export_set(folder, str(tmp_path / 'out'), 'viewer', neighbours=neighbours)
    return (tmp_path / 'out/index.html').read_text()


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])


def test_boxes(tmp_path):
    data = data_of(page_of(tmp_path, COCOWriter(), samples()))
    first, empty, rejected = data['images']
    assert first['boxes'] == [[2.5, 3.0, 9.5, 11.25, 1], [1.0, 2.0, 28.0, 17.0, 2]]
    assert first['size'] == [20, 30] and first['classes'] == [1, 2] and empty['boxes'] == []
    assert (first['score'], empty['score'], rejected['accepted']) == (0.875, None, False)
    # JavaScript's numbers end at 2**53
    assert first['seed'] == str(SEED) and first['sources'] == ['real_0']
    for image in data['images']:
        copied = (tmp_path / 'out/images' / unquote(image['file'])).read_bytes()
        assert copied == (tmp_path / 'set' / image['file']).read_bytes()


def test_classes_and_masks(tmp_path):
    classes = data_of(page_of(tmp_path / 'a', ClassFolderWriter(), class_samples()))
    assert [image['classes'] for image in classes['images']] == [[2], [1], [1]]
    for reduced in (False, True):
        writer = SegMapWriter()
        writer.reduce_zero_label = reduced
        masks = data_of(page_of(tmp_path / str(reduced), writer, samples()))
        assert masks['images'][0]['classes'] == [1, 2]
        assert masks['images'][0]['outlines'][0] == [1, 'M5.5 5.5L5.5 9.5L9.5 9.5L9.5 5.5Z']


def test_outline_of_the_whole_mask():
    assert mask_outlines(np.full((4, 6), 1, np.uint8), ('a', 'b')) == [
        [1, 'M0.5 0.5L0.5 3.5L5.5 3.5L5.5 0.5Z']]
    assert mask_outlines(np.zeros((4, 6), np.uint8), ('background', 'b')) == []


def test_everything_is_escaped_and_nothing_is_outside(tmp_path):
    page = page_of(tmp_path, COCOWriter(), samples())
    assert '<b>' not in page and '&lt;b&gt;x' in page
    assert data_of(page)['classes'][1] == '<b>x'
    assert "default-src 'none'" in page
    # the name space of SVG is no address that is fetched
    assert re.findall(r'https?://[^\s\'"]+', page) == ['http://www.w3.org/2000/svg']
    assert 'innerHTML' not in page


@pytest.mark.parametrize('writer, shapes', [(COCOWriter(), 4), (SegMapWriter(), 6)])
def test_page_in_a_browser(tmp_path, writer, shapes):
    page = page_of(tmp_path, writer, samples())
    told = browser.ask(page, SCRIPT, tmp_path / 'out')
    assert told['problems'] == []
    answer = told['answer']
    assert answer['all'] == ['#0', '#1', '#2'] and answer['sizes'] == [[30, 20]] * 3
    assert answer['shapes'] == shapes and '<b>x' in answer['names'] and answer['bold'] == 0
    assert answer['class'] == (['#0', '#2'] if shapes == 4 else ['#0', '#1', '#2'])
    assert answer['fate'] == ['#2'] and answer['low'] == ['#0'] and answer['text'] == ['#1']


@pytest.fixture
def near(tmp_path):
    """Gives two real images, of 40x60 and of 300x200 pixels, to the first two of a set."""
    paths = [str(tmp_path / name) for name in ('a.png', 'b.png')]
    for path, size in zip(paths, ((60, 40), (200, 300))):
        Image.new('RGB', size, 'red').save(path)
    first, second = (Neighbour(path, name, gap) for path, name, gap in zip(
        paths, ('real/<b>a', 'real/b'), (0.5, 1.23456)))
    return lambda content: {content.images[0].file: [first, second],
                            content.images[1].file: [second]}


def test_neighbours(tmp_path, near):
    page = page_of(tmp_path, COCOWriter(), samples(), near)
    views = [image['near'] for image in data_of(page)['images']]
    assert views == [
        [['neighbours/00000.jpg', 'real/<b>a', 0.5], ['neighbours/00001.jpg', 'real/b', 1.2346]],
        [['neighbours/00001.jpg', 'real/b', 1.2346]], []]
    sizes = [Image.open(tmp_path / 'out/neighbours' / name).size
             for name in sorted(os.listdir(tmp_path / 'out/neighbours'))]
    assert sizes == [(60, 40), (64, 96)], 'each real image once, and small'
    assert 'id="real"' in page
    assert 'id="real"' not in page_of(tmp_path / 'without', COCOWriter(), samples())


def test_neighbours_belong_on_a_page(tmp_path, near):
    folder = write_set(tmp_path / 'set', COCOWriter(), samples())
    with pytest.raises(ValueError, match="shown on a page; an export to 'hub' has none"):
        export_set(folder, str(tmp_path / 'out'), 'hub', neighbours=near)


def test_neighbours_in_a_browser(tmp_path, near):
    page = page_of(tmp_path, COCOWriter(), samples(), near)
    told = browser.ask(page, NEAR, tmp_path / 'out')
    assert told['problems'] == []
    answer = told['answer']
    assert answer['rows'] == [
        [['real/<b>a, distance 0.5', 60, 40], ['real/b, distance 1.2346', 64, 96]],
        [['real/b, distance 1.2346', 64, 96]]]
    assert answer['told'] == ['nearest real images: 0.5 to 1.23',
                              'nearest real images: 1.23']
    assert answer['near'] == ['#0', '#1', '#2'] and answer['far'] == ['#1', '#0', '#2']
    assert answer['left'] == 0
