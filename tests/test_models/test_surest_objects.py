"""Composed layouts of the objects that the proxy is surest of."""
import copy
import os.path as osp

import numpy as np
import pytest
import tiny
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from run_tool import ROOT

from mmdd.datasets.annotations import load_image
from mmdd.engine.preflight import check_components
from mmdd.models import ComposedLabelSampler, DetectorProxy, UniDD
from mmdd.models.label_samplers.object_scores import surest
from mmdd.models.proxies.detector_scores import matched_scores
from mmdd.structures import RealObject, Total


def test_the_surest_of_each_class_by_hand():
    labels = np.array([0, 1, 0, 1, 0, 0, 2])
    scores = np.array([.2, .9, .8, .1, .8, .5, 0.])
    assert surest(labels, scores, .5).tolist() == [False, True, True, False, True, False, True]
    # A quarter of four is one, the first of those that tie; a class is never left out.
    assert surest(labels, scores, .25).tolist() == [False, True, True, False, False, False, True]
    assert surest(labels, scores, .26).sum() == 2 + 1 + 1
    assert surest(labels, scores, 1).all()


def detections(*items):
    return InstanceData(
        bboxes=torch.tensor([box for box, _, _ in items]).reshape(-1, 4).float(),
        labels=torch.tensor([label for _, label, _ in items], dtype=torch.long),
        scores=torch.tensor([score for _, _, score in items]))


def test_each_box_has_the_confidence_of_the_detection_that_serves_it():
    near, far = [0., 0, 10, 10], [50., 50, 60, 60]
    found = detections((near, 1, .8), ([1., 0, 11, 10], 1, .6), (far, 2, .9), (far, 3, .4))
    boxes, labels = [near, far, [1., 0, 11, 10], [20., 20, 30, 30]], [1, 3, 1, 1]
    assert matched_scores(found, boxes, labels).tolist() == pytest.approx([.8, .4, .6, 0.])
    assert matched_scores(detections(), boxes, labels).tolist() == [0.] * 4
    assert matched_scores(found, np.zeros((0, 4)), []).shape == (0, )


def test_a_detector_is_as_sure_as_its_detections(proxy):
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    predicted = proxy.predict(images)
    objects = [[RealObject(int(found.labels[0]), found.bboxes[0].numpy(), None)] if len(found)
               else [] for found in predicted]
    assert any(objects)
    for scores, found, own in zip(proxy.object_scores(images, objects), predicted, objects):
        # Nothing is surer than the first detection, so it serves its own box.
        assert scores.tolist() == pytest.approx([float(found.scores[0])] * len(own))


def test_a_network_that_overflows_gives_no_scores(proxy, monkeypatch):
    broken = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long),
                          scores=torch.zeros(0), metainfo=dict(finite=False))
    monkeypatch.setattr(DetectorProxy, 'predict', lambda self, images: [broken])
    scores, = proxy.object_scores(None, [[RealObject(0, np.zeros(4), None)] * 2])
    assert np.isnan(scores).tolist() == [True, True]


def test_a_segmentor_is_as_sure_as_the_pixels_of_an_object(segmentor_proxy):
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    inside = np.zeros((2, 32, 32), bool)
    inside[0, 3:9, 4:20], inside[1, 20:, :5] = True, True
    objects = [[RealObject(4, np.zeros(4), inside[0]), RealObject(7, np.zeros(4), inside[1])],
               [RealObject(1, np.zeros(4), inside[1]),
                RealObject(1, np.zeros(4), np.zeros((32, 32), bool))]]
    scores = segmentor_proxy.object_scores(images, objects)
    logits = segmentor_proxy.logits(images).detach().double().numpy()
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert scores[0].tolist() == pytest.approx(
        [shares[0, 4, 3:9, 4:20].mean(), shares[0, 7, 20:, :5].mean()], abs=1e-6)
    assert scores[1].tolist() == pytest.approx([shares[1, 1, 20:, :5].mean(), 0.], abs=1e-6)


