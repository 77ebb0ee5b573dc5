"""Random views against scipy and hand-made cases, and what the proxies make of them."""
import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform
from torch.testing import assert_close

from mmdd.engine.hooks.guidance import RandomViews
from mmdd.engine.hooks.guidance.random_views import ViewDraws, hue_matrices
from mmdd.registry import TASK_UTILS
from mmdd.structures import IGNORE, DistillSlot, slot_seed

SIZE = (32, 32)
EVERYTHING = dict(num=3, shift=.1, scale=(.8, 1.2), gain=.2, bias=.1, contrast=.2, hue=.1,
                  noise=.05)


def make_slot(id=0, bboxes=None, labels=(3, ), mask=None, size=SIZE):
    return DistillSlot(id, slot_seed(0, id), size, np.array(labels, np.int64),
                       None if bboxes is None else np.array(bboxes, np.float32).reshape(-1, 4),
                       mask=mask)


def pictures(num=2, size=SIZE):
    return torch.rand(num, 3, *size, generator=torch.Generator().manual_seed(0))


def drawn(num, **values):
    """Draws of views that change nothing, but for ``values``."""
    same = dict(shift=torch.zeros(num, 2), scale=torch.ones(num), gain=torch.ones(num, 3),
                bias=torch.zeros(num, 3), contrast=torch.ones(num), hue=torch.zeros(num),
                noise=None)
    return ViewDraws(**{**same, **{k: torch.tensor(v) for k, v in values.items()}})


def by_scipy(image, scale, shift):
    """Bilinear, the nearest pixel outside: channel by channel, pixel centres as integers."""
    height, width = image.shape[1:]
    offset = [(.5 - n / 2 - s * n) / scale + n / 2 - .5
              for n, s in ((height, shift[1]), (width, shift[0]))]
    return np.stack([affine_transform(c, [1 / scale] * 2, offset, order=1, mode='nearest')
                     for c in image.double().numpy()])


@pytest.mark.parametrize('scale, shift', [
    (1., (0., 0.)), (1., (.25, -.125)), (1., (.03, .07)), (1.3, (0., 0.)), (.8, (-.1, .05))])
@pytest.mark.parametrize('size', [(32, 32), (24, 40)])
def test_things_are_scaled_about_the_centre_and_shifted(scale, shift, size):
    views = RandomViews(1, scale=(.5, 2.), noise=0., gain=0.)
    images = pictures(2, size)
    found = views(images, drawn(2, scale=[scale] * 2, shift=[shift] * 2))
    for image, view in zip(images, found):
        assert_close(view.double().numpy(), by_scipy(image, scale, shift), atol=1e-4, rtol=0)


def test_a_shift_of_whole_pixels_to_the_right_and_up():
    image = pictures(1)
    view = RandomViews(1)(image, drawn(1, shift=[[.125, -.25]]))
    assert_close(view[..., :-8, 4:], image[..., 8:, :-4], atol=1e-5, rtol=0)
    assert_close(view[..., :-8, 0], image[..., 8:, 0], atol=1e-5, rtol=0)  # the border goes on
    black = RandomViews(1, padding='zeros')(image, drawn(1, shift=[[.125, -.25]]))
    assert not black[..., -7:, :].any() and not black[..., :3].any()


def test_colours():
    image = pictures(1)
    views = RandomViews(1, shift=0., contrast=.5, hue=.5, noise=0.)
    gain = views(image, drawn(1, gain=[[2., 1., .5]], bias=[[0., .1, -.1]]))
    assert_close(gain[0, 0], 2 * image[0, 0])
    assert_close(gain[0, 1], image[0, 1] + .1)
    assert_close(gain[0, 2], .5 * image[0, 2] - .1)
    flat = views(image, drawn(1, contrast=[.5]))
    assert_close(flat.mean(), image.mean())
    assert_close(flat.std(), image.std() / 2)
    turned = views(image, drawn(1, hue=[1 / 3]))  # red becomes green, green blue, blue red
    assert_close(turned, image.roll(1, 1), atol=1e-5, rtol=0)
    matrix = hue_matrices(torch.tensor([.07, -.2]))
    assert_close(matrix @ matrix.transpose(1, 2), torch.eye(3).expand(2, 3, 3), atol=1e-6, rtol=0)
    assert_close(matrix.sum(2), torch.ones(2, 3), atol=1e-6, rtol=0)  # grey stays grey
    assert_close(torch.linalg.det(matrix), torch.ones(2), atol=1e-5, rtol=0)
    noise = .1 * torch.randn(1, 3, *SIZE)
    draws = drawn(1)
    draws.noise = noise
    assert_close(views(image, draws), image + noise)


