"""SRe2L: the distance of statistics, the recovery, and what an image depends on."""
import copy
import glob
import json

import numpy as np
import pytest
import soft_sets
import tiny
import torch
from mmengine.config import Config
from project_files import load_module
from torch import nn

from mmdd.apis import distill, evaluate
from mmdd.datasets.soft_labels import SoftLabelStore
from mmdd.structures import IPC, DistillSlot, RealAnnotation, Total
from mmdd.utils.seed import generator

# A view that shows all of the image as it is.
WHOLE = dict(crop_area=(1., 1.), flip_prob=0., jitter=0)


@pytest.fixture(scope='module')
def module():
    return load_module('sre2l')


@pytest.fixture
def build(module, classifier_proxy):
    """Builds the method around a trained tiny ResNet."""
    def built(**settings):
        method = module.SRe2L(**dict(dict(
            proxy=dict(type='ClassifierProxy', cfg=dict(
                model=tiny.classifier())), iterations=3, image_size=32), **settings))
        method.proxy.load_state_dict(classifier_proxy.state_dict())
        method.classes = tuple('0123456789')
        method.annotations = [RealAnnotation(str(i), f'{i}.png', (32, 32), np.array([i % 10]))
                              for i in range(40)]
        return method
    return built


def numpy_gaps(network, images):
    """The distances at all batch norms, from their recorded inputs, in float64."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    seen, gaps = [], []
    hooks = [norm.register_forward_hook(lambda _, inputs, out: seen.append(
        inputs[0].detach().double().numpy())) for norm in norms]
    with torch.no_grad():
        network(images, mode='tensor')
    for hook in hooks:
        hook.remove()
    for norm, x in zip(norms, seen):
        rows = x.transpose(1, 0, 2, 3).reshape(x.shape[1], -1)
        gaps.append(np.linalg.norm(rows.mean(1) - norm.running_mean.numpy())
                    + np.linalg.norm(rows.var(1) - norm.running_var.numpy()))
    return gaps


@pytest.mark.parametrize('first', [1., 10.])
def test_the_distance_of_statistics_is_that_of_a_second_implementation(build, first):
    method = build(first_bn=first)
    network = method.proxy.model
    images = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    gaps = numpy_gaps(network, images)
    assert len(gaps) > 5 and min(gaps) > 0
    with method.gap:
        network(images, mode='tensor')
        found = float(method.gap.total())
    assert found == pytest.approx(first * gaps[0] + sum(gaps[1:]), rel=1e-5)


def test_batches_with_the_kept_statistics_have_no_distance(module):
    norm = nn.BatchNorm2d(2)
    x = torch.tensor([[1., -1.], [3., 1.]])[:, :, None, None]
    norm.running_mean.copy_(torch.tensor([2., 0.]))
    norm.running_var.copy_(torch.tensor([1., 1.]))
    with module.StatisticsGap(nn.Sequential(norm.eval())) as gap:
        norm(x)
        assert gap.total() == 0
        norm(x * 2)  # means 4 and 0, variances 4 and 4
        assert float(gap.total()) == pytest.approx(10 * (2 + 18**0.5))


def test_nothing_is_measured_outside(build):
    method = build()
    method.recover([0, 1], 0, 0)
    assert not any(m._forward_pre_hooks for m in method.proxy.modules())
    assert not method.proxy.model.training


def test_colours_are_those_of_the_classifier(build):
    method = build()
    mean, std = method.colours('cpu')
    x = torch.randn(2, 3, 4, 4)
    found = method.proxy.normalize(x * std + mean)
    if not torch.allclose(found, x, atol=1e-5):
        found = found.flip(1)  # a network that takes BGR
    torch.testing.assert_close(found, x, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(std.flatten() * 255, torch.tensor([58.395, 57.12, 57.375]))


def test_the_first_step_of_adam_in_closed_form(build):
    """It is the rate, against the sign of the gradient; then colours are clipped."""
    method = build(iterations=1, lr=0.25, alpha_bn=0.01, **WHOLE)
    mean, std = method.colours('cpu')
    found = (method.recover([3, 5], 4, 0) - mean) / std
    x = torch.randn(2, 3, 32, 32, generator=generator('noise', 0, 4, 0)).requires_grad_()
    network, low, high = method.proxy.model, -mean / std, (1 - mean) / std
    seen = []
    hooks = [m.register_forward_pre_hook(lambda norm, inputs: seen.append((norm, inputs[0])))
             for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    logits = network(x, mode='tensor')
    for hook in hooks:
        hook.remove()
    loss = -logits.log_softmax(1)[[0, 1], [3, 5]].mean()
    for i, (norm, a) in enumerate(seen):
        loss = loss + 0.01 * (1 if i else 10) * (
            (a.mean((0, 2, 3)) - norm.running_mean).norm()
            + (a.var((0, 2, 3), unbiased=False) - norm.running_var).norm())
    gradient, = torch.autograd.grad(loss, x)
    expected = torch.minimum(torch.maximum(x.detach() - 0.25 * gradient.sign(), low), high)
    clear = gradient.abs() > 1e-5
    assert clear.float().mean() > 0.9
    torch.testing.assert_close(found[clear], expected[clear], atol=2e-3, rtol=0)


def colour_teacher():
    """mmpretrain config and weights of a classifier into red, green and blue."""
    cfg = dict(
        type='ImageClassifier',
        data_preprocessor=dict(type='ClsDataPreprocessor', mean=[127.5] * 3, std=[63.75] * 3,
                               to_rgb=True),
        backbone=dict(type='mmdd.ConvNet', widths=(3, ), norm_cfg=dict(type='BN')),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=3, topk=(1, )))
    convolution = torch.zeros(3, 3, 3, 3)
    convolution[:, :, 1, 1] = torch.eye(3)
    return cfg, {'backbone.blocks.0.0.weight': convolution, 'head.fc.weight': torch.eye(3),
                 'head.fc.bias': torch.zeros(3)}


def test_the_teacher_reads_the_classes_that_were_asked_for(module):
    cfg, weights = colour_teacher()
    method = module.SRe2L(proxy=dict(type='ClassifierProxy', cfg=dict(model=cfg)), alpha_bn=0.,
                          iterations=60, image_size=16)
    method.proxy.model.load_state_dict(weights, strict=False)
    labels = [2, 0, 1, 0]
    images = method.recover(labels, 0, 0)
    assert images.min() >= 0 and images.max() <= 1
    assert torch.stack(method.proxy.predict(images)).argmax(1).tolist() == labels
    # below grey, where the ReLU is closed, a colour has no gradient
    for image, label in zip(images.mean((2, 3)), labels):
        assert image[label] > 0.8
        assert all(image[other] < 0.55 for other in {0, 1, 2} - {label})


def test_statistics_come_nearer_with_their_term(build):
    gaps = []
    for alpha in (0., 0.1):
        method = build(iterations=40, alpha_bn=alpha, **WHOLE)
        images = method.recover(list(range(10)), 0, 0)
        with method.gap:
            method.proxy.logits(images)
            gaps.append(float(method.gap.total()))
    assert gaps[1] < 0.7 * gaps[0]


def test_a_batch_is_one_image_of_each_class(build):
    slots = build(recover_batch=10).plan(IPC(n=3))
    assert [slot.id for slot in slots] == list(range(30))
    assert [int(slot.labels[0]) for slot in slots] == list(range(10)) * 3
    assert [slot.prototype['batch'] for slot in slots] == [0] * 10 + [1] * 10 + [2] * 10
    assert [slot.prototype['place'] for slot in slots] == list(range(10)) * 3
    assert all(slot.prototype['labels'] == list(range(10)) for slot in slots)
    assert [slot.group for slot in slots] == [int(slot.labels[0]) for slot in slots]
    # the last batch is what is left
    assert build(recover_batch=8).plan(IPC(n=1))[-1].prototype == dict(
        batch=1, place=1, labels=[8, 9])
    assert len(build().plan(Total(n=7))) == 7


def test_an_image_depends_on_its_slot_alone(build):
    """On neither batches of the loop, nor ranks, nor the global seed; a batch is made once."""
    method = build(recover_batch=4, crop_area=(0.3, 1.), jitter=8)
    slots = method.plan(IPC(n=1))
    whole = method.distill_step(slots, None)
    other = build(recover_batch=4, crop_area=(0.3, 1.), jitter=8)
    keys, recover = [], other.recover
    other.recover = lambda *key: keys.append(key) or recover(*key)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    for share in (slots[1::2], slots[0::2]):
        for slot in share:
            slot = DistillSlot.from_dict(slot.to_dict())  # as another rank reads it
            made, = other.distill_step([slot], None)
            np.testing.assert_array_equal(made.image, whole[slot.id].image)
    assert [key[1] for key in keys] == [0, 1, 2, 0, 1, 2]
    assert torch.equal(state, torch.get_rng_state())
    retried, = other.distill_step([slots[0].retry(0, 1)], None)
    assert np.abs(retried.image.astype(int) - whole[0].image).max() > 0
    assert len({sample.image.tobytes() for sample in whole}) == 10


def test_what_it_cannot_recover_from_is_refused(module, build):
    cfg = tiny.classifier()
    cfg['backbone'] = dict(type='mmdd.ConvNet', widths=(8, 16))
    with pytest.raises(ValueError, match='batch norms, and the proxy .* has none'):
        module.SRe2L(proxy=dict(type='ClassifierProxy', cfg=dict(model=cfg)))
    with pytest.raises(ValueError, match='from a classifier, model.proxy is a BackboneFeatures'):
        module.SRe2L(proxy=dict(type='BackboneFeatures', cfg=dict(model=cfg)))
    method = build()
    method.annotations = [RealAnnotation('0', '0.png', (32, 32), np.array([0, 1]))]
    with pytest.raises(ValueError, match='SRe2L distills classification sets'):
        method.plan(Total(n=1))


def test_a_job_from_squeezing_to_relabelling(module, tmp_path, monkeypatch):
    """A student learns from stored labels of the network that its images come from."""
    # Configs are saved without being formatted, which takes longer than these trainings.
    monkeypatch.setattr(Config, 'pretty_text', property(lambda self: repr(self._to_lazy_dict())))
    root = tiny.digit_scenes(tmp_path / 'scenes', train=1, singles=30)
    teacher = dict(cfg=tiny.classifier_job(root), checkpoint=str(tmp_path / 'teacher.pth'))
    cfg = tiny.classification_job(root, n=2, batch_size=7)
    cfg['model'] = dict(type='SRe2L', image_size=32, iterations=2, recover_batch=10,
                        proxy=dict(type='ClassifierProxy', **teacher))
    folder = distill(copy.deepcopy(cfg), str(tmp_path / 'job'))
    per_class = json.loads(open(f'{folder}/manifest.json').read())['per_class']
    assert [entry['images'] for entry in per_class.values()] == [2] * 10
    relabel = soft_sets.parts(root, 'fkd_soft', epochs=2, teacher=teacher, batch_size=10)
    found = evaluate(relabel, dict(SRe2L=folder), str(tmp_path / 'students'), seeds=(0, ),
                    jobs=0)
    run, = found['SRe2L'].runs
    assert 0 <= run.last['top1'] <= 100
    labels, = glob.glob(str(tmp_path / 'students/soft_labels/*'))
    store = SoftLabelStore(labels)
    assert store.epochs == 2 and len(store.rows(1)) == 20
