"""Composed layouts: sizes, places, balance, co-occurrence, masks and sources."""
from collections import Counter

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdd.models import AnnotationPrompter, ComposedLabelSampler, RandomLabelSampler
from mmdd.models.label_samplers.cooccurrence import ClassChooser, class_lift
from mmdd.models.label_samplers.objects import ObjectPool, Patch, visible_pixels
from mmdd.models.label_samplers.placement import covered_share, place, resize
from mmdd.structures import (
    IGNORE,
    Canvas,
    ComposedLayout,
    RealAnnotation,
    Source,
    encode_mask,
)
from mmdd.structures.target import InstanceTarget

CANVAS = Canvas((60, 80), 4.)


def boxed(image_id, objects, size=(60, 80)):
    """An image with boxes: pairs of a class and (x1, y1, x2, y2)."""
    return RealAnnotation(
        image_id, f'{image_id}.jpg', size, np.array([c for c, _ in objects], np.int64),
        np.array([box for _, box in objects], np.float32).reshape(-1, 4))


def random_boxes(rng, num, classes=5, most=4, side=30):
    found = []
    for i in range(num):
        objects = []
        for _ in range(rng.integers(1, most + 1)):
            w, h = rng.integers(5, side, 2)
            x, y = rng.integers(0, 80 - w), rng.integers(0, 60 - h)
            objects.append((int(rng.integers(classes)), (x, y, x + w, y + h)))
        found.append(boxed(f'{i:03d}', objects))
    return found


@pytest.fixture(scope='module')
def real():
    return random_boxes(np.random.default_rng(0), 60)


