"""OD3: what is placed where, what the observer takes off, and the set that comes out."""
import hashlib
import os.path as osp
import shutil

import cv2
import numpy as np
import pytest
import tiny
import torch
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from PIL import Image
from project_files import ROOT, load_module

from mmdd.apis import distill
from mmdd.engine.distill_job import read_job
from mmdd.engine.parts import parts_of
from mmdd.registry import MODELS, TASK_UTILS
from mmdd.structures import RealAnnotation, Total
from mmdd.utils.components import check_part
from mmdd.utils.config import load_config

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


class RedDetector(torch.nn.Module):
    """Sees what is red, with a confidence of ``score``."""

    def __init__(self, score=0.9):
        super().__init__()
        self.score = torch.nn.Parameter(torch.tensor(score))
        self.looks = 0

    def predict(self, images):
        self.looks += 1
        image = (images[0].permute(1, 2, 0) * 255).byte().numpy()
        red = (image[..., 0] > 200) & (image[..., 1:].max(2) < 60)
        found = cv2.connectedComponentsWithStats(red.astype(np.uint8))[2][1:, :4]
        boxes = torch.from_numpy(found).float().reshape(-1, 4)
        return [InstanceData(bboxes=torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1),
                             scores=self.score.detach().expand(len(boxes)),
                             labels=torch.zeros(len(boxes), dtype=torch.long))]


@pytest.fixture(scope='module')
def module():
    return load_module('od3')


@pytest.fixture
def real(tmp_path):
    """A function that writes a black image with rectangles (x1, y1, x2, y2, colour, class)."""
    def write(name, *objects):
        pixels = np.zeros((64, 64, 3), np.uint8)
        for x1, y1, x2, y2, colour, _ in objects:
            pixels[y1:y2, x1:x2] = colour
        path = str(tmp_path / f'{name}.png')
        Image.fromarray(pixels).save(path)
        return RealAnnotation(name, path, (64, 64),
                              np.array([own[5] for own in objects], np.int64),
                              np.array([own[:4] for own in objects], np.float32))
    return write


def distiller(module, images, observer=RedDetector, **settings):
    """An OD3 for 64-pixel canvases that has read ``images``."""
    made = MODELS.build(dict(type='OD3', proxy=dict(type=observer), image_size=64, min_box=4,
                             **settings))
    made.annotations, made.classes = list(images), ('a', 'b', 'c')
    return made


def one(od3):
    """The sample of a set of one image."""
    sample, = od3.distill_step(od3.plan(Total(1)), None)
    return sample


def many(real, number, colours=(RED, BLUE), side=16):
    """Images of two objects each, whose class is that of their colour."""
    return [real(f'{i:03}', (4, 8, 4 + side, 8 + side, colours[i % len(colours)],
                             i % len(colours)),
                 (36, 30, 36 + side, 30 + side, colours[i % len(colours)], i % len(colours)))
            for i in range(number)]


def shares(bboxes):
    """What share of each box lies on the boxes before it, counted in pixels."""
    taken, found = np.zeros((64, 64), bool), []
    for x1, y1, x2, y2 in bboxes.astype(int):
        found.append(taken[y1:y2, x1:x2].mean())
        taken[y1:y2, x1:x2] = True
    return np.array(found)


@pytest.mark.parametrize('overlap', [0., .3, .6])
def test_no_object_lies_on_others_by_more_than_the_limit(module, real, overlap):
    sample = one(distiller(module, many(real, 40), screenings=0, overlap=overlap, context=0.))
    found = shares(sample.bboxes)
    assert found.max() <= overlap and (sample.bboxes % 1 == 0).all()
    assert overlap == 0 or found.max() > overlap / 2
    assert sample.stats['offered'] == 80 > sample.stats['placed'] == len(sample.bboxes)
    assert sample.stats['content'] == np.mean(covered(sample.bboxes))


def covered(bboxes):
    taken = np.zeros((64, 64), bool)
    for x1, y1, x2, y2 in bboxes.astype(int):
        taken[y1:y2, x1:x2] = True
    return taken


def test_a_free_place_is_found_with_more_tries(module, real):
    images = many(real, 40)
    placed = [one(distiller(module, images, screenings=0, overlap=0., tries=tries))
              for tries in (1, 200)]
    assert len(placed[0].bboxes) < len(placed[1].bboxes)


