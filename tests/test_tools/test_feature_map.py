"""The map of the classes of several sets."""
import json

import numpy as np
import pytest
import tiny
import torch
from feature_map import class_map, class_points, first_names, set_files
from mmengine.config import Config
from PIL import Image
from run_tool import run

from mmdd.registry import MODELS


class Colour(torch.nn.Module):
    """Red and blue of an image as its features."""

    def features(self, images):
        return images.mean((2, 3))[:, [0, 2]]


@pytest.fixture
def folder(tmp_path):
    """A set of a red and two blue images."""
    images = []
    for i, (name, colour) in enumerate((('n01698640', (255, 0, 0)), ('chain', (0, 0, 255)),
                                        ('chain', (0, 0, 255)))):
        Image.new('RGB', (4, 4), colour).save(tmp_path / f'{i}.png')
        images.append(dict(files=[f'{i}.png'], classes=[name]))
    (tmp_path / 'manifest.json').write_text(json.dumps(
        dict(classes=['n01698640', 'chain'], images=images)))
    return str(tmp_path)


def test_images_by_class(folder):
    found = set_files(folder)
    assert {name: [path.removeprefix(folder) for path in own] for name, own in found.items()} == {
        'American alligator': ['/0.png'], 'chain': ['/1.png', '/2.png']}
    assert first_names(['sea_slug', 'maraca, rattle']) == ['sea slug', 'maraca']


def test_a_panel_for_each_set_and_a_colour_for_each_class(folder):
    files = set_files(folder)
    one = {'chain': files['chain'][:1]}
    found = class_points(Colour(), dict(A=files, B=one), 4, ['chain'], num=1)
    assert {name: list(points) for name, points in found.items()} == {
        'A': ['chain'], 'B': ['chain']}
    found = class_points(Colour(), dict(A=files), 4)['A']
    # (1, 0) and twice (0, 1), each column centred and divided by its deviation
    low, high = -np.sqrt(.5), np.sqrt(2)
    assert found['American alligator'] == pytest.approx(np.array([[high, -high]]), abs=1e-5)
    assert found['chain'] == pytest.approx(np.array([[low, -low]] * 2), abs=1e-5)
    figure = class_map(dict(A=found, B=found))
    assert [axes.get_title() for axes in figure.axes] == ['A', 'B']
    assert [len(dots.get_offsets()) for dots in figure.axes[0].collections] == [1, 2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(found)


def test_the_tool(digits, tmp_path):
    """Two panels of a network that is there: real digits and three of them as a set."""
    cfg = Config(tiny.classifier_job(digits))
    cfg.dump(str(tmp_path / 'net.py'))
    proxy = MODELS.build(dict(type='ClassifierProxy', cfg=str(tmp_path / 'net.py')))
    torch.save(dict(meta={}, state_dict=proxy.model.state_dict()), tmp_path / 'net.pth')
    Image.new('RGB', (32, 32)).save(tmp_path / '0.png')
    (tmp_path / 'manifest.json').write_text(json.dumps(dict(
        classes=list('0123456789'), images=[dict(files=['0.png'], classes=['7'])])))
    picture = tmp_path / 'map.png'

    def draw(out, *more):
        return run('analysis_tools/feature_map.py', f'Mine={tmp_path}', '--network',
                   tmp_path / 'net.py', '--checkpoint', tmp_path / 'net.pth', '--size', 32,
                   '--real', '--num', 2, '--out', out, *more)

    assert draw(picture, '--classes', '7') is None
    with Image.open(picture) as image:
        assert image.width > image.height
    assert 'the name must end in one of .svg' in draw(tmp_path / 'map.xls')
    assert "Mine has no images of the class '0'" in draw(picture)


def test_a_class_that_is_not_there(folder):
    with pytest.raises(ValueError, match="A has no images of the class 'chian'.*chain"):
        class_points(Colour(), dict(A=set_files(folder)), 4, ['chian'])
