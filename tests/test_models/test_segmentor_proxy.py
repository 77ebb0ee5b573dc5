"""The segmentor as energy, score and labeller, beside stock mmseg."""
import copy

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from guided import check_guided
from mmengine.structures import PixelData
from torch.testing import assert_close

from mmdd.models import ProxyRefiner, SegmentorProxy
from mmdd.models.proxies.segmentor import found_score, matched_score
from mmdd.structures import IGNORE, DistilledSample, DistillSlot, slot_seed


def make_slot(id, mask):
    labels = np.setdiff1d(np.unique(mask), [0, IGNORE]).astype(np.int64)
    return DistillSlot(id, slot_seed(0, id), mask.shape, labels, mask=mask)


def masks(height=32, width=32):
    """Digits on background, partly ignored, by a rule of their own each."""
    rng = np.random.default_rng(0)
    found = np.zeros((4, height, width), np.uint8)
    for i, mask in enumerate(found):
        mask[3:20, 5 + i:15 + i] = rng.integers(1, 11)
        mask[20:, :7 * i] = rng.integers(1, 11)
        mask[:, 25:25 + i] = IGNORE
    return found


def slots(*size):
    return [make_slot(i, mask) for i, mask in enumerate(masks(*size))]


@pytest.fixture
def images():
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def one(segmentor_proxy):
    """The shared proxy with settings that a test may change."""
    model = copy.copy(segmentor_proxy)
    model.__dict__ = dict(segmentor_proxy.__dict__)
    return model


def stock_batch(pictures, found=None, size=None):
    """uint8 BGR images and data samples, as an mmseg dataloader gives them."""
    from mmseg.structures import SegDataSample
    samples = []
    for i, picture in enumerate(pictures):
        shape = tuple(picture.shape[1:])
        sample = SegDataSample(metainfo=dict(img_shape=shape, ori_shape=size or shape))
        if found is not None:
            sample.gt_sem_seg = PixelData(data=torch.from_numpy(found[i].astype(np.int64))[None])
        samples.append(sample)
    return dict(inputs=[picture.flip(0) for picture in pictures], data_samples=samples)


def test_energy_is_the_loss_of_stock_mmseg(segmentor_proxy, images):
    """Of an image without ignored pixels: mmseg averages over those as well."""
    model, pictures = segmentor_proxy.model, (images * 255).round().byte()
    found = masks()
    found[found == IGNORE] = 0
    energy = segmentor_proxy.energy(pictures.float() / 255,
                                    [make_slot(i, mask) for i, mask in enumerate(found)])
    assert energy.dtype == torch.float32 and energy.std() > 1e-3
    for i in range(4):
        batch = model.data_preprocessor(stock_batch(pictures[i:i + 1], found[i:i + 1]), True)
        loss = model.loss(batch['inputs'], batch['data_samples'])['decode.loss_ce']
        assert_close(energy[i], loss, atol=1e-5, rtol=1e-5)


def test_ignored_pixels_do_not_count(segmentor_proxy, images):
    """Against a loop over the pixels that are left."""
    logits = segmentor_proxy.logits(images)
    assert logits.shape == (4, 11, 32, 32)
    for i, slot in enumerate(slots()):
        logs = logits[i].log_softmax(0).numpy()
        losses = [-logs[slot.mask[y, x], y, x] for y in range(32) for x in range(32)
                  if slot.mask[y, x] != IGNORE]
        energy = segmentor_proxy.energy(images[i:i + 1], [slot])
        assert float(energy) == pytest.approx(np.mean(losses), rel=1e-5)


def test_nothing_but_ignored_pixels(segmentor_proxy, images):
    empty = make_slot(1, np.full((32, 32), IGNORE, np.uint8))
    x = images[:2].clone().requires_grad_()
    energy = segmentor_proxy.energy(x, [slots()[0], empty])
    assert energy[0] > 0 and energy[1] == 0 and energy.requires_grad
    gradient = torch.autograd.grad(energy.sum(), x)[0]
    assert gradient[0].any() and not gradient[1].any() and torch.isfinite(gradient).all()


