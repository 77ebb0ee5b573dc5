"""The detector as energy, score and labeller, beside stock mmdet."""
import copy

import numpy as np
import pytest
import tiny
import torch
from mmengine.structures import InstanceData
from torch.testing import assert_close

from mmdd.models import DetectorProxy
from mmdd.models.proxies.base import resize_images
from mmdd.models.proxies.detector_scores import matched_score
from mmdd.structures import DistilledSample, DistillSlot, slot_seed
from mmdd.utils.seed import derive_seed

BOXES = [[[4, 4, 16, 20]], [[2, 3, 12, 12], [15, 10, 30, 28]], [[0, 0, 31, 31]],
         [[10, 1, 20, 11], [1, 20, 9, 31], [20, 20, 30, 30]]]
LABELS = [[3], [7, 1], [0], [2, 2, 9]]


def make_slot(id, bboxes, labels):
    return DistillSlot(id, slot_seed(0, id), (32, 32), np.array(labels, np.int64),
                       np.array(bboxes, np.float32).reshape(-1, 4))


def slots():
    return [make_slot(i, b, c) for i, (b, c) in enumerate(zip(BOXES, LABELS))]


@pytest.fixture
def images():
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def one(proxy):
    """The shared proxy with a test_cfg and settings that a test may change."""
    model = copy.copy(proxy)
    model.__dict__ = dict(proxy.__dict__)
    return model


def stock_batch(images, items=None):
    """uint8 BGR images and data samples, as an mmdet dataloader gives them."""
    from mmdet.structures import DetDataSample
    samples = []
    for i, image in enumerate(images):
        sample = DetDataSample(metainfo=dict(
            img_id=i, img_shape=image.shape[1:], ori_shape=image.shape[1:],
            scale_factor=(1., 1.)))
        if items:
            sample.gt_instances = InstanceData(
                bboxes=torch.tensor(items[i].bboxes), labels=torch.tensor(items[i].labels))
        samples.append(sample)
    return dict(inputs=[image.flip(0) for image in images], data_samples=samples)


def test_energy_does_not_depend_on_batch_mates(proxy, images):
    all_slots = slots()
    together = proxy.energy(images, all_slots)
    assert together.shape == (4, ) and (together > 0).all() and together.std() > 1e-3
    alone = torch.cat([proxy.energy(images[i:i + 1], [s]) for i, s in enumerate(all_slots)])
    assert_close(alone, together, atol=1e-5, rtol=1e-5)
    order = [2, 0, 3, 1]
    turned = proxy.energy(images[order], [all_slots[i] for i in order])
    assert_close(turned, together[order], atol=1e-5, rtol=1e-5)
    again = proxy.energy(images, all_slots)
    assert torch.equal(again, together)


def test_energy_is_the_loss_of_stock_mmdet(proxy, images):
    from mmdet.models.detectors.base import BaseDetector
    assert isinstance(proxy.model, BaseDetector)
    pictures = (images * 255).round().byte()
    for i, slot in enumerate(slots()):
        batch = proxy.model.data_preprocessor(stock_batch(pictures[i:i + 1], [slot]), False)
        torch.manual_seed(derive_seed('proxy', slot.seed))
        losses = proxy.model.loss(batch['inputs'], batch['data_samples'])
        total, _ = proxy.model.parse_losses(losses)
        energy = proxy.energy(pictures[i:i + 1].float() / 255, [slot])
        assert_close(energy[0], total, atol=1e-5, rtol=1e-5)


def test_energy_and_predictions_do_not_depend_on_the_memory_format(proxy, images):
    """A decoder may give images by pixel (channels-last), which mmcv's RoIAlign misreads."""
    by_pixel = images.contiguous(memory_format=torch.channels_last)
    features = proxy.model.extract_feat(proxy.normalize(by_pixel))
    assert not any(level.is_contiguous() for level in features)
    assert_close(proxy.energy(by_pixel, slots()), proxy.energy(images, slots()))
    for found, expected in zip(proxy.predict(by_pixel), proxy.predict(images)):
        assert_close(found.bboxes, expected.bboxes, atol=1e-3, rtol=1e-4)
        assert_close(found.scores, expected.scores, atol=1e-5, rtol=1e-4)


