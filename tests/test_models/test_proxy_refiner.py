"""Equation 11: score, filter, relabel."""
import copy

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData

from mmdd.models import ClassifierProxy, DetectorProxy, ProxyRefiner, SegmentorProxy
from mmdd.models.proxies.scoring import images_to_tensor, judge_samples, predict_samples
from mmdd.structures import DistilledSample, DistillSlot


def made(slot, shade=0):
    """A sample of one shade with the labels of its slot."""
    return DistilledSample(slot, np.full((32, 32, 3), shade, np.uint8), labels=slot.labels,
                           bboxes=slot.bboxes, mask=slot.mask)


def seen(samples, predictions):
    """Samples whose images the proxy has looked at before, with that outcome."""
    for sample, prediction in zip(samples, predictions):
        sample.predictions['proxy'] = (sample.image, prediction)
    return samples


def found(*rows):
    """Detections from rows of (x1, y1, x2, y2, label, score)."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    return InstanceData(bboxes=table[:, :4], labels=table[:, 4].long(), scores=table[:, 5])


SLOT_BOXES = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)


def det_samples(*predictions):
    slots = [DistillSlot(i, i, (32, 32), np.array([8, 9]), SLOT_BOXES)
             for i in range(len(predictions))]
    return seen([made(slot) for slot in slots], predictions)


@pytest.fixture
def detector(proxy):
    one = copy.copy(proxy)
    one.relabel_thr, one.score_mode = 0.5, 'mean'
    return one


@pytest.mark.parametrize('threshold', [0.5, .6, .75, .85, .9, 1.])
def test_the_threshold_is_inclusive(detector, threshold):
    below = float(np.nextafter(np.float32(threshold), np.float32(0)))
    samples = det_samples(*[found((0, 0, 9, 9, 1, s)) for s in (threshold, below, threshold)])
    detector.relabel_thr = 0.
    ProxyRefiner(threshold)(samples, detector)
    assert [s.accepted for s in samples] == [True, False, True]
    assert [s.score for s in samples] == pytest.approx([threshold, below, threshold], abs=1e-7)
    assert all(s.rank is None for s in samples)


def test_labels_of_the_proxy_replace_those_of_accepted_slots_alone(detector):
    samples = det_samples(found((1, 1, 9, 9, 1, .9), (12, 3, 19, 9, 2, .8)),
                          found((1, 1, 9, 9, 3, .6), (12, 3, 19, 9, 2, .4)))
    ProxyRefiner(.7)(samples, detector)
    assert [s.accepted for s in samples] == [True, False]
    assert samples[0].labels.tolist() == [1, 2] and samples[1].labels.tolist() == [8, 9]
    assert samples[0].bboxes.tolist() == [[1, 1, 9, 9], [12, 3, 19, 9]]
    assert np.array_equal(samples[1].bboxes, SLOT_BOXES)
    assert [s.label_source for s in samples] == ['proxy', 'slot']
    assert samples[0].slot.labels.tolist() == [8, 9]


def test_nothing_detected_is_rejected_and_keeps_the_label_of_its_slot(detector):
    samples = det_samples(found((1, 1, 9, 9, 3, .49)), found(), found((1, 1, 9, 9, 4, .9)))
    ProxyRefiner(0.)(samples, detector)
    assert [s.accepted for s in samples] == [False, False, True]
    for sample in samples[:2]:
        assert sample.labels.tolist() == [8, 9] and sample.label_source == 'slot'
        assert np.array_equal(sample.bboxes, SLOT_BOXES) and sample.score == 0.


def test_without_relabelling(detector):
    samples = det_samples(found((1, 1, 9, 9, 3, .9)), found((1, 1, 9, 9, 4, .6)), found())
    ProxyRefiner(.7, relabel=False)(samples, detector)
    assert [s.accepted for s in samples] == [True, False, False]
    assert all(s.labels.tolist() == [8, 9] and s.label_source == 'slot' for s in samples)


@pytest.mark.parametrize('labels', ['proxy', 'slot', 'merged'])
@pytest.mark.parametrize('reject_labels', ['proxy', 'slot', 'merged'])
def test_accepted_and_rejected_images_have_the_labels_asked_for(detector, labels, reject_labels):
    # One box of the slot is seen, as another class; of the other one there is no trace.
    expected = dict(proxy=[3], slot=[8, 9], merged=[3, 9])
    samples = det_samples(found((0, 0, 10, 9, 3, .9)), found((0, 0, 10, 9, 3, .6)))
    ProxyRefiner(.7, labels=labels, reject_labels=reject_labels)(samples, detector)
    for sample, source in zip(samples, (labels, reject_labels)):
        assert sample.labels.tolist() == expected[source] and sample.label_source == source
        assert len(sample.bboxes) == len(sample.labels)


def cls_samples(rows):
    slots = [DistillSlot(i, i, (32, 32), np.array([label])) for i, (label, _) in enumerate(rows)]
    return seen([made(slot) for slot in slots], [torch.tensor(p) for _, p in rows])


@pytest.mark.parametrize('options', [
    {}, dict(reject_labels='proxy'), dict(labels='merged', reject_labels='merged')])
def test_a_rejected_class_stays_where_it_was_asked_for(classifier_proxy, options):
    samples = cls_samples([(1, [.05, .9, .05]), (1, [.9, .1, 0.]), (2, [.3, .3, .4])])
    ProxyRefiner(.8, **options)(samples, classifier_proxy)
    assert [s.accepted for s in samples] == [True, False, False]
    assert [s.labels.tolist() for s in samples] == [[1], [1], [2]]
    assert [s.label_source for s in samples] == [options.get('labels', 'proxy'), 'slot', 'slot']


@pytest.mark.parametrize('by', ['proxy', 'both'])
def test_a_score_that_is_not_finite_fails(classifier_proxy, by):
    nan = float('nan')
    samples = cls_samples([(1, [.05, .9, .05]), (1, [nan, nan, nan])])
    for sample in samples:
        sample.judge_score = 1.
    ProxyRefiner(.5, by=by)(samples, classifier_proxy)
    assert [s.failure for s in samples] == ['', 'score not finite']
    assert [s.accepted for s in samples] == [True, False] and samples[1].score is None
    assert samples[1].labels.tolist() == [1] and samples[1].image is None


def test_a_score_that_is_not_finite_fails_with_masks_and_boxes(segmentor_proxy, detector):
    mask = np.full((32, 32), 4, np.uint8)
    one = DistilledSample(DistillSlot(0, 0, (32, 32), np.array([4]), mask=mask))
    one.image = np.zeros((32, 32, 3), np.uint8)
    empty = found()
    empty.set_metainfo(dict(finite=False))
    boxed = det_samples(empty)
    ProxyRefiner(0.)(seen([one], [torch.full((11, 32, 32), float('nan'))]), segmentor_proxy)
    ProxyRefiner(0.)(boxed, detector)
    for sample in (one, *boxed):
        assert sample.failure == 'score not finite' and sample.score is None
        assert np.array_equal(sample.labels, sample.slot.labels)
    assert one.mask is mask and np.array_equal(boxed[0].bboxes, SLOT_BOXES)


def test_a_rejected_mask_stays_that_of_its_slot(segmentor_proxy):
    mask = np.full((32, 32), 4, np.uint8)
    certain = torch.nn.functional.one_hot(torch.full((32, 32), 7), 11).permute(2, 0, 1).float()
    one = copy.copy(segmentor_proxy)
    one.score_mode = 'matched'
    for options, label in (({}, 4), (dict(reject_labels='proxy'), 7)):
        sample = made(DistillSlot(0, 0, (32, 32), np.array([4]), mask=mask))
        ProxyRefiner(.5, **options)(seen([sample], [certain]), one)
        assert not sample.accepted and sample.labels.tolist() == [label]
        assert (sample.mask == label).all()


def test_an_accepted_class_is_the_proxys_where_it_is_sure(classifier_proxy):
    one = copy.copy(classifier_proxy)
    one.score_mode, one.relabel_thr = 'max', .5
    samples = cls_samples([(1, [.8, .1, .1]), (1, [.4, .3, .3])])
    ProxyRefiner(.3)(samples, one)
    assert all(s.accepted for s in samples)
    assert [s.labels.tolist() for s in samples] == [[0], [1]]
    assert [s.label_source for s in samples] == ['proxy', 'slot']


def random_proxy(kind, job):
    torch.manual_seed(3)
    return kind(job)


def photographs(num, **slot):
    """Samples of held-out photographs, which no network was trained on."""
    from sklearn.datasets import load_sample_image
    picture = load_sample_image('china.jpg')[100:]
    return [DistilledSample(
        DistillSlot(i, i, (32, 32), **{key: value[i] for key, value in slot.items()}),
        np.ascontiguousarray(picture[8 * i:8 * i + 32, 16 * i:16 * i + 32]))
        for i in range(num)]


def with_slot_labels(samples):
    for sample in samples:
        sample.labels, sample.bboxes, sample.mask = (
            sample.slot.labels, sample.slot.bboxes, sample.slot.mask)
    return samples


@pytest.mark.parametrize('threshold', [0., .9])
@pytest.mark.parametrize('score_mode', ['matched', 'max'])
def test_an_untrained_classifier_leaves_every_class(digits, threshold, score_mode):
    proxy = random_proxy(ClassifierProxy, tiny.classifier_job(digits))
    proxy.score_mode = score_mode
    samples = with_slot_labels(photographs(20, labels=[np.array([i % 10]) for i in range(20)]))
    ProxyRefiner(threshold)(samples, proxy)
    predicted = proxy.relabel(images_to_tensor(samples))
    assert len({int(label.labels[0]) for label in predicted}) < 10  # it would empty classes
    assert [int(s.labels[0]) for s in samples] == [i % 10 for i in range(20)]
    assert all(s.label_source == 'slot' and s.accepted == (threshold == 0) for s in samples)


@pytest.mark.parametrize('reject_labels', ['proxy', 'merged', 'slot'])
def test_an_untrained_detector_leaves_every_box(digits, reject_labels):
    proxy = random_proxy(DetectorProxy, tiny.detector_job(digits))
    assert max(float(p.scores.max()) for p in proxy.predict(images_to_tensor(
        photographs(4, labels=[np.array([1])] * 4)))) < .5
    samples = with_slot_labels(photographs(
        4, labels=[np.array([i, 9]) for i in range(4)], bboxes=[SLOT_BOXES] * 4))
    ProxyRefiner(0., reject_labels=reject_labels)(samples, proxy)
    for i, sample in enumerate(samples):
        assert sample.labels.tolist() == [i, 9] and np.array_equal(sample.bboxes, SLOT_BOXES)
        assert sample.label_source == 'slot' and not sample.accepted and sample.score == 0


@pytest.mark.parametrize('reject_labels', ['proxy', 'merged', 'slot'])
def test_an_untrained_segmentor_leaves_every_mask(digits, reject_labels):
    proxy = random_proxy(SegmentorProxy, tiny.segmentor_job(digits))
    masks = [np.zeros((32, 32), np.uint8) for _ in range(4)]
    for i, mask in enumerate(masks):
        mask[4:20, 6:18] = i + 1
    samples = with_slot_labels(photographs(
        4, labels=[np.array([i + 1]) for i in range(4)], mask=masks))
    ProxyRefiner(0., reject_labels=reject_labels)(samples, proxy)
    for i, sample in enumerate(samples):
        assert sample.labels.tolist() == [i + 1] and np.array_equal(sample.mask, masks[i])
        assert sample.label_source == 'slot' and not sample.accepted and sample.score == 0


def test_merged_masks_of_the_segmentor(segmentor_proxy):
    """Two objects were asked for; the proxy sees one elsewhere and is unsure of another."""
    asked = np.zeros((32, 32), np.uint8)
    asked[0:8, 0:8], asked[20:28, 20:28] = 1, 2
    sees = np.zeros((32, 32), np.int64)
    sees[0:8, 1:8], sees[12:16, 12:16], sees[28:32, 0:4] = 5, 6, 7
    probabilities = F.one_hot(torch.from_numpy(sees), 11).permute(2, 0, 1).float()
    probabilities[:, 28:32, 0:4] = probabilities[:, 28:32, 0:4] * .3 + .7 / 11
    slot = DistillSlot(0, 0, (32, 32), np.array([1, 2]), mask=asked)
    samples = seen([made(slot)], [probabilities])
    ProxyRefiner(0., labels='merged')(samples, segmentor_proxy)
    expected = asked.copy()
    expected[0:8, 0], expected[0:8, 1:8], expected[12:16, 12:16] = 0, 5, 6
    assert np.array_equal(samples[0].mask, expected)
    assert samples[0].labels.tolist() == [2, 5, 6] and samples[0].label_source == 'merged'


@pytest.mark.parametrize('options, passed', [
    (dict(), [1, 1, 0]), (dict(by='judge'), [1, 0, 1]), (dict(by='both'), [1, 0, 0]),
    (dict(judge_threshold=.4), [1, 1, 0]), (dict(by='judge', judge_threshold=.65), [0, 0, 1])])
def test_filtering_by_the_judge(detector, options, passed):
    samples = det_samples(*[found((0, 0, 9, 9, 1, s)) for s in (.75, .75, .55)])
    for sample, score in zip(samples, (.625, .5, .75)):
        sample.judge_score = score
    ProxyRefiner(.6, **options)(samples, detector)
    assert [s.accepted for s in samples] == [bool(p) for p in passed]
    assert [s.score for s in samples] == pytest.approx([.75, .75, .55])
    if options == dict(by='judge'):
        assert [s.rank for s in samples] == pytest.approx([.025, -.1, .15], abs=1e-6)
    if options == dict(by='both'):
        assert [s.rank for s in samples] == pytest.approx([.025, -.1, -.05], abs=1e-6)


def test_the_judge_is_missing(detector):
    with pytest.raises(ValueError, match="by='judge' needs model.judge"):
        ProxyRefiner(.5, by='judge')(det_samples(found()), detector)


def test_judged_alone_and_in_a_batch(detector):
    torch.manual_seed(0)
    samples = det_samples(*[found()] * 3)
    for sample in samples:
        sample.image = torch.randint(0, 255, (32, 32, 3), dtype=torch.uint8).numpy()
    detector.relabel_thr = 0.
    judge_samples(samples, detector)
    scores = [sample.judge_score for sample in samples]
    assert len(set(scores)) == 3
    for sample, score in zip(samples, scores):
        expected = detector.score(images_to_tensor([sample]), [sample])
        assert score == pytest.approx(float(expected), abs=1e-5)


def test_a_photograph_of_a_coreset_is_judged_at_its_own_size(digits, detector):
    path = f'{digits}/VOC2007/JPEGImages/train_000000.jpg'
    slot = DistillSlot(0, 0, (32, 32), np.array([1]), SLOT_BOXES[:1], source_path=path)
    sample = DistilledSample(slot, path=path)
    detector.relabel_thr = 0.
    judge_samples([sample], detector)
    from PIL import Image
    with Image.open(path) as picture:
        loaded = made(slot)
        loaded.image = np.asarray(picture.convert('RGB'))
    expected = detector.score(images_to_tensor([loaded]), [loaded])
    assert sample.judge_score == pytest.approx(float(expected), abs=1e-6) and expected > 0


def test_no_image_passes_a_network_twice(classifier_proxy, monkeypatch):
    samples = [made(DistillSlot(i, i, (32, 32), np.array([i])), 40 * i) for i in range(3)]
    looked, predict = [], classifier_proxy.predict
    monkeypatch.setattr(classifier_proxy, 'predict', lambda images: (
        looked.append(len(images)), predict(images))[1])
    _, first = predict_samples(samples[:2], classifier_proxy, 'proxy')
    _, second = predict_samples(samples, classifier_proxy, 'proxy')
    assert looked == [2, 1] and second[0] is first[0] and second[1] is first[1]
    predict_samples(samples, classifier_proxy, 'judge')  # another network has not seen them
    samples[1].image = samples[1].image.copy()  # another image is looked at anew
    _, third = predict_samples(samples, classifier_proxy, 'proxy')
    assert looked == [2, 1, 3, 1] and third[1] is not first[1]
    torch.testing.assert_close(third[1], second[1])  # alone for beside another: but for round-off


def test_images_reach_the_proxy_as_rgb():
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 2] = [255, 51, 0]
    tensor = images_to_tensor([DistilledSample(None, image)] * 2)
    assert tensor.shape == (2, 3, 2, 3) and tensor.dtype == torch.float32
    assert tensor[0, :, 0, 2].tolist() == pytest.approx([1, .2, 0])


@pytest.mark.parametrize('options, words', [
    (dict(threshold=-.1), r'threshold must be in \[0, 1\]'),
    (dict(threshold=1.01), r'threshold must be in \[0, 1\]'),
    (dict(threshold=.5, judge_threshold=2), r'judge_threshold must be in \[0, 1\]'),
    (dict(threshold=.5, labels='both'), "labels must be 'proxy', 'slot' or 'merged'"),
    (dict(threshold=.5, relabel=False, reject_labels='proxy'),
     "relabel=False contradicts reject_labels='proxy'"),
    (dict(threshold=.5, by='someone'), 'by must be'),
    (dict(threshold=.5, by='proxy', judge_threshold=.4), 'judge_threshold has no effect')])
def test_bad_settings(options, words):
    with pytest.raises(ValueError, match=words):
        ProxyRefiner(**options)
