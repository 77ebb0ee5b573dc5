"""Collages: objects cut out and pasted, holes filled, and where sampling starts."""
import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from mmdd.models import CollageInitializer, UniDD
from mmdd.models.initializers.cutout import cut_out, fill_holes, soft_rim
from mmdd.registry import MODELS, TASK_UTILS
from mmdd.structures import (
    Canvas,
    ComposedLayout,
    DistillSlot,
    Ground,
    Part,
    RealAnnotation,
    Source,
    slot_seed,
)

RED, BLUE, GREEN = (200, 30, 30), (30, 40, 190), (40, 180, 60)


def scene(path, size=32, box=(4, 6, 16, 22), colour=RED, ground=BLUE):
    """A disc in a box on a plain ground, and its pixels (h, w) bool."""
    image = np.full((size, size, 3), ground, np.uint8)
    x1, y1, x2, y2 = box
    y, x = np.mgrid[y1:y2, x1:x2] + 0.5
    disc = ((x - (x1 + x2) / 2) / (x2 - x1) * 2)**2 + ((y - (y1 + y2) / 2) / (y2 - y1) * 2)**2 <= 1
    image[y1:y2, x1:x2][disc] = colour
    Image.fromarray(image).save(path)
    return image, disc


def slot_of(initializer, layout, size=(32, 32), mask=None):
    return DistillSlot(0, slot_seed(0, 0), size, layout.labels, layout.bboxes, mask=mask,
                       prototype=initializer.describe(layout))


def composed(paths, boxes, places, size=(32, 32)):
    parts = tuple(Part(str(path), i, np.array(box, np.float32), np.array(place, np.float32))
                  for i, (path, box, place) in enumerate(zip(paths, boxes, places)))
    return ComposedLayout(
        'c', size, np.arange(len(parts)), tuple(Source(str(p), str(p)) for p in paths),
        np.array(places, np.float32), None, parts,
        tuple(Ground(part.path, part.box[None]) for part in parts))


def test_an_object_of_its_own_colour_is_cut_out(tmp_path):
    image, disc = scene(tmp_path / 'a.png', 64, (10, 12, 40, 50))
    opacity = cut_out(image, (10, 12, 40, 50))
    assert opacity.shape == disc.shape
    assert ((opacity > 0.5) == disc).mean() > 0.97
    again = cut_out(image, (10, 12, 40, 50))
    assert np.array_equal(opacity, again)


def test_a_box_without_an_object_is_taken_whole_with_a_soft_rim():
    plain = np.full((40, 40, 3), 99, np.uint8)
    opacity = cut_out(plain, (10, 10, 30, 30))
    assert np.array_equal(opacity, soft_rim((20, 20)))
    assert opacity[10, 10] == 1 and opacity[0, 0] == pytest.approx(0.5)
    whole = cut_out(plain, (0, 0, 40, 40))  # no background at all to learn from
    assert whole.shape == (40, 40) and whole[20, 20] == 1


def test_holes_take_the_colour_around_them(tmp_path):
    image, _ = scene(tmp_path / 'a.png')
    filled = fill_holes(image, [(4, 6, 16, 22)])
    assert np.abs(filled.astype(int) - BLUE).max() <= 4
    assert fill_holes(image, []) is image
    covered = fill_holes(image, [(0, 0, 32, 32)])
    assert np.array_equal(covered[0, 0], image.mean((0, 1)).round())


def test_objects_stand_at_their_places(tmp_path):
    _, disc = scene(tmp_path / 'a.png')
    # its own ground is not taken: the green object is hardly seen there
    scene(tmp_path / 'b.png', box=(2, 2, 10, 12), colour=GREEN, ground=(60, 180, 90))
    initializer = CollageInitializer(0.5)
    layout = composed([tmp_path / 'a.png', tmp_path / 'b.png'],
                      [(4, 6, 16, 22), (2, 2, 10, 12)], [(18, 2, 30, 18), (3, 20, 11, 30)])
    collage = initializer.compose(slot_of(initializer, layout)).astype(int)
    assert np.abs(collage[10, 24] - RED).max() <= 3
    assert np.abs(collage[25, 7] - GREEN).max() <= 3
    # where the first object was, and in the corners, there is the ground of the first image
    for y, x in ((14, 8), (0, 0), (31, 31), (20, 3)):
        assert np.abs(collage[y, x] - BLUE).max() <= 12
    moved = np.abs(collage[2:18, 18:30] - RED).max(-1) < 60
    assert (moved == disc).mean() > 0.93


def test_the_background_is_the_one_before_which_all_objects_stand_out(tmp_path):
    """Green on its own ground is hardly seen, red and green on blue are."""
    scene(tmp_path / 'a.png', box=(2, 2, 10, 12), colour=GREEN, ground=(60, 180, 90))
    scene(tmp_path / 'b.png')
    layout = composed([tmp_path / 'a.png', tmp_path / 'b.png'],
                      [(2, 2, 10, 12), (4, 6, 16, 22)], [(3, 20, 11, 30), (18, 2, 30, 18)])
    initializer = CollageInitializer()
    for order in (layout, composed([tmp_path / 'b.png', tmp_path / 'a.png'],
                                   [(4, 6, 16, 22), (2, 2, 10, 12)],
                                   [(18, 2, 30, 18), (3, 20, 11, 30)])):
        collage = initializer.compose(slot_of(initializer, order)).astype(int)
        assert np.abs(collage[0, 0] - BLUE).max() <= 4