def test_balanced_classes_take_turns(module, real):
    images = [real(f'a{i}', (4, 4, 20, 20, RED, 0), (30, 30, 46, 46, RED, 0)) for i in range(12)]
    images += [real('b', *[(4 + 20 * i, 4, 20 + 20 * i, 20, RED, 1) for i in range(3)]),
               real('c', *[(4 + 20 * i, 4, 20 + 20 * i, 20, RED, 2) for i in range(3)])]
    order = {balance: [label for *_, label in distiller(
        module, images, balance=balance).objects(images, np.random.default_rng(0))]
        for balance in (True, False)}
    # Three of each class, each class once in three; then what is left.
    assert [sorted(order[True][i:i + 3]) for i in (0, 3, 6)] == [[0, 1, 2]] * 3
    assert set(order[True][9:]) == {0} and sorted(order[True]) == sorted(order[False])
    assert order[False][:9].count(0) > 3
    sample = one(distiller(module, images, balance=True, screenings=0, overlap=0.))
    counts = np.bincount(sample.labels, minlength=3)
    assert counts[1] == counts[2] == 3 and counts[0] < 24


def test_what_the_observer_does_not_see_is_taken_off(module, real):
    od3 = distiller(module, many(real, 20, side=8), overlap=0., context=0., content=0.)
    sample = one(od3)
    assert od3.proxy.looks == 10 and sample.stats['removed'] > 5
    assert set(sample.labels.tolist()) == {0} and len(sample.labels) >= 5
    assert sample.stats['placed'] + sample.stats['removed'] <= sample.stats['offered'] == 40
    assert not ((sample.image[..., 2] > 60) & (sample.image[..., 0] < 60)).any()  # nothing blue
    assert np.array_equal(sample.image[..., 0] > 127, covered(sample.bboxes))
    assert {0, 1} == set(one(distiller(module, many(real, 20, side=8), screenings=0)).labels)


@pytest.mark.parametrize('settings, seen', [
    (dict(confidence=.9), True), (dict(confidence=.91), False), (dict(iou=.99), True),
    (dict(iou=1.), False)])
def test_seen_is_by_confidence_and_overlap(module, real, settings, seen):
    # float32 of 0.9 is a little less than the double.
    observer = lambda: RedDetector(.9 + 1e-6)  # noqa: E731
    od3 = distiller(module, [real('a', (4, 4, 20, 20, RED, 0), (30, 30, 46, 46, RED, 1))],
                    observer, context=0., content=0., overlap=0., screenings=1, **settings)
    sample = one(od3)
    # The last one stays: the canvas would be empty.
    assert len(sample.labels) == (2 if seen else 1)


def test_the_content_of_a_canvas_stays(module, real):
    blue = many(real, 40, (BLUE, ))
    sample = one(distiller(module, blue, content=0.3, context=0., overlap=0.))
    # Every object is unseen; without the next one, no more than 0.3 would be covered.
    assert .3 < sample.stats['content'] <= .3 + 16 * 16 / 64**2
    assert sample.stats['removed'] > 0


def test_later_objects_prefer_places_that_became_free(module):
    scene_of = load_module('od3').Scene
    black, centre, found = np.zeros((64, 64, 3), np.uint8), np.array([12., 50.]), {}
    for freed in (False, True):
        places = []
        for seed in range(100):
            scene = scene_of(black, np.random.default_rng(seed), max_object=1., context=0.,
                             outline=False, overlap=0., tries=1, min_box=1)
            scene.freed = [centre] * freed
            scene.offer(lambda: black, np.array([0., 0., 8., 8.]), 0)
            places.append(np.abs(scene.boxes[0, :2] + 4 - centre).mean())
        found[freed] = np.mean(places)
    # The mean of a share from 0 to 1 of the way.
    assert found[True] == pytest.approx(found[False] / 2, rel=.15)


@pytest.mark.parametrize('settings, side', [
    (dict(context=0.1, max_object=1.), (20, 16)),  # as large as it was
    (dict(context=0., max_object=0.25), (16, 13))])  # shrunk to a quarter of 64 pixels
def test_boxes_are_the_extents_of_the_objects(module, real, settings, side):
    sample = one(distiller(module, [real('a', (10, 24, 30, 40, WHITE, 1))], **settings))
    count, _, stats, _ = cv2.connectedComponentsWithStats(
        (sample.image.min(2) > 127).astype(np.uint8))
    x, y, width, height, _ = stats[1].tolist()
    assert count == 2 and (width, height) == side
    assert sample.bboxes.round().astype(int).tolist() == [[x, y, x + width, y + height]]


def test_surroundings_come_with_an_object_the_more_the_smaller_it_is(module):
    scene = load_module('od3').Scene(np.zeros((64, 64, 3), np.uint8), None, max_object=1.,
                                     context=0.1, outline=False, overlap=0., tries=1, min_box=1)
    rims = []
    for side in (8, 32):
        *_, size, inside = scene.frame(np.array([16., 16., 16 + side, 16 + side]))
        rims.append(inside[0])
        assert (size == side + 2 * inside[0]).all() and inside[2] == inside[0] + side
    # 6.4 pixels times what the object leaves of the canvas, up to whole pixels.
    assert rims == [np.ceil(6.4 * (1 - 1 / 64)), np.ceil(6.4 * (1 - 1 / 4))]