def test_terms_weigh_linearly(one, images):
    def energy(**terms):
        one.terms = terms
        return one.energy(images, slots())

    parts = {name: energy(**{name: 1.}) for name in ('rpn_cls', 'rpn_bbox', 'cls', 'bbox')}
    assert all((value >= 0).all() and value.sum() > 0 for value in parts.values())
    assert_close(energy(rpn_cls=1., rpn_bbox=1., cls=1., bbox=1.), sum(parts.values()))
    assert_close(energy(cls=2., bbox=.5), 2 * parts['cls'] + .5 * parts['bbox'])
    with pytest.raises(ValueError, match=r'has no loss_mask; its terms are .*rpn_cls'):
        energy(mask=1.)


def test_gradient_equals_finite_differences(proxy, images, monkeypatch):
    """In double precision; the samplers draw the same for each call."""
    from mmdet.models.dense_heads import rpn_head
    nms = rpn_head.batched_nms  # knows fp32 only

    def double_nms(boxes, scores, *args, **kwargs):
        dets, keep = nms(boxes.float(), scores.float(), *args, **kwargs)
        return dets.double(), keep

    monkeypatch.setattr(rpn_head, 'batched_nms', double_nms)
    model = copy.deepcopy(proxy)
    model.normalize = lambda x, divisor: (
        x * 255 - model.model.data_preprocessor.mean.double()
    ) / model.model.data_preprocessor.std.double()
    model.model.double()
    # Of the four terms this one alone is differentiated exactly: mmdet computes cross-entropy
    # in fp32 and holds the proposals of the RoI head fixed.
    model.terms = dict(rpn_bbox=1.)
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(1)).double()
    x = images.double().requires_grad_()
    gradient = torch.autograd.grad(model.energy(x, slots()).sum(), x)[0]
    expected = (gradient * direction).flatten(1).sum(1)
    assert expected.abs().max() > 1e-4
    ends = [model.energy(x.detach() + sign * 1e-6 * direction, slots()) for sign in (1, -1)]
    assert_close((ends[0] - ends[1]) / 2e-6, expected, atol=1e-8, rtol=1e-5)


def test_gradient_of_each_image_is_its_own(proxy, images):
    x = images.clone().requires_grad_()
    energy = proxy.energy(x, slots())
    gradient = torch.autograd.grad(energy[1], x)[0]
    assert torch.isfinite(gradient).all() and gradient[1].abs().sum() > 0
    assert not gradient[[0, 2, 3]].any()


def no_proposals(model):
    """Test settings under which a detector finds nothing."""
    found = copy.deepcopy(model)
    for name in ('rpn_proposal', 'rpn'):
        for cfg in (found.model.train_cfg, found.model.test_cfg):
            if name in cfg:
                cfg[name].max_per_img = 0
    found.model.rpn_head.test_cfg.max_per_img = 0
    found.model.train_cfg.rpn_proposal.min_bbox_size = 10**6
    found.model.train_cfg.rpn_proposal.nms_pre = 1
    return found


@pytest.mark.parametrize('bboxes, labels', [
    ([], []), ([[5, 5, 5, 5]], [1]), ([[5, 5, 5.5, 30]], [1]), ([[9, 9, 3, 3]], [1]),
    ([[-9, -9, 60, 60]], [1]), ([[40, 40, 60, 60]], [1])])