def test_masks_say_which_pixels_are_pasted(tmp_path):
    scene(tmp_path / 'a.png')
    initializer = CollageInitializer()
    layout = composed([tmp_path / 'a.png'], [(4, 6, 16, 22)], [(4, 6, 16, 22)])
    mask = np.full((32, 32), 9, np.uint8)
    mask[10:14, 8:12] = 0
    collage = initializer.compose(slot_of(initializer, layout, mask=mask)).astype(int)
    red = np.abs(collage - RED).max(-1) < 30
    assert np.array_equal(red, mask == 0)


def test_a_layout_of_one_image_starts_from_it(tmp_path):
    image, _ = scene(tmp_path / 'a.png')
    initializer = CollageInitializer()
    real = RealAnnotation('a', str(tmp_path / 'a.png'), (32, 32), np.array([0]),
                          np.array([[4, 6, 16, 22]], np.float32))
    assert np.array_equal(initializer.compose(slot_of(initializer, real)), image)


def test_a_layout_without_an_image_is_refused():
    layout = ComposedLayout('made up', (32, 32), np.array([0]), bboxes=np.ones((1, 4)))
    with pytest.raises(ValueError, match="layout 'made up' names neither its real image nor"):
        CollageInitializer().describe(layout)


def test_latents_are_those_of_the_collages(tmp_path):
    image, _ = scene(tmp_path / 'a.png')
    initializer = TASK_UTILS.build(dict(type='mmdd.CollageInitializer', strength=0.4))
    real = RealAnnotation('a', str(tmp_path / 'a.png'), (32, 32), np.array([0]))
    diffusion = MODELS.build(tiny.dit())
    found = initializer.latents(diffusion, [slot_of(initializer, real)] * 2)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    expected = diffusion.encode_images(pixels)
    torch.testing.assert_close(found, expected.expand(2, -1, -1, -1), atol=1e-5, rtol=1e-4)


def test_a_collage_waits_for_the_rounds_of_noise(tmp_path):
    """What was rejected twice starts from its collage; before, a slot starts from noise alone."""
    scene(tmp_path / 'a.png')
    settings = dict(type='mmdd.CollageInitializer', strength=0.4)
    waiting = UniDD(tiny.dit(), image_size=32, initializer=dict(settings, noise_rounds=2))
    at_once = UniDD(tiny.dit(), image_size=32, initializer=settings)
    real = RealAnnotation('a', str(tmp_path / 'a.png'), (32, 32), np.array([0]))
    slot = slot_of(waiting.initializer, real)
    assert slot.prototype['noise_rounds'] == 2
    assert 'noise_rounds' not in at_once.initializer.describe(real)
    for round in (0, 1):
        assert waiting.initial_latents([slot.retry(0, round)] * 2) == (None, 1.)
    at_once.diffusion.load_state_dict(waiting.diffusion.state_dict())
    expected, strength = at_once.initial_latents([slot])
    found, own = waiting.initial_latents([slot.retry(0, 2)])
    assert torch.equal(found, expected) and own == strength == 0.4


def test_the_sampler_names_the_parts_of_its_layouts(tmp_path):
    """A part is where its object is; its place is the box of the layout."""
    annotations = [RealAnnotation(
        f'i{k}', f'{k}.png', (50, 50), np.array([k % 2, 1]),
        np.array([[2, 3, 12 + k, 15], [20, 20, 33, 40]], np.float32)) for k in range(6)]
    sampler = TASK_UTILS.build(dict(type='mmdd.ComposedLabelSampler', objects=3))
    for layout in sampler.sample(annotations, 4, 2, 0, Canvas((50, 50))):
        assert len(layout.parts) == len(layout.labels) == 3
        for ground in layout.grounds:
            own = next(a for a in annotations if a.path == ground.path)
            assert {tuple(b) for b in ground.holes} == {tuple(b) for b in own.bboxes}
        paths = [ground.path for ground in layout.grounds]
        assert len(set(paths)) == len(paths) == 6 and {s.path for s in layout.sources} < set(paths)
        for part, label, bbox in zip(layout.parts, layout.labels, layout.bboxes):
            own = next(a for a in annotations if a.path == part.path)
            assert part.label == label and tuple(part.place) == tuple(bbox)
            index = [tuple(b) for b in own.bboxes].index(tuple(part.box))
            assert own.labels[index] == label


def test_strength_must_be_a_share():
    with pytest.raises(ValueError, match='strength must be in'):
        CollageInitializer(0.)
    with pytest.raises(ValueError, match='noise_rounds must be at least 0, got -1'):
        CollageInitializer(noise_rounds=-1)


def test_methods_that_start_from_something_else_refuse_an_initializer():
    from mmdd.models import D4M, DatasetDistiller, RandomCoreset
    collage = dict(type='mmdd.CollageInitializer')
    assert DatasetDistiller(initializer=collage).initializer.strength == 0.6
    assert not D4M.starts_from_noise()
    with pytest.raises(ValueError, match='model.initializer: RandomCoreset knows by itself'):
        RandomCoreset(initializer=collage)