@pytest.mark.parametrize('outline', [False, True])
def test_objects_are_cut_out_as_rectangles_or_along_their_outline(module, outline):
    image = np.full((64, 64, 3), 90, np.uint8)
    cv2.circle(image, (32, 32), 11, WHITE, -1)
    scene = module.Scene(np.zeros((64, 64, 3), np.uint8), np.random.default_rng(0),
                         max_object=1., context=0., outline=outline, overlap=0., tries=1,
                         min_box=1)
    scene.offer(lambda: image, np.array([21., 21., 44., 44.]), 0)
    x1, y1, x2, y2 = scene.boxes[0].astype(int)
    corners = scene.picture[y1:y2, x1:x2][[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == (0 if outline else 90)).all()
    assert (scene.picture[y1 + 11, x1 + 2:x2 - 2] > 230).all()


def test_every_real_image_serves_one_slot(module, real):
    od3 = distiller(module, many(real, 11))
    slots = od3.plan(Total(3))
    names = [name for slot in slots for name in slot.sources]
    assert [len(slot.sources) for slot in slots] == [3, 3, 3] and len(set(names)) == 9
    od3.annotations.reverse()  # the order in which the real set is read does not matter
    assert [slot.sources for slot in od3.plan(Total(3))] == [slot.sources for slot in slots]


def test_an_image_depends_on_its_slot_alone(module, real):
    od3 = distiller(module, many(real, 30))
    slots = od3.plan(Total(3))
    together, alone = od3.distill_step(slots, None), [
        od3.distill_step([slot], None)[0] for slot in reversed(slots)][::-1]
    for first, second in zip(together, alone):
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.bboxes, second.bboxes)
    again = od3.distill_step([slots[0].retry(od3.seed, 1)], None)[0]
    assert not np.array_equal(again.image, together[0].image)


def test_what_does_not_fit_is_refused(module, real):
    with pytest.raises(ValueError, match='OD3 needs a detector'):
        module.OD3.check_config(dict(type='OD3', proxy=dict(type='ClassifierProxy', cfg={})))
    with pytest.raises(ValueError, match='OD3 composes boxes, and a.png has none'):
        module.ImageShares().check(RealAnnotation('a', 'a.png', (0, 0), np.zeros(1, np.int64)))
    with pytest.raises(ValueError, match='model.overlap'):
        check_part('model', MODELS, dict(type='OD3', proxy={}, overlap=1.5))


@pytest.mark.parametrize('config', ['faster-rcnn_digits_1pct', 'faster-rcnn_voc_1pct'])
def test_the_configs_name_what_there_is(module, config):
    cfg = read_job(osp.join(ROOT, f'projects/od3/{config}.py'))
    with DefaultScope.overwrite_default_scope('mmdd'):
        for part in parts_of(cfg):
            check_part(*part)
    module.OD3.check_config(cfg.model)
    assert str(TASK_UTILS.build(cfg.train_cfg.budget)) == 'Ratio(percent=1)'


def test_the_moved_project_makes_a_set_that_stock_mmdet_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny.digit_scenes(tmp_path / 'data/digit_scenes', train=12, size=64)
    (tmp_path / 'work_dirs/digits').mkdir(parents=True)
    network = load_config(osp.join(ROOT, 'configs/_base_/proxies/faster-rcnn_digits.py')).model
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        network.backbone.init_cfg = None
        torch.save(dict(meta={}, state_dict=ROOT_MODELS.build(network).state_dict()),
                   'work_dirs/digits/faster-rcnn_proxy.pth')
    shutil.copytree(osp.join(ROOT, 'projects/od3'), tmp_path / 'moved')
    digests = []
    for batch_size in (1, 3):
        cfg = load_config(str(tmp_path / 'moved/faster-rcnn_digits_1pct.py'))
        cfg.prepare, cfg.train_cfg.batch_size = [], batch_size
        cfg.train_cfg.budget = dict(type='Total', n=3)
        cfg.model.screenings = 2
        del cfg.default_hooks['set_metrics']
        folder = distill(cfg, work_dir=str(tmp_path / f'work{batch_size}'))
        images = sorted((tmp_path / f'work{batch_size}').rglob('JPEGImages/*.jpg'))
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in images])
    assert digests[0] == digests[1] and len(set(digests[0])) == 3
    found = tiny.read_stock(folder)
    assert len(found) == 3 and all(len(objects) >= 3 for objects in found.values())
    for objects in found.values():
        boxes = np.array([box for box, _ in objects])
        assert boxes.min() >= 0 and boxes.max() <= 64
        assert (boxes[:, 2:] - boxes[:, :2]).min() >= 3