@pytest.mark.parametrize('black', [False, True])
@pytest.mark.parametrize('proposals', [False, True])
def test_odd_boxes_have_finite_energy_and_gradient(proxy, images, bboxes, labels, black,
                                                   proposals):
    model = proxy if proposals else no_proposals(proxy)
    x = (images[:1] * (0 if black else 1)).requires_grad_()
    energy = model.energy(x, [make_slot(0, bboxes, labels)])
    gradient = torch.autograd.grad(energy.sum(), x)[0]
    assert torch.isfinite(energy).all() and torch.isfinite(gradient).all()
    empty = model.energy(x, [make_slot(0, [], [])])
    kept = bboxes == [[-9, -9, 60, 60]]
    assert_close(energy, empty) if not kept else None
    if kept:
        assert_close(energy, model.energy(x, [make_slot(0, [[0, 0, 32, 32]], [1])]))
        assert (energy - empty).abs() > 1e-3


def test_a_slot_without_boxes_is_named(proxy, images):
    with pytest.raises(ValueError, match='slot 5 has no boxes'):
        proxy.energy(images[:1], [DistillSlot(5, 1, (32, 32), np.array([1]))])


def test_global_random_state_is_untouched(proxy, images):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    before = proxy.energy(images, slots())
    proxy.predict(images)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(4)
    assert torch.equal(proxy.energy(images, slots()), before)


def test_the_samplers_are_seeded_by_the_slot(proxy, images):
    slot = slots()[1]
    first = proxy.energy(images[:1], [slot])
    others = [proxy.energy(images[:1], [slot.retry(0, r)]) for r in (1, 2, 3)]
    assert any(not torch.equal(first, other) for other in others)


def test_the_proxy_is_frozen(proxy):
    assert not any(p.requires_grad for p in proxy.parameters())
    assert not any(m.training for m in proxy.train().modules())