def test_energy_does_not_depend_on_batch_mates(segmentor_proxy, images):
    together = segmentor_proxy.energy(images, slots())
    alone = torch.cat([segmentor_proxy.energy(images[i:i + 1], [s])
                       for i, s in enumerate(slots())])
    assert_close(alone, together, atol=1e-5, rtol=1e-5)
    order = [2, 0, 3, 1]
    turned = segmentor_proxy.energy(images[order], [slots()[i] for i in order])
    assert_close(turned, together[order], atol=1e-5, rtol=1e-5)
    x = images.clone().requires_grad_()
    gradient = torch.autograd.grad(segmentor_proxy.energy(x, slots())[1], x)[0]
    assert gradient[1].any() and not gradient[[0, 2, 3]].any()


@pytest.mark.parametrize('change', [None, 'resize', 'slide'])
def test_gradient_equals_finite_differences(one, images, change):
    """In double precision, also through resizing and through sliding windows."""
    model = copy.deepcopy(one).double()
    if change == 'resize':
        model.view.steps = resized(one, (48, 40)).view.steps
    elif change == 'slide':
        model.model.test_cfg.update(mode='slide', crop_size=(20, 20), stride=(12, 12))
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(1)).double()
    x = images.double().requires_grad_()
    gradient = torch.autograd.grad(model.energy(x, slots()).sum(), x)[0]
    expected = (gradient * direction).flatten(1).sum(1)
    assert expected.abs().max() > 1e-3
    ends = [model.energy(x.detach() + sign * 1e-6 * direction, slots()) for sign in (1, -1)]
    assert_close((ends[0] - ends[1]) / 2e-6, expected, atol=1e-7, rtol=1e-4)


def resized(proxy, scale, keep_ratio=False, **kwargs):
    """The same proxy with a test pipeline that resizes."""
    job = proxy.cfg.to_dict()
    job['test_dataloader'] = dict(dataset=dict(type='BaseSegDataset', pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=scale, keep_ratio=keep_ratio), dict(type='LoadAnnotations'),
        dict(type='PackSegInputs')]))
    model = SegmentorProxy(job, **kwargs)
    model.model.load_state_dict(proxy.model.state_dict())
    return model


@pytest.mark.parametrize('to_rgb, test_cfg, size', [
    (True, None, (32, 32)), (False, None, (26, 30)), (True, dict(size_divisor=16), (26, 30)),
    (True, dict(size=(40, 36)), (26, 30)), (True, dict(size=(20, 20)), (26, 30))])