def read(scenes, network, masks=False, order=1, folder=None, batch_size=5, **sampler):
    """A distiller that has read the real set."""
    distiller = UniDD(
        diffusion=tiny.stable_diffusion(), image_size=32, min_box=2.,
        proxy=dict(type=lambda: network),
        label_sampler=dict(type='ComposedLabelSampler', objects=2, **sampler))
    distiller.classes = tiny.SEG_CLASSES if masks else tiny.CLASSES
    dataset = (tiny.mask_dataset if masks else tiny.voc_dataset)(scenes, images=False)
    for batch in Runner.build_dataloader(dict(
            batch_size=batch_size, num_workers=0, dataset=dataset,
            sampler=dict(type='DefaultSampler', shuffle=False))):
        distiller.collect(batch)
    distiller.annotations = distiller.annotations[::order]
    distiller.finish_collect(folder)
    return distiller


def asked(distiller, total=8):
    """Where the plan has its objects from: the source's size of each, by class."""
    return [(slot.labels.tolist(), slot.bboxes if slot.bboxes is None else slot.bboxes.tolist(),
             slot.sources) for slot in distiller.plan(Total(total))]


class ByBrightness(DetectorProxy):
    """Surer of an object the brighter its box is."""

    def object_scores(self, images, objects):
        return [np.array([float(image[:, int(y1):int(y2), int(x1):int(x2)].mean())
                          for _, (x1, y1, x2, y2), _ in own])
                for image, own in zip(images, objects)]


@pytest.fixture
def bright(proxy):
    model = copy.copy(proxy)
    model.__dict__ = dict(proxy.__dict__)
    model.__class__ = ByBrightness
    return model


def key(path, label, box):
    return path, int(label), tuple(np.round(box, 3).tolist())


def test_only_the_surest_objects_are_composed(digits, bright):
    distiller = read(digits, bright, surest=.4, overlap=1.)
    scores = {}
    for annotation in distiller.annotations:
        image = load_image(annotation.path, (32, 32)) / 255
        for label, box in zip(annotation.labels, annotation.resized((32, 32)).bboxes):
            x1, y1, x2, y2 = map(int, box)
            if min(x2 - x1, y2 - y1) >= 2:
                scores[key(annotation.path, label, box)] = image[y1:y2, x1:x2].mean()
    wanted = set()
    for label in range(10):
        own = sorted((name for name in scores if name[1] == label), key=lambda name: -scores[name])
        wanted |= set(own[:int(np.ceil(.4 * len(own)))])

    def used(share):
        distiller.label_sampler.surest = share
        return {key(part.path, part.label, part.box)
                for layout in distiller.label_sampler.sample(
                    distiller.annotations, 40, 10, 0, distiller.canvas)
                for part in layout.parts}

    assert len(scores) > 20 > len(wanted)
    assert used(.4) == wanted
    assert used(1.) > wanted


def test_only_the_surest_regions_of_masks_are_composed(digits, segmentor_proxy):
    distiller = read(digits, segmentor_proxy, masks=True, surest=.3, overlap=1.)
    table = distiller.label_sampler.scores
    values = np.concatenate(list(table.values()))
    assert len(values) > 12 and values.std() > 1e-4 and ((0 <= values) & (values <= 1)).all()
    annotation = max(distiller.annotations, key=lambda a: len(table[a.image_id, a.path]))
    image = torch.tensor(load_image(annotation.path, (32, 32)) / 255).permute(2, 0, 1)[None]
    shares = segmentor_proxy.predict(image.float())[0].numpy()
    target = annotation.resized((32, 32))
    labels, boxes = target.objects()
    wanted = []
    for label, box in zip(labels, boxes):
        if min(box[2:] - box[:2]) >= 2:
            x1, y1, x2, y2 = map(int, box)
            inside = np.zeros((32, 32), bool)
            inside[y1:y2, x1:x2] = True
            wanted.append(shares[label][inside & (target.mask == label)].mean())
    assert sorted(table[annotation.image_id, annotation.path].tolist()) == pytest.approx(
        sorted(wanted), abs=1e-5)
    assert all(len(slot.labels) for slot in distiller.plan(Total(6)))