def test_draws_keep_to_their_ranges():
    views = RandomViews(200, shift=.1, scale=(.8, 1.2), gain=.2, bias=.05, contrast=.3, hue=.1,
                        noise=.05)
    draws = views.draw([make_slot(0)], 4)
    for values, low, high in ((draws.shift, -.1, .1), (draws.scale, .8, 1.2),
                              (draws.gain, .8, 1.2), (draws.bias, -.05, .05),
                              (draws.contrast, .7, 1.3), (draws.hue, -.1, .1)):
        assert len(values) == 200
        assert low <= values.min() < low + .1 * (high - low)
        assert high - .1 * (high - low) < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < .1 * (high - low)
    assert abs(draws.noise.std() - .05) < .001 and draws.noise.shape == (200, 3, *SIZE)


def test_views_follow_from_slot_and_key_alone():
    """Not from batch mates, the number of views, the global state or what else is on."""
    views = RandomViews(**EVERYTHING)
    batch = [make_slot(i) for i in range(3)]
    together = views.draw(batch, 5, 0)
    torch.manual_seed(99)
    again, later = views.draw(batch, 5, 0), views.draw(batch, 6, 0)
    alone = views.draw(batch[1:2], 5, 0)
    fewer = RandomViews(**{**EVERYTHING, 'num': 2}).draw(batch, 5, 0)
    quiet = RandomViews(**{**EVERYTHING, 'noise': 0.}).draw(batch, 5, 0)
    for name in ('shift', 'scale', 'gain', 'bias', 'contrast', 'hue', 'noise'):
        values = getattr(together, name)
        assert torch.equal(getattr(again, name), values)
        assert not torch.equal(getattr(later, name), values)
        assert torch.equal(getattr(alone, name), values[[1, 4, 7]])
        assert torch.equal(getattr(fewer, name), values[:6])
        assert len(torch.unique(values.view(9, -1), dim=0)) == 9
        if name != 'noise':
            assert torch.equal(getattr(quiet, name), values)


def test_gradients_go_through_a_view():
    views = RandomViews(**EVERYTHING)
    batch = [make_slot(0), make_slot(1)]
    draws = views.draw(batch, 0)
    draws = ViewDraws(**{k: v.double() for k, v in vars(draws).items()})
    images = pictures().double().requires_grad_()
    weights = torch.rand(6, 3, *SIZE, dtype=torch.float64)
    gradient, = torch.autograd.grad((views(images, draws) * weights).sum(), images)
    direction = torch.randn(images.shape, dtype=torch.float64)
    ends = [(views(images.detach() + h * direction, draws) * weights).sum() for h in (1, -1)]
    assert_close((gradient * direction).sum(), (ends[0] - ends[1]) / 2, atol=1e-8, rtol=1e-8)
    one, = torch.autograd.grad(views(images, draws)[[0, 2, 4]].sum(), images)
    assert one[0].any() and not one[1].any()


def move_slot(slot, scale, shift, min_visible):
    views = RandomViews(1, min_visible=min_visible)
    moved, = views.move_slots([slot], drawn(1, scale=[scale], shift=[shift]))
    return moved


BOXES = [[4, 4, 16, 20], [0, 0, 8, 8], [24, 10, 32, 20]]


def test_boxes_move_and_are_clipped_or_dropped():
    slot = make_slot(0, BOXES, labels=(1, 2, 3))
    moved = move_slot(slot, 1., (.25, -.125), .1)  # 8 right, 4 up
    assert moved.bboxes.tolist() == [[12, 0, 24, 16], [8, 0, 16, 4]]
    assert moved.labels.tolist() == [1, 2] and moved.bboxes.dtype == np.float32
    assert move_slot(slot, 1., (.25, -.125), .6).labels.tolist() == [1]
    assert move_slot(slot, 1., (0., 0.), 1.).bboxes.tolist() == BOXES
    grown = move_slot(slot, 2., (0., 0.), 0.)  # about (16, 16): the corner leaves
    assert grown.bboxes.tolist() == [[0, 0, 16, 24]] and grown.labels.tolist() == [1]
    gone = move_slot(slot, 1., (-.9, 0.), 0.)
    assert gone.bboxes.shape == (1, 4) and gone.labels.tolist() == [3]
    none = move_slot(slot, 1., (.99, .99), 0.)
    assert none.bboxes.shape == (0, 4) and len(none.labels) == 0
    assert slot.bboxes.tolist() == BOXES and none.seed == slot.seed
    bare = move_slot(make_slot(0), 1.3, (.2, .2), .1)
    assert bare.bboxes is None and bare.mask is None and bare.labels.tolist() == [3]