def test_predictions_equal_stock_mmseg(segmentor_proxy, images, to_rgb, test_cfg, size):
    """Through the stock preprocessor: BGR images, channel order, colours and padding."""
    job = segmentor_proxy.cfg.to_dict()
    job['model']['data_preprocessor'].update(
        bgr_to_rgb=to_rgb, mean=[100., 120., 140.], std=[50., 60., 70.], test_cfg=test_cfg,
        pad_val=2)
    model = SegmentorProxy(job)
    model.model.load_state_dict(segmentor_proxy.model.state_dict())
    pictures = (images * 255).round().byte()[..., :size[0], :size[1]]
    assert_close(model._inputs(pictures.float() / 255)[0], model.model.data_preprocessor(
        stock_batch(pictures), False)['inputs'], atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        stock = model.model.test_step(stock_batch(pictures))
    logits = model.logits(pictures.float() / 255)
    for mine, label, s in zip(logits, model.relabel(pictures.float() / 255), stock):
        assert_close(mine, s.seg_logits.data, atol=1e-4, rtol=1e-4)
        assert label.mask.dtype == np.uint8
        assert np.array_equal(label.mask, s.pred_sem_seg.data[0].numpy())


@pytest.mark.parametrize('scale, keep_ratio, input_size', [
    ((64, 48), False, (48, 64)), ((200, 50), True, (50, 63)), ((24, 16), False, (16, 24))])
def test_resizing_is_that_of_stock_mmseg(segmentor_proxy, images, scale, keep_ratio, input_size):
    """The input has the size of the test pipeline, the answer that of the image."""
    model = resized(segmentor_proxy, scale, keep_ratio)
    pictures = images[..., :24, :30]
    x, size = model._inputs(pictures)
    assert size == input_size == tuple(x.shape[2:])
    large = F.interpolate(pictures, size=input_size, mode='bilinear') * 255
    with torch.no_grad():
        stock = model.model.test_step(stock_batch(large, size=(24, 30)))
    for mine, s in zip(model.logits(pictures), stock):
        assert mine.shape == (11, 24, 30)
        assert_close(mine, s.seg_logits.data, atol=1e-4, rtol=1e-4)
    plain = resized(segmentor_proxy, scale, keep_ratio, input_scale=None)
    assert plain._inputs(pictures)[1] == (24, 30)


def test_scores_of_hand_made_predictions(one, images):
    """Two classes on four pixels; the last one is ignored."""
    mask = np.array([[0, 1], [1, IGNORE]], np.uint8)
    first = torch.tensor([[.9, .4], [.7, .8]])
    probabilities = torch.stack([first, 1 - first])
    sample = DistilledSample(make_slot(0, mask))
    mean, matched = (.9 + .6 + .7 + .8) / 4, (.9 + .6 + .3) / 3
    for one.score_mode, expected in (('mean', mean), ('matched', matched), ('both', matched)):
        score = one.score(None, [sample], [probabilities])
        assert score.shape == (1, ) and float(score) == pytest.approx(expected, abs=1e-6)
    empty = torch.full((2, 2), IGNORE)
    assert matched_score(probabilities, empty) == 0
    assert matched_score(probabilities, torch.zeros(2, 2, dtype=torch.long)) == \
        pytest.approx(.7, abs=1e-6)


def test_the_score_of_what_is_found_anywhere(one):
    """Background 0 and three classes; the largest probability of each pixel is known."""
    classes = torch.tensor([[0, 0, 1], [0, 2, 2]])
    confidence = torch.tensor([[.99, .99, .9], [.99, .8, .6]])
    probabilities = ((1 - confidence) / 3).expand(4, 2, 3).scatter(
        0, classes[None], confidence[None])
    for asked, expected in (
            ([0, 1, 2], (.9 + .8 + .6) / 3),  # pixels 0.767, classes (0.9 + 0.7) / 2
            ([0, 2], (.8 + .6) / 3),          # a third of what is seen was not asked for
            ([0, 1, 2, 3], (.9 + .7) / 3),    # a third of what was asked for is not seen
            ([0, 3], 0), ([0], 0)):
        assert found_score(probabilities, asked, [0, IGNORE]) == pytest.approx(expected)
    empty = torch.tensor([.97, .01, .01, .01]).view(4, 1, 1).expand(4, 2, 3)
    assert found_score(empty, [0, IGNORE], [0, IGNORE]) == pytest.approx(.97)
    assert found_score(empty, [1], [0, IGNORE]) == 0

    # The proxy takes what the slot's mask asks for, wherever it is.
    one.score_mode = 'found'
    mask = np.array([[2, 2, 0], [1, 0, IGNORE]], np.uint8)
    score = one.score(None, [DistilledSample(make_slot(0, mask))], [probabilities])
    assert float(score) == pytest.approx((.9 + .8 + .6) / 3)


def test_scores_of_images(one, images):
    samples = [DistilledSample(slot) for slot in slots()]
    probabilities = one.predict(images)
    assert_close(torch.stack(probabilities).sum(1), torch.ones(4, 32, 32))
    both = {}
    for one.score_mode in ('mean', 'matched', 'both'):
        both[one.score_mode] = one.score(images, samples)
        assert torch.equal(one.score(images, samples, probabilities), both[one.score_mode])
        assert (both[one.score_mode] > 0).all() and (both[one.score_mode] <= 1).all()
    assert torch.equal(both['both'], torch.minimum(both['mean'], both['matched']))
    # Jensen: the mean probability is at least the exponential of the mean logarithm.
    assert (both['matched'] >= (-one.energy(images, slots())).exp() - 1e-6).all()


def hand_made(*rows):
    """Certain predictions of a label map."""
    return F.one_hot(torch.tensor(rows), 11).permute(2, 0, 1).float()


def test_relabelling(one, images):
    labels = one.relabel(None, [hand_made([0, 4], [4, 10]), hand_made([0, 0], [0, 0])])
    assert [label.labels.tolist() for label in labels] == [[4, 10], []]
    assert labels[0].mask.tolist() == [[0, 4], [4, 10]] and labels[0].mask.dtype == np.uint8
    assert labels[0].labels.dtype == np.int64
    # Without class names nothing says that index 0 is the background.
    one.cfg = copy.deepcopy(one.cfg)
    one.cfg.train_dataloader.dataset = dict(type='BaseSegDataset')
    assert one.relabel(None, [hand_made([0, 4])])[0].labels.tolist() == [0, 4]


def test_refinement(one, monkeypatch):
    """A sample without a foreground class is rejected; the others get label and mask."""
    samples = [DistilledSample(slot, np.zeros((32, 32, 3), np.uint8), labels=slot.labels,
                               mask=slot.mask) for slot in slots()[:2]]
    monkeypatch.setattr(one, 'predict', lambda images: [
        hand_made(*[[3] * 32] * 32), hand_made(*[[0] * 32] * 32)])
    ProxyRefiner(.5)(samples, one)
    assert [s.accepted for s in samples] == [True, False]
    assert samples[0].labels.tolist() == [3] and (samples[0].mask == 3).all()
    assert np.array_equal(samples[1].mask, samples[1].slot.mask)


def test_features(segmentor_proxy, images):
    features = segmentor_proxy.features(images)
    maps = segmentor_proxy.model.backbone(segmentor_proxy.normalize(images))
    assert features.shape == (4, 16)
    assert_close(features, maps[-1].mean((2, 3)))


def test_classes(segmentor_proxy):
    assert segmentor_proxy.classes == ('background', ) + tiny.CLASSES
    job = segmentor_proxy.cfg.to_dict()
    job['train_dataloader']['dataset'] = dict(type='PascalVOCDataset')
    names = SegmentorProxy(job).classes
    assert len(names) == 21 and names[:2] == ('background', 'aeroplane')


def test_the_proxy_is_frozen(segmentor_proxy):
    assert not any(p.requires_grad for p in segmentor_proxy.parameters())
    assert not any(m.training for m in segmentor_proxy.train().modules())


@pytest.mark.parametrize('mask, words', [
    (None, 'slot 5 has no mask'), (np.zeros((32, 30), np.uint8), r'\(32, 30\), the image'),
    (np.full((32, 32), 11, np.uint8), 'slot 5 has the index 11; the proxy knows 11 classes')])
def test_wrong_masks_are_named(segmentor_proxy, images, mask, words):
    slot = DistillSlot(5, 1, (32, 32), np.array([1]), mask=mask)
    with pytest.raises(ValueError, match=words):
        segmentor_proxy.energy(images[:1], [slot])


@pytest.mark.parametrize('kwargs, words', [
    (dict(score_mode='max'), 'score_mode'), (dict(input_scale='train'), 'input_scale')])
def test_bad_settings(segmentor_proxy, kwargs, words):
    with pytest.raises(ValueError, match=words):
        SegmentorProxy(segmentor_proxy.cfg, **kwargs)


def test_models_that_do_not_fit_are_named(digits):
    job = tiny.segmentor_job(digits)
    job['model']['decode_head'].update(
        num_classes=2, out_channels=1, threshold=.3,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True))
    with pytest.raises(ValueError, match='gives 1 channels, it must be one per class'):
        SegmentorProxy(job)
    with pytest.raises(ValueError, match='takes a model of mmseg, its cfg has a FasterRCNN'):
        SegmentorProxy(tiny.detector_job(digits))
    job = tiny.segmentor_job(digits)
    job['test_dataloader'] = dict(dataset=dict(pipeline=[dict(type='CenterCrop', crop_size=8)]))
    with pytest.raises(ValueError, match='crops its images'):
        SegmentorProxy(job)


def test_guided_by_the_segmentor(segmentor_proxy, tiny_sd):
    asked = slots()
    for slot in asked:
        slot.prompt = f'a photo of {slot.labels[0] - 1}'
    made = check_guided(segmentor_proxy, tiny_sd, asked, 1000.)
    assert all(np.array_equal(s.mask, slot.mask) for s, slot in zip(made, asked))