def test_neither_order_nor_batches_change_the_plan(digits, bright):
    first = asked(read(digits, bright, surest=.5))
    assert asked(read(digits, bright, surest=.5, order=-1)) == first
    assert asked(read(digits, bright, surest=.5, batch_size=12)) == first
    assert asked(read(digits, bright)) != first


def test_a_resumed_job_reads_no_image_twice(digits, proxy, tmp_path, monkeypatch):
    first = read(digits, proxy, surest=.5, folder=str(tmp_path))
    assert osp.exists(tmp_path / 'objects/000000.npz')
    monkeypatch.setattr(DetectorProxy, 'predict', lambda *args: pytest.fail('read again'))
    again = read(digits, proxy, surest=.5, folder=str(tmp_path))
    assert asked(again) == asked(first)


def test_without_a_share_no_image_is_read(digits, proxy, monkeypatch):
    monkeypatch.setattr(DetectorProxy, 'predict', lambda *args: pytest.fail('read'))
    assert read(digits, proxy).label_sampler.scores is None


def job(digits, checkpoint, **sampler):
    cfg = tiny.distill_job(digits, checkpoint)
    cfg['model'].update(min_box=2., label_sampler=dict(
        type='ComposedLabelSampler', objects=2, **sampler))
    return cfg


@pytest.mark.parametrize('changes, told', [
    (dict(proxy=None, refiners=[]), '^model.label_sampler.surest reads the objects with the '
                                    'proxy: give model.proxy, or remove it$'),
    (dict(proxy=dict(type='ClassifierProxy', cfg={}), refiners=[]),
     'and a ClassifierProxy does not score objects; take a DetectorProxy or SegmentorProxy'),
])
def test_what_cannot_score_objects_is_one_line_before_the_job(changes, told, digits,
                                                              detector_checkpoint):
    cfg = job(digits, detector_checkpoint, surest=.5)
    cfg.update(custom_hooks=[])
    check_components(Config(cfg))
    cfg['model'].update(changes)
    with pytest.raises(ValueError, match=told) as error:
        check_components(Config(cfg))
    assert '\n' not in str(error.value)
    cfg['model']['label_sampler'].pop('surest')
    check_components(Config(cfg))


@pytest.mark.parametrize('share', [0, 1.1, float('nan'), 'half'])
def test_shares_out_of_range(share):
    with pytest.raises(ValueError, match='ComposedLabelSampler: surest'):
        ComposedLabelSampler(surest=share)


def test_a_plan_without_the_pass_is_refused(digits, proxy):
    distiller = read(digits, proxy, surest=.5)
    distiller.label_sampler.scores = None
    with pytest.raises(ValueError, match=r'calls super\(\).finish_collect\(folder\)'):
        distiller.plan(Total(2))


def test_layouts_can_be_looked_at_before_the_job(digits, detector_checkpoint, bright, monkeypatch):
    """The tool reads the real set with the proxy, where the sampler needs it."""
    monkeypatch.syspath_prepend(osp.join(ROOT, 'tools/analysis_tools'))
    from probes.layout_sheets import plan_layouts
    monkeypatch.setattr(DetectorProxy, 'object_scores', ByBrightness.object_scores)
    slots, classes = plan_layouts(job(digits, detector_checkpoint, surest=.5))
    assert classes == list(tiny.CLASSES)
    wanted = asked(read(digits, bright, surest=.5), 4)
    assert [(slot.labels.tolist(), slot.bboxes.tolist(), slot.sources) for slot in slots] == wanted
    plain, _ = plan_layouts(job(digits, detector_checkpoint))
    assert [slot.labels.tolist() for slot in plain] != [labels for labels, _, _ in wanted]
    with pytest.raises(ValueError, match='no proxy checkpoint at'):
        plan_layouts(job(digits, f'{digits}/none.pth', surest=.5))