@pytest.mark.parametrize('to_rgb', [True, False])
def test_predictions_equal_stock_mmdet(digits, detector_checkpoint, images, to_rgb):
    """Through the stock preprocessor: BGR images, the config's channel order and colours."""
    job = tiny.detector_job(digits)
    job['model']['data_preprocessor'].update(bgr_to_rgb=to_rgb, mean=[100., 120., 140.],
                                             std=[50., 60., 70.])
    model = DetectorProxy(job, detector_checkpoint)
    pictures = (images * 255).round().byte()[..., :30, :28]  # padded to 32 x 32 by both
    assert_close(model.normalize(pictures.float() / 255, 8), model.model.data_preprocessor(
        stock_batch(pictures), False)['inputs'], atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        stock = model.model.test_step(stock_batch(pictures))
    mine = model.predict(pictures.float() / 255)
    assert sum(len(m) for m in mine) > 4
    for m, s in zip(mine, stock):
        s = s.pred_instances
        assert m.labels.tolist() == s.labels.tolist()
        assert_close(m.scores, s.scores, atol=1e-4, rtol=1e-3)
        assert_close(m.bboxes, s.bboxes, atol=1e-2, rtol=1e-3)


def test_predictions_are_in_pixels_of_the_image(digits, detector_checkpoint, images):
    """A proxy that resizes its input answers in pixels of what it was given."""
    job = tiny.detector_job(digits)
    pipeline = [dict(type='LoadImageFromFile'),
                dict(type='mmdet.Resize', scale=(64, 32), keep_ratio=False)]
    job['test_dataloader'] = dict(dataset=dict(type='VOCDataset', pipeline=pipeline))
    resized = DetectorProxy(job, detector_checkpoint)
    plain = DetectorProxy(job, detector_checkpoint, input_scale=None)
    assert resized.scale == ((64, 32), False) and plain.scale == (None, False)
    wide = torch.nn.functional.interpolate(images, size=(32, 64), mode='bilinear')
    for small, large in zip(resized.predict(images), plain.predict(wide)):
        assert len(small) == len(large) > 0
        assert_close(small.bboxes * torch.tensor([2., 1, 2, 1]), large.bboxes)
    slot = slots()[1]
    stretched = make_slot(1, slot.bboxes * [2, 1, 2, 1], slot.labels)
    assert_close(resized.energy(images[:1], [slot]), plain.energy(wide[:1], [stretched]))


@pytest.mark.parametrize('scale, keep_ratio', [
    ((64, 48), True), ((64, 48), False), ((20, 12), True), ((17, 25), False), ((32, 24), True)])
def test_resizing_equals_mmcv(images, scale, keep_ratio):
    import mmcv
    pictures = (images[..., :24, :] * 255).round()
    mine = resize_images(pictures / 255, scale, keep_ratio) * 255
    for image, result in zip(pictures, mine):
        array = image.permute(1, 2, 0).numpy()
        stock = mmcv.imrescale(array, scale) if keep_ratio else mmcv.imresize(array, scale)
        assert_close(result.permute(1, 2, 0), torch.from_numpy(stock), atol=.2, rtol=0)


def found(*rows):
    """Hand-made detections: (box, label, score)."""
    return InstanceData(bboxes=torch.tensor([r[0] for r in rows]).float().reshape(-1, 4),
                        labels=torch.tensor([r[1] for r in rows], dtype=torch.long),
                        scores=torch.tensor([r[2] for r in rows], dtype=torch.float32))


A, B, C = [0., 0, 10, 10], [12., 0, 22, 10], [0., 14, 10, 24]


@pytest.mark.parametrize('detections, mean, matched', [
    ([], 0., 0.),
    ([(A, 1, .9), (B, 2, .7)], .8, .8),  # both found
    ([(A, 1, .9)], .9, .45),  # one found
    ([(A, 1, .9), (A, 1, .8), (B, 2, .6)], .7667, .75),  # a duplicate serves no second box
    ([(A, 2, .9), (B, 2, .7)], .8, .35),  # a wrong class
    ([(C, 1, .9)], .9, 0.),  # a wrong place
    ([(A, 1, .4), (B, 2, .4)], 0., .4),  # below relabel_thr
    ([([0., 0, 10, 5], 1, .6)], .6, .3),  # IoU of exactly one half
    ([([0., 0, 10, 4.9], 1, .6)], .6, 0.)])
def test_scores_of_hand_made_predictions(one, images, detections, mean, matched):
    sample = DistilledSample(make_slot(0, [A, B], [1, 2]))
    expected = dict(mean=mean, matched=matched, both=min(mean, matched))
    one.relabel_thr = .5
    for one.score_mode, value in expected.items():
        score = one.score(images[:1], [sample], [found(*detections)])
        assert score.shape == (1, ) and abs(float(score) - value) < 1e-4, one.score_mode


def test_an_exact_image_shows_what_was_asked_for_and_nothing_else(one, images):
    """Asked for: A of class 1 and B of class 2."""
    sample = DistilledSample(make_slot(0, [A, B], [1, 2]))
    one.relabel_thr, one.score_mode, far = .5, 'exact', [20., 2, 28, 9]
    for items, wanted in (
            ([(A, 1, .9), (B, 2, .7)], .8),
            ([(A, 1, .9), (B, 2, .7), (C, 5, .4)], .8),  # too unsure to count
            ([(A, 1, .9), (B, 2, .7), (far, 5, .8)], 1.6 / 3),  # something else
            ([(A, 1, .9), (B, 2, .7), (far, 1, .8)], 1.6 / 3),  # another one
            ([(A, 1, .9), (A, 4, .6), (B, 2, .7)], 1.6 / 3),  # named twice
            ([(A, 1, .9), (B, 2, .4)], .65),  # matched, but no label
            ([(A, 1, .9)], .45), ([(B, 1, .9)], 0.), ([], 0.)):
        score, = one.score(images[:1], [sample], [found(*items)])
        assert float(score) == pytest.approx(wanted, abs=1e-5), items
    one.relabel_iou = .5
    twice = found((A, 1, .9), (A, 4, .6), (B, 2, .7))
    assert float(one.score(images[:1], [sample], [twice])) == pytest.approx(.8, abs=1e-5)
    assert one.relabel(images[:1], [twice])[0].labels.tolist() == [1, 2]
    one.score_mode = 'mean'
    assert float(one.score(images[:1], [sample], [twice])) == pytest.approx(.8, abs=1e-5)


def test_matching_serves_the_best_overlap_first():
    boxes, labels = [A, [2., 0, 12, 10]], [1, 1]
    assert matched_score(found((A, 1, .8), ([2., 0, 12, 10], 1, .6)), boxes, labels) == \
        pytest.approx(.7)
    assert matched_score(found((A, 1, .8)), None, [1]) == 0
    assert matched_score(found((A, 1, .8)), [], []) == 0


def test_one_object_has_one_label_where_that_is_asked_for(one, images):
    """Of detections on one another the surest stays, whatever their classes."""
    detections = found(
        ([0., 0, 10, 10], 8, .7), ([0., 0, 10, 10], 6, .9), ([0., 2, 10, 12], 5, .8),
        ([0., 5, 10, 15], 4, .6), ([20., 20, 30, 30], 6, .8), ([20., 20, 30, 30], 9, .3))
    one.relabel_thr = .5
    # IoU: 1 of the first two, 2/3 of the third and 1/3 of the fourth with them, 7/13 of those.
    for one.relabel_iou, wanted in ((None, [8, 6, 5, 4, 6]), (.7, [6, 5, 4, 6]),
                                    (.6, [6, 4, 6]), (.5, [6, 4, 6]), (.2, [6, 6])):
        label, = one.relabel(images[:1], [detections])
        assert label.labels.tolist() == wanted, one.relabel_iou
    none, = one.relabel(images[:1], [found()])
    assert none.labels.tolist() == []


def test_relabelling_keeps_confident_boxes_inside_the_image(one, images):
    one.relabel_thr = .5
    detections = found(
        ([-5., -2, 10, 9], 1, .9), ([20., 20, 45, 31.7], 2, .5), ([3., 3, 9, 9], 3, .49),
        ([31., 5, 40, 9], 4, .9), ([5., 5, 5.5, 20], 5, .9))
    label, = one.relabel(images[:1], [detections])
    assert label.labels.tolist() == [1, 2]
    assert label.bboxes.tolist() == [[0, 0, 10, 9], [20, 20, 31, 31]]
    none, = one.relabel(images[:1], [found()])
    assert none.bboxes.shape == (0, 4) and len(none.labels) == 0


def test_predictions_are_made_where_none_are_given(one, images):
    one.relabel_thr = .02
    predictions = one.predict(images)
    samples = [DistilledSample(slot) for slot in slots()]
    assert_close(one.score(images, samples), one.score(images, samples, predictions))
    assert one.score(images, samples).max() > 0
    for a, b in zip(one.relabel(images), one.relabel(images, predictions)):
        assert np.array_equal(a.bboxes, b.bboxes)
        assert (a.bboxes >= 0).all() and (a.bboxes <= 31).all()


def test_classes_come_from_the_config(proxy):
    assert proxy.classes == tiny.CLASSES


@pytest.mark.parametrize('kwargs, words', [
    (dict(score_mode='best'), 'score_mode'), (dict(input_scale='train'), 'input_scale')])
def test_bad_settings(digits, kwargs, words):
    with pytest.raises(ValueError, match=words):
        DetectorProxy(tiny.detector_job(digits), **kwargs)


def test_bad_checkpoints(digits, tmp_path):
    job = tiny.detector_job(digits)
    with pytest.raises(ValueError, match='no proxy checkpoint'):
        DetectorProxy(job, str(tmp_path / 'none.pth'))
    (tmp_path / 'broken.pth').write_bytes(b'broken')
    with pytest.raises(ValueError, match='cannot be loaded as the proxy'):
        DetectorProxy(job, str(tmp_path / 'broken.pth'))
    torch.save(dict(state_dict=dict(other=torch.zeros(1))), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='cannot be loaded as the proxy') as caught:
        DetectorProxy(job, str(tmp_path / 'other.pth'))
    assert '\n' not in str(caught.value)