@pytest.mark.parametrize('scale, shift', [(1., (.25, -.125)), (1.25, (-.2, .2)), (.7, (.1, 0.))])
@pytest.mark.parametrize('size', [(32, 32), (24, 40)])
def test_boxes_and_masks_go_where_the_picture_goes(scale, shift, size):
    """A bright rectangle, its box and its mask stay together."""
    mask = np.zeros(size, np.uint8)
    mask[6:18, 9:20] = 4
    slot = make_slot(0, [[9, 6, 20, 18]], (4, ), mask, size)
    image = torch.from_numpy(mask / 4.).float().expand(1, 3, *size)
    views = RandomViews(1, scale=(.5, 2.), gain=0., noise=0., padding='zeros')
    view = views(image, drawn(1, scale=[scale], shift=[shift]))[0, 0].numpy()
    moved = move_slot(slot, scale, shift, .1)
    # Bilinear and nearest pixels round differently only where a pixel is half covered.
    sure = abs(view - .5) > .45
    assert ((moved.mask == 4) == (view > .5))[sure].all()
    rows, columns = np.nonzero(moved.mask == 4)
    around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert abs(moved.bboxes[0] - around).max() <= .5 * max(scale, 1) + 1e-4
    height, width = size
    y, x = np.mgrid[:height, :width] + .5
    outside = [(p - n / 2 - s * n) / scale + n / 2
               for p, n, s in ((y, height, shift[1]), (x, width, shift[0]))]
    outside = np.logical_or(*[(p < 0) | (p >= n) for p, n in zip(outside, size)])
    assert ((moved.mask == IGNORE) == outside).all() and outside.any()
    assert moved.mask.dtype == np.uint8


def task_slots(task):
    if task == 'detector':
        return [make_slot(i, BOXES[:1 + i], labels=(3, 7, 1)[:1 + i]) for i in range(2)]
    if task == 'classifier':
        return [make_slot(i, labels=(3 + i, )) for i in range(2)]
    mask = np.zeros(SIZE, np.uint8)
    mask[4:14, 6:20] = 5
    return [make_slot(i, labels=(5, ), mask=np.roll(mask, i, 1)) for i in range(2)]


@pytest.mark.parametrize('task', ['classifier', 'detector', 'segmentor'])
def test_one_proxy_call_for_all_views_equals_one_call_each(task, request):
    proxy = request.getfixturevalue('proxy' if task == 'detector' else f'{task}_proxy')
    views, batch = RandomViews(**EVERYTHING), task_slots(task)
    draws = views.draw(batch, 3)
    images = pictures().requires_grad_()
    stacked = proxy.energy(views(images, draws), views.move_slots(batch, draws))
    assert stacked.shape == (6, )
    gradient, = torch.autograd.grad(stacked.view(3, 2).mean(0).sum(), images)
    total, slope = torch.zeros(2), torch.zeros_like(images)
    for view in range(3):
        for i, slot in enumerate(batch):
            at = slice(2 * view + i, 2 * view + i + 1)
            part = ViewDraws(**{k: v[at] for k, v in vars(draws).items()})
            single = RandomViews(**{**EVERYTHING, 'num': 1})
            energy = proxy.energy(single(images[i:i + 1], part), single.move_slots([slot], part))
            total[i] += energy[0].detach() / 3
            slope += torch.autograd.grad(energy[0] / 3, images)[0]
    assert_close(stacked.view(3, 2).mean(0), total, atol=1e-4, rtol=1e-4)
    assert_close(gradient, slope, atol=1e-5, rtol=1e-3)
    plain = proxy.energy(images, batch)
    assert (plain - total).abs().max() > 1e-4


def test_an_object_that_leaves_the_view_is_no_longer_asked_for(proxy):
    """A detector that is shown an empty corner is asked for nothing there."""
    slot = make_slot(0, [[0, 0, 6, 6]], labels=(3, ))
    views = RandomViews(1, shift=.9, noise=0., gain=0.)
    draws = drawn(1, shift=[[-.5, 0.]])
    moved = views.move_slots([slot], draws)
    empty = make_slot(0, np.zeros((0, 4)), labels=())
    image = pictures(1)
    assert torch.equal(proxy.energy(views(image, draws), moved),
                       proxy.energy(views(image, draws), [empty]))


@pytest.mark.parametrize('kwargs, word', [
    (dict(num=0), 'num'), (dict(shift=1.), r'shift must be in \[0, 1\)'),
    (dict(shift=-.1), 'shift'),
    (dict(scale=(1.2, .8)), 'scale'), (dict(scale=0.), 'scale'), (dict(gain=1.5), 'gain'),
    (dict(bias=-1.), 'bias'), (dict(contrast=2.), 'contrast'), (dict(hue=.6), 'hue'),
    (dict(noise=-.1), 'noise'), (dict(padding='wrap'), 'padding'),
    (dict(min_visible=1.1), 'min_visible')])
def test_bad_settings(kwargs, word):
    with pytest.raises(ValueError, match=f'RandomViews: {word}'):
        RandomViews(**kwargs)


def test_it_is_a_registered_component():
    assert isinstance(TASK_UTILS.build(dict(type='RandomViews', num=4)), RandomViews)