def share(a, b):
    """Share of the smaller box, by counting the cells of a fine grid."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.
    return w * h / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))


def same(a, b):
    return (a.image_id == b.image_id and a.sources == b.sources and np.array_equal(a.mask, b.mask)
            and np.array_equal(a.labels, b.labels)
            and (a.bboxes is b.bboxes or np.array_equal(a.bboxes, b.bboxes)))


@pytest.mark.parametrize('objects', [1, 4, 6, (2, 5), {3: 1, 5: 2}, 'natural'])
def test_objects_keep_size_and_stay_apart(real, objects):
    layouts = ComposedLabelSampler(objects=objects, cooccurrence=False).sample(
        real, 30, 5, 1, CANVAS)
    assert len(layouts) == 30 and len({layout.image_id for layout in layouts}) == 30
    known = {a.image_id: a for a in real}
    for layout in layouts:
        assert isinstance(layout, ComposedLayout) and layout.size == (60, 80)
        boxes = layout.bboxes
        assert (boxes >= 0).all() and (boxes[:, 2] <= 80).all() and (boxes[:, 3] <= 60).all()
        assert all(share(a, b) <= 0.15 + 1e-6 for i, a in enumerate(boxes) for b in boxes[:i])
        # Every object is one of a named source: of its class and exactly its size.
        own = [(c, tuple(box[2:] - box[:2])) for source in layout.sources
               for c, box in zip(known[source.image_id].labels, known[source.image_id].bboxes)]
        wanted = Counter((c, tuple(box[2:] - box[:2])) for c, box in zip(layout.labels, boxes))
        assert not wanted - Counter(own)
        assert all(source.path == f'{source.image_id}.jpg' for source in layout.sources)
    numbers = Counter(len(layout.labels) for layout in layouts)
    expected = {1: {1}, 4: {4}, 6: {6}, (2, 5): {2, 3, 4, 5}, 'natural': {1, 2, 3, 4}}
    assert set(numbers) == ({3, 5} if isinstance(objects, dict) else expected[objects])


def test_places_are_kept_where_they_are_free(real):
    layouts = ComposedLabelSampler(objects=3, cooccurrence=False).sample(real, 40, 5, 0, CANVAS)
    known = {a.image_id: a for a in real}
    kept = moved = 0
    for layout in layouts:
        places = {(int(c), *box) for source in layout.sources
                  for c, box in zip(known[source.image_id].labels,
                                    known[source.image_id].bboxes.tolist())}
        for i, (c, box) in enumerate(zip(layout.labels, layout.bboxes)):
            if (int(c), *box.tolist()) in places:
                kept += 1
            else:
                moved += 1
                assert i  # the largest one is the first, and always stays
    assert kept > 2 * moved > 0


def test_an_image_can_come_back_whole():
    """Objects that do not touch are all kept in place, whatever is drawn."""
    one = boxed('a', [(0, (0, 0, 20, 20)), (1, (30, 0, 50, 20)), (2, (0, 30, 20, 50))])
    layout, = ComposedLabelSampler(objects=3, cooccurrence=False).sample([one], 1, 3, 0, CANVAS)
    order = np.argsort(layout.labels)
    assert layout.labels[order].tolist() == [0, 1, 2]
    assert np.array_equal(layout.bboxes[order], one.bboxes)
    assert layout.sources == (Source('a', 'a.jpg'), ) and layout.path == ''


@pytest.mark.parametrize('objects', [1, 3, 4, 'natural'])
def test_classes_are_balanced_within_one_over_the_plan(real, objects):
    sampler = ComposedLabelSampler(objects=objects, cooccurrence=False)
    for num in (1, 7, 20):
        layouts = sampler.sample(real, num, 5, 3, CANVAS)
        counts = np.bincount(np.concatenate([a.labels for a in layouts]), minlength=5)
        assert counts.max() - counts.min() <= 1


def test_every_object_is_used_before_one_is_used_twice():
    real = [boxed(f'{i}', [(0, (i, 0, i + 5 + i, 6))]) for i in range(10)]
    layouts = ComposedLabelSampler(objects=2).sample(real, 10, 1, 0, CANVAS)
    used = Counter(box[2] - box[0] for layout in layouts for box in layout.bboxes.tolist())
    assert len(used) == 10 and set(used.values()) == {2}


def test_the_plan_is_a_function_of_set_and_seed(real):
    sampler = ComposedLabelSampler()
    layouts = sampler.sample(real, 12, 5, 4, CANVAS)
    np.random.seed(1)
    shuffled = [real[i] for i in np.random.default_rng(2).permutation(len(real))]
    turned = [RealAnnotation(a.image_id, a.path, a.size, a.labels[::-1], a.bboxes[::-1])
              for a in shuffled]
    for other in (sampler.sample(real, 12, 5, 4, CANVAS), sampler.sample(turned, 12, 5, 4, CANVAS),
                  ComposedLabelSampler().sample(real, 20, 5, 4, CANVAS)[:12]):
        assert all(map(same, layouts, other))
    assert not any(map(same, layouts, sampler.sample(real, 12, 5, 5, CANVAS)))


def test_images_are_stretched_to_the_canvas():
    one = boxed('a', [(0, (10, 20, 40, 60))], size=(120, 160))
    layout, = ComposedLabelSampler(objects=1).sample([one], 1, 1, 0, CANVAS)
    assert layout.bboxes.tolist() == [[5, 10, 20, 30]]
    layout, = ComposedLabelSampler(objects=1).sample([one], 1, 1, 0, Canvas((240, 160)))
    assert layout.bboxes.tolist() == [[10, 40, 40, 120]]


def test_smaller_objects_make_room():
    """Two of the large ones never fit; with small ones there are always four."""
    large = [boxed(f'l{i}', [(i % 2, (0, 0, 70, 50))]) for i in range(6)]
    small = [boxed(f's{i}', [(i % 2, (5 * i, 5, 5 * i + 12, 20))]) for i in range(6)]
    layouts = ComposedLabelSampler(objects=4, cooccurrence=False).sample(
        large + small, 20, 2, 0, CANVAS)
    assert all(len(layout.labels) == 4 for layout in layouts)
    counts = np.bincount(np.concatenate([a.labels for a in layouts]))
    assert counts.tolist() == [40, 40]
    # Without them there is one, never none.
    layouts = ComposedLabelSampler(objects=4).sample(large, 20, 2, 0, CANVAS)
    assert [len(layout.labels) for layout in layouts] == [1] * 20
    assert np.bincount(np.concatenate([a.labels for a in layouts])).tolist() == [10, 10]


def test_min_box_holds_for_boxes_and_regions():
    one = boxed('a', [(0, (0, 0, 5, 30)), (0, (40, 0, 50, 30))])
    layouts = ComposedLabelSampler(objects=2).sample([one], 4, 1, 0, Canvas((60, 80), 6.))
    assert all(((box[2:] - box[:2]) == (10, 30)).all() for a in layouts for box in a.bboxes)
    with pytest.raises(ValueError, match=r'no object of the 1 real images is at least 60.0 pixels'
                       r'.*lower model.min_box'):
        ComposedLabelSampler().sample([one], 1, 1, 0, Canvas((60, 80), 60.))
    mask = np.zeros((60, 80), np.uint8)
    mask[5:10, 5:40], mask[30:50, 30:50] = 1, 1
    found = RealAnnotation('m', 'm.jpg', (60, 80), np.array([1]), mask_png=encode_mask(mask))
    assert ObjectPool([found], 2, Canvas((60, 80), 5.)).boxes.tolist() == [
        [5, 5, 40, 10], [30, 30, 50, 50]]
    assert ObjectPool([found], 2, Canvas((60, 80), 6.)).boxes.tolist() == [[30, 30, 50, 50]]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1), st.integers(1, 8))
def test_places_follow_the_rule(seed, overlap, num):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 40, (num, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 20, (num, 2))], 1).astype(np.float32)
    found = place(boxes, (60, 80), overlap, 50, np.random.default_rng(seed))
    order = np.argsort(-(boxes[:, 2:] - boxes[:, :2]).prod(1), kind='stable')
    before = []
    for index in order:
        box = found[index]
        own_free = all(share(boxes[index], b) <= overlap for b in before)
        if own_free:
            assert box.tolist() == boxes[index].tolist()
        if box is not None:
            shift = box - boxes[index]
            assert np.allclose(shift, np.round(shift), atol=1e-4)
            assert np.allclose(shift[:2], shift[2:], atol=1e-4)
            assert (box >= -1e-4).all() and (box <= (80.0001, 60.0001) * 2).all()
            assert all(share(box, b) <= overlap + 1e-5 for b in before)
            before.append(box)
    assert found[order[0]] is not None


def test_covered_share_of_the_smaller_box():
    boxes = np.array([[0, 0, 10, 10], [5, 5, 7, 9], [20, 20, 30, 30]], np.float32)
    assert covered_share(boxes, boxes[:1]).tolist() == [1, 1, 0]
    others = np.array([[5, 0, 25, 10]], np.float32)
    assert covered_share(boxes, others).tolist() == pytest.approx([0.5, 1, 0])
    assert covered_share(boxes, np.zeros((0, 4))).tolist() == [0, 0, 0]


def test_resize_stays_in_its_range(real):
    sampler = ComposedLabelSampler(objects=3, resize=(0.5, 1.5), cooccurrence=False)
    known, factors = {a.image_id: a for a in real}, []
    for layout in sampler.sample(real, 40, 5, 1, CANVAS):
        assert (layout.bboxes >= 0).all() and (layout.bboxes <= (80, 60) * 2).all()
        sides = layout.bboxes[:, 2:] - layout.bboxes[:, :2]
        assert (sides >= 4 - 1e-4).all()
        for c, side in zip(layout.labels, sides):
            own = np.concatenate([
                side / (a.bboxes[a.labels == c, 2:] - a.bboxes[a.labels == c, :2])
                for a in map(known.get, (s.image_id for s in layout.sources))])
            # Both sides by one factor.
            even = own[np.abs(own[:, 0] - own[:, 1]) < 1e-3, 0]
            assert len(even) and ((even > 0.49) & (even < 1.51)).any()
            factors.append(even[((even > 0.49) & (even < 1.51))][0])
    assert min(factors) < 0.7 and max(factors) > 1.3


@pytest.mark.parametrize('factor, min_box, whole, wanted', [
    (1., 4, False, [10, 10, 30, 20]), (2., 4, False, [0, 5, 40, 25]),
    (.5, 4, False, [15, 12.5, 25, 17.5]), (.1, 5, False, [15, 12.5, 25, 17.5]),
    (9., 4, False, [0, 0, 80, 40]), (.25, 1, True, [17, 14, 22, 16])])
def test_resize_of_one_box(factor, min_box, whole, wanted):
    box = np.array([10, 10, 30, 20], np.float32)
    assert resize(box, factor, (60, 80), min_box, whole).tolist() == wanted


def test_lift_by_hand():
    # Eight images: 0 and 1 share two, 2 is twice in each of its two images.
    counts = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0],
                       [0, 0, 2], [0, 0, 2], [0, 1, 0], [0, 1, 0]])
    lift = class_lift(counts, 0.5)
    assert np.allclose(lift, lift.T)
    assert lift[0, 1] == pytest.approx((2 + .5) / (4 * 4 / 8 + .5)) == 1
    assert lift[0, 2] == pytest.approx((0 + .5) / (4 * 2 / 8 + .5))
    rate = -np.log(0.75)  # a Poisson number that is 0 in three quarters of the images
    assert lift[2, 2] == pytest.approx((2 + .5) / (8 * (1 - 0.75 - 0.75 * rate) + .5))
    assert np.allclose(class_lift(counts, 1e9), 1)
    # Independent classes: close to 1 everywhere.
    rng = np.random.default_rng(0)
    assert np.abs(class_lift(rng.poisson(0.3, (20000, 4)), 5.) - 1).max() < 0.1


def test_planted_pairs_of_classes_stay_together():
    """Classes 0 and 1 share images, 2 and 3 do; never across."""
    rng = np.random.default_rng(1)
    real = [boxed(f'{i}', [(2 * (i % 2) + k // 2, (20 * k, 0, 20 * k + 8, 8)) for k in range(4)])
            for i in rng.permutation(1000)]

    def mixed(strength):
        layouts = ComposedLabelSampler(objects=4, cooccurrence=strength).sample(
            real, 60, 4, 0, CANVAS)
        counts = np.bincount(np.concatenate([a.labels for a in layouts]), minlength=4)
        assert counts.max() - counts.min() <= (1 if not strength else 8)
        return np.mean([len({c // 2 for c in a.labels.tolist()}) > 1 for a in layouts])

    assert mixed(False) == 1  # four classes of four
    assert mixed(True) < 0.05
    assert mixed(0.02) == 1 and mixed(True) == mixed(1.)


def test_the_next_class_has_the_stated_probability():
    counts = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1]] * 5)
    chooser = ClassChooser(counts, 0.5, 2.)
    chooser.add([0, 0, 1])
    lift = class_lift(counts, 2.)
    ahead = np.array([3, 1, 0])  # with the object of class 0 that is placed
    weight = lift[0] ** 0.5 * 2. ** (-ahead / 0.5)
    rng = np.random.default_rng(0)
    drawn = np.bincount([chooser.choose([0], rng) for _ in range(20000)], minlength=3) / 20000
    assert np.allclose(drawn, weight / weight.sum(), atol=0.015)
    assert {chooser.choose([], rng) for _ in range(50)} == {2}


def striped(image_id, regions, size=(60, 80), bboxes=None):
    """An image with a mask: pairs of a class and (x1, y1, x2, y2), with an ignored rim."""
    mask = np.zeros(size, np.uint8)
    for _, (x1, y1, x2, y2) in regions:
        mask[max(0, y1 - 1):y2 + 1, max(0, x1 - 1):x2 + 1] = IGNORE
    for c, (x1, y1, x2, y2) in regions:
        mask[y1:y2, x1:x2] = c
        mask[y1, x1 + 2] = 0  # no full rectangle
    return RealAnnotation(image_id, f'{image_id}.jpg', size,
                          np.array(sorted({c for c, _ in regions})), bboxes, encode_mask(mask))


def test_regions_of_masks_are_moved_whole():
    real = [striped(f'{i}', [(1 + i % 3, (10 + i, 10, 20 + 2 * i, 24 + i))]) for i in range(9)]
    layouts = ComposedLabelSampler(objects=2, cooccurrence=False).sample(
        real, 12, 4, 0, Canvas((60, 80), 4., 0))
    shapes = {(1 + i % 3, 10 + i, 14 + i): i for i in range(9)}
    for layout in layouts:
        mask = layout.mask
        assert layout.bboxes is None and mask.shape == (60, 80)
        assert layout.labels.tolist() == sorted(set(np.unique(mask)) - {0, IGNORE})
        for c in layout.labels:
            ys, xs = np.nonzero(mask == c)
            x1, y1, w, h = xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1
            key = next((k for k in shapes if k[0] == c and k[1] == w and k[2] == h), None)
            if key is None:
                continue  # overlapped by the other object
            assert str(shapes[key]) in {s.image_id for s in layout.sources}
            if len(ys) < w * h - 1:
                continue
            assert mask[y1, x1 + 2] != c  # the pixel that is missing came along
            around = mask[max(0, y1 - 1):y1 + h + 1, max(0, x1 - 1):x1 + w + 1]
            assert set(np.unique(around)) <= {0, c, IGNORE, *layout.labels}
            assert (around == IGNORE).sum() > 0
    # The rim is one pixel wide, all else is background.
    assert all(((a.mask == IGNORE).sum() < 250) and (a.mask == 0).mean() > 0.4 for a in layouts)


def test_one_region_alone_is_its_image():
    one = striped('a', [(1, (10, 10, 30, 40))])
    for background, fill in ((0, 0), (None, IGNORE)):
        layout, = ComposedLabelSampler(objects=1).sample(
            [one], 1, 2, 0, Canvas((60, 80), 4., background))
        wanted = one.mask.copy()
        wanted[wanted == 0] = fill
        assert np.array_equal(layout.mask, wanted)
        assert layout.labels.tolist() == [1]


def test_masks_agree_with_boxes_where_there_are_both():
    rng = np.random.default_rng(3)
    real = []
    for i in range(20):
        x, y, w, h = rng.integers(1, 30), rng.integers(1, 20), *rng.integers(6, 20, 2)
        box = (int(x), int(y), int(x + w), int(y + h))
        real.append(striped(f'{i}', [(1 + i % 3, box)], bboxes=np.array([box], np.float32)))
    for limits in (None, (0.6, 1.4)):
        layouts = ComposedLabelSampler(
            objects=3, overlap=0., cooccurrence=False, resize=limits).sample(
                real, 15, 4, 0, Canvas((60, 80), 4., 0))
        for layout in layouts:
            inside = np.zeros((60, 80), bool)
            for c, (x1, y1, x2, y2) in zip(layout.labels, layout.bboxes.astype(int)):
                part = layout.mask[y1:y2, x1:x2]
                assert set(np.unique(part)) <= {0, c, IGNORE} and (part == c).mean() > 0.9
                inside[y1:y2, x1:x2] = True
            assert set(np.unique(layout.mask[~inside])) <= {0, IGNORE}


def test_connected_regions_are_objects_of_their_own():
    mask = np.zeros((60, 80), np.uint8)
    mask[0:20, 0:20] = mask[40:60, 50:80] = 1
    mask[25, 25] = 1  # a scrap
    mask[0:30, 60:80] = 2
    one = RealAnnotation('a', 'a.jpg', (60, 80), np.array([1, 2]), mask_png=encode_mask(mask))
    pool = ObjectPool([one], 3, Canvas((60, 80), 0., 0))
    assert pool.labels.tolist() == [1, 1, 2] and pool.counts.tolist() == [[0, 2, 1]]
    assert pool.boxes.tolist() == [[0, 0, 20, 20], [50, 40, 80, 60], [60, 0, 80, 30]]
    assert [int(pool.patch(i).inside.sum()) for i in range(3)] == [400, 600, 600]
    words = AnnotationPrompter(regions='connected').describe(one, ('background', 'cat', 'dog'))
    assert words.startswith('a photo of two cats and a dog, ')
    assert 'cat at the bottom right' in words and 'cat at the top left' in words


def discs(image_id, *objects, size=(60, 80)):
    """An image of discs: (class, centre x, centre y, radius), each with its mask."""
    y, x = np.mgrid[:size[0], :size[1]]
    masks = np.array([(x + .5 - cx)**2 + (y + .5 - cy)**2 < r * r for _, cx, cy, r in objects])
    boxes = np.array([[cx - r, cy - r, cx + r, cy + r] for _, cx, cy, r in objects], np.float32)
    return RealAnnotation(image_id, f'{image_id}.jpg', size, target=InstanceTarget(
        np.array([c for c, *_ in objects]), boxes, masks))


def test_masks_of_objects_are_composed_and_covered_ones_lose_pixels():
    """A large disc below, a small one of the other image on it."""
    large, small = discs('a', (0, 30, 30, 20)), discs('b', (1, 45, 30, 8))
    layout, = ComposedLabelSampler(objects=2, overlap=1., cooccurrence=False).sample(
        [large, small], 1, 2, 0, Canvas((60, 80), 4.))
    below, above = large.target.masks[0], small.target.masks[0]
    assert layout.labels.tolist() == [0, 1] and len(layout.sources) == 2
    assert np.array_equal(layout.target.masks, [below & ~above, above])
    assert (below & above).sum() > 100
    # The box of what is left of the large one, which lost its right end; the other as it was.
    ys, xs = np.nonzero(below & ~above)
    assert layout.bboxes.tolist() == [
        [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], [37, 22, 53, 38]]
    assert [part.place.tolist() for part in layout.parts] == [[10, 10, 50, 50], [37, 22, 53, 38]]


def test_masks_of_objects_move_whole_and_resize():
    real = [discs(f'{i}', (i % 3, 40, 30, 6 + i), (2, 12, 12, 5)) for i in range(6)]
    for limits in (None, (.6, 1.5)):
        layouts = ComposedLabelSampler(
            objects=3, overlap=0., cooccurrence=False, resize=limits).sample(
                real, 12, 3, 0, Canvas((60, 80), 4.))
        assert len({layout.image_id for layout in layouts}) == 12
        for layout in layouts:
            assert isinstance(layout.target, InstanceTarget)
            for mask, (x1, y1, x2, y2) in zip(layout.target.masks, layout.bboxes):
                ys, xs = np.nonzero(mask)
                assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (x1, y1, x2, y2)
                assert len(xs) == pytest.approx(np.pi / 4 * (x2 - x1) * (y2 - y1), rel=.1)


def test_of_two_objects_in_one_box_each_has_its_own_mask():
    masks = np.zeros((2, 60, 80), bool)
    masks[0, 10:30, 10:20], masks[1, 10:30, 20:30] = True, True
    one = RealAnnotation('a', 'a.jpg', (60, 80), target=InstanceTarget(
        np.array([0, 0]), np.array([[10, 10, 30, 30]] * 2, np.float32), masks))
    pool = ObjectPool([one], 1, Canvas((60, 80), 4.))
    assert [pool.patch(i).inside.tolist() for i in range(2)] == masks[:, 10:30, 10:30].tolist()


def test_what_is_covered_wholly_is_no_object():
    patch = Patch(np.ones((4, 4), bool), np.zeros((4, 4), bool), 0)
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 4], [2, 0, 6, 4]], np.float32)
    seen, left = visible_pixels([patch] * 3, boxes, (4, 8))
    assert seen.sum((1, 2)).tolist() == [0, 8, 16] and left[1:].tolist() == [
        [0, 0, 2, 4], [2, 0, 6, 4]]
    target = discs('a', (0, 30, 30, 20)).target.composed(np.array([0, 1, 1]), left, seen, None)
    assert target.labels.tolist() == [1, 1] and target.codes.areas() == [8, 16]


def test_a_composed_layout_is_described_whole():
    real = [boxed(f'{i}', [(i, (12 * i, 0, 12 * i + 10, 10))]) for i in range(6)]
    layout, = ComposedLabelSampler(objects=6, cooccurrence=False).sample(real, 1, 6, 0, CANVAS)
    names = [f'thing{i}' for i in range(6)]
    text = AnnotationPrompter().describe(layout, names)
    assert all(f'{name} at the ' in text for name in names)
    assert sum(f'{name} at the ' in AnnotationPrompter(max_objects=2).describe(layout, names)
               for name in names) == 2
    whole = boxed('w', [(i, (12 * i, 0, 12 * i + 10, 10)) for i in range(6)])
    text = AnnotationPrompter().describe(whole, names)
    assert sum(f'{name} at the ' in text for name in names) == 4  # as ever
    with pytest.raises(ValueError, match="regions must be 'class' or 'connected', got 'each'"):
        AnnotationPrompter(regions='each')


def test_prompts_tell_layouts_apart(real, tmp_path):
    layouts = ComposedLabelSampler().sample(real, 8, 5, 0, CANVAS)
    file = str(tmp_path / 'prompts.jsonl')
    names = tuple('abcde')
    prompts = AnnotationPrompter().prompts(layouts, names, file)
    assert prompts == [AnnotationPrompter().describe(a, names) for a in layouts]
    assert len(set(prompts)) > 6
    (tmp_path / 'prompts.jsonl').write_text(
        f'{{"image": "{layouts[3].image_id}", "prompt": "by hand"}}\n')
    assert AnnotationPrompter().prompts(layouts, names, file)[3] == 'by hand'


def test_classification_is_refused():
    one = RealAnnotation('0/a.png', '0/a.png', (60, 80), np.array([0]))
    with pytest.raises(ValueError, match='0/a.png has neither: an image of a classification set '
                       'has one label; set model.label_sampler to dict'):
        ComposedLabelSampler().sample([one], 1, 2, 0, CANVAS)
    assert RandomLabelSampler().check(one) is None


@pytest.mark.parametrize('wrong, told', [
    (dict(objects=0), 'objects must be'), (dict(objects='many'), 'objects must be'),
    (dict(objects=(3, 2)), 'objects must be'), (dict(objects={0: 1}), 'objects must be'),
    (dict(objects={2: -1}), 'objects must be'), (dict(objects=True), 'objects must be'),
    (dict(overlap=1.5), 'overlap in'), (dict(tries=0), 'tries >= 1'),
    (dict(cooccurrence=-1), 'cooccurrence must be'), (dict(smoothing=0), 'smoothing must be'),
    (dict(resize=(1.2, 0.8)), 'resize must be'), (dict(resize=(0, 1)), 'resize must be')])
def test_settings_out_of_range(wrong, told):
    with pytest.raises(ValueError, match=told):
        ComposedLabelSampler(**wrong)


def test_sizes_of_digits_stay_natural(tmp_path):
    """Four digits of 64-pixel scenes: the mean area is that of the real set within a tenth."""
    from mmengine.dataset import pseudo_collate
    from mmengine.registry import DATASETS

    from mmdd.datasets.annotations import annotations_from_batch
    root = tiny.digit_scenes(tmp_path / 'digits', train=200, size=64, singles=0)
    dataset = DATASETS.build(tiny.voc_dataset(root, images=False))
    real = annotations_from_batch(
        pseudo_collate([dataset[i] for i in range(len(dataset))]), tiny.CLASSES)
    layouts = ComposedLabelSampler(objects=4, cooccurrence=False).sample(
        real, 50, 10, 0, Canvas((64, 64), 4.))
    assert all(len(layout.labels) == 4 for layout in layouts)

    def areas(annotations):
        return np.concatenate([(a.bboxes[:, 2:] - a.bboxes[:, :2]).prod(1) for a in annotations])

    assert areas(layouts).mean() == pytest.approx(areas(real).mean(), rel=0.1)
    counts = np.bincount(np.concatenate([a.labels for a in layouts]))
    assert counts.tolist() == [20] * 10
