"""The classifier as energy, score and labeller, beside stock mmpretrain."""
import copy
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from gaussian import caller
from guided import check_guided
from mmengine.dataset import Compose
from torch.testing import assert_close

from mmdd.engine import TaskGuidanceHook
from mmdd.models import ClassifierProxy, ProxyRefiner
from mmdd.models.proxies.view import InputView
from mmdd.structures import DistilledSample, DistillSlot, slot_seed
from mmdd.utils.seed import generator

LABELS = [3, 7, 0, 9]


def make_slot(id, *labels):
    return DistillSlot(id, slot_seed(0, id), (32, 32), np.array(labels, np.int64))


def slots():
    return [make_slot(i, label) for i, label in enumerate(LABELS)]


@pytest.fixture
def images():
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def one(classifier_proxy):
    """The shared proxy with settings that a test may change."""
    model = copy.copy(classifier_proxy)
    model.__dict__ = dict(classifier_proxy.__dict__)
    return model


def stock_batch(pictures, labels=None, rgb=False):
    """uint8 images and data samples, as an mmpretrain dataloader gives them."""
    from mmpretrain.structures import DataSample
    samples = [DataSample() for _ in pictures]
    for sample, label in zip(samples, labels or []):
        sample.set_gt_label(label)
    return dict(inputs=pictures if rgb else pictures.flip(1), data_samples=samples)


def with_model(digits, **data_preprocessor):
    job = tiny.classifier_job(digits)
    job['model']['data_preprocessor'].update(data_preprocessor)
    return job


def test_energy_is_the_loss_of_stock_mmpretrain(classifier_proxy, images):
    """Through the stock preprocessor, one image at a time."""
    model, pictures = classifier_proxy.model, (images * 255).round().byte()
    energy = classifier_proxy.energy(pictures.float() / 255, slots())
    assert energy.dtype == torch.float32 and energy.std() > 1e-2
    for i, label in enumerate(LABELS):
        batch = model.data_preprocessor(stock_batch(pictures[i:i + 1], [label]), False)
        loss = model.loss(batch['inputs'], batch['data_samples'])['loss']
        assert_close(energy[i], loss, atol=1e-5, rtol=1e-5)


def test_energy_does_not_depend_on_batch_mates(classifier_proxy, images):
    together = classifier_proxy.energy(images, slots())
    alone = torch.cat([classifier_proxy.energy(images[i:i + 1], [s])
                       for i, s in enumerate(slots())])
    assert_close(alone, together, atol=1e-5, rtol=1e-5)
    order = [2, 0, 3, 1]
    turned = classifier_proxy.energy(images[order], [slots()[i] for i in order])
    assert_close(turned, together[order], atol=1e-5, rtol=1e-5)
    x = images.clone().requires_grad_()
    gradient = torch.autograd.grad(classifier_proxy.energy(x, slots())[1], x)[0]
    assert gradient[1].any() and not gradient[[0, 2, 3]].any()


@pytest.mark.parametrize('resized', [False, True])
def test_gradient_equals_finite_differences(digits, classifier_proxy, images, resized):
    """In double precision, also through the resizing of the test pipeline."""
    model = copy.deepcopy(classifier_proxy).double()
    if resized:
        model.view = InputView([dict(type='ResizeEdge', scale=40), dict(type='CenterCrop',
                                                                        crop_size=36)])
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(1)).double()
    x = images.double().requires_grad_()
    gradient = torch.autograd.grad(model.energy(x, slots()).sum(), x)[0]
    expected = (gradient * direction).flatten(1).sum(1)
    assert expected.abs().min() > 1e-4
    ends = [model.energy(x.detach() + sign * 1e-6 * direction, slots()) for sign in (1, -1)]
    assert_close((ends[0] - ends[1]) / 2e-6, expected, atol=1e-7, rtol=1e-5)


def test_energy_is_full_precision_under_autocast(classifier_proxy, images):
    plain = classifier_proxy.energy(images, slots())
    with torch.autocast('cpu', dtype=torch.bfloat16):
        energy = classifier_proxy.energy(images.bfloat16(), slots())
    assert energy.dtype == torch.float32
    assert_close(energy, plain, atol=.1, rtol=.1)


def test_the_proxy_is_frozen(classifier_proxy):
    assert not any(p.requires_grad for p in classifier_proxy.parameters())
    assert not any(m.training for m in classifier_proxy.train().modules())


@pytest.mark.parametrize('to_rgb, divisor', [(True, 1), (False, 1), (True, 16)])
def test_predictions_equal_stock_mmpretrain(digits, images, to_rgb, divisor):
    """Through the stock preprocessor: BGR images, the config's channel order and padding."""
    torch.manual_seed(1)
    model = ClassifierProxy(with_model(
        digits, to_rgb=to_rgb, mean=[100., 120., 140.], std=[50., 60., 70.],
        pad_size_divisor=divisor, pad_value=3))
    pictures = (images * 255).round().byte()[..., :30, :28]
    assert_close(model._inputs(pictures.float() / 255), model.model.data_preprocessor(
        stock_batch(pictures))['inputs'], atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        stock = model.model.test_step(stock_batch(pictures))
    mine = model.predict(pictures.float() / 255)
    labels = model.relabel(pictures.float() / 255)
    for m, label, s in zip(mine, labels, stock):
        assert_close(m, s.pred_score, atol=1e-5, rtol=1e-4)
        assert label.labels.tolist() == s.pred_label.tolist()


@pytest.mark.parametrize('to_rgb', [True, False])
def test_arrays_of_cifar_are_rgb(digits, images, to_rgb):
    """mmpretrain's CIFAR10 gives RGB arrays, and its configs do not turn them."""
    job = with_model(digits, to_rgb=to_rgb, mean=[100., 120., 140.], std=[50., 60., 70.])
    job['train_dataloader']['dataset'] = dict(type='mmpretrain.CIFAR10', data_root='', pipeline=[])
    model = ClassifierProxy(job)
    pictures = (images * 255).round().byte()
    stock = model.model.data_preprocessor(stock_batch(pictures, rgb=True))['inputs']
    assert_close(model.normalize(pictures.float() / 255), stock, atol=1e-4, rtol=1e-4)
    assert model.classes[:2] == ('airplane', 'automobile') and len(model.classes) == 10


def test_scores(one, images):
    samples = [DistilledSample(slot) for slot in slots()]
    probabilities = one.predict(images)
    assert_close(torch.stack(probabilities), one.logits(images).softmax(1))
    for one.score_mode, expected in (
            ('matched', [p[label] for p, label in zip(probabilities, LABELS)]),
            ('max', [p.max() for p in probabilities])):
        score = one.score(images, samples)
        assert torch.equal(score, torch.stack(expected)) and score.shape == (4, )
        assert torch.equal(one.score(images, samples, probabilities), score)
        # The energy is the logarithm of the probability that the slot's class has.
        if one.score_mode == 'matched':
            assert_close(-score.log(), one.energy(images, slots()))


def test_refinement_relabels_with_one_forward(one, monkeypatch):
    rng = np.random.default_rng(0)
    samples = [DistilledSample(slot, rng.integers(0, 256, (32, 32, 3), np.uint8),
                               labels=slot.labels) for slot in slots()]
    calls = []
    logits = one.logits
    monkeypatch.setattr(one, 'logits', lambda x: calls.append(len(x)) or logits(x))
    one.relabel_thr = 0.
    ProxyRefiner(0.)(samples, one)
    assert calls == [4]
    tensor = torch.stack([torch.from_numpy(s.image) for s in samples]).permute(0, 3, 1, 2) / 255
    expected = logits(tensor).argmax(1)
    assert [s.labels.tolist() for s in samples] == [[int(i)] for i in expected]
    assert all(s.labels.dtype == np.int64 and s.bboxes is None and s.mask is None
               and s.label_source == 'proxy' for s in samples)


def test_features_are_what_the_classifier_sees(classifier_proxy, images):
    features = classifier_proxy.features(images)
    assert features.shape == (4, 16)
    assert_close(classifier_proxy.model.head.fc(features), classifier_proxy.logits(images))
    assert_close(classifier_proxy.features(images[2:3]), features[2:3])


def test_features_of_maps_are_averaged(digits, images):
    job = tiny.classifier_job(digits)
    job['model']['neck'] = None
    model = ClassifierProxy(job)
    maps = model.model.extract_feat(model._inputs(images))[-1]
    assert maps.ndim == 4
    assert_close(model.features(images), maps.mean((2, 3)))
    with pytest.raises(ValueError, match=r'LinearClsHead gives \(4, 16, 4, 10\) instead of'):
        model.model.head.fc = torch.nn.Linear(4, 10)
        model.energy(images, slots())


PIPELINES = [
    [dict(type='ResizeEdge', scale=40, edge='short'), dict(type='CenterCrop', crop_size=32)],
    [dict(type='mmpretrain.ResizeEdge', scale=21, edge='long')],
    [dict(type='ResizeEdge', scale=37, edge='width')],
    [dict(type='ResizeEdge', scale=13, edge='height')],
    [dict(type='Resize', scale=(20, 50))], [dict(type='Resize', scale=17)],
    [dict(type='Resize', scale=(60, 33), keep_ratio=True)],
    [dict(type='Resize', scale_factor=1.7)],
    [dict(type='Resize', scale_factor=(.5, 2.), interpolation='bicubic')],
    [dict(type='Resize', scale=(9, 7), interpolation='area')],
    [dict(type='Resize', scale=(14, 12), interpolation='area')],
    [dict(type='ResizeEdge', scale=15, backend='pillow', interpolation='bicubic')],
    [dict(type='ResizeEdge', scale=11, backend='pillow', interpolation='bilinear')],
    [dict(type='CenterCrop', crop_size=(10, 7))], [dict(type='CenterCrop', crop_size=25)]]


@pytest.mark.parametrize('pipeline', PIPELINES)
def test_the_view_equals_the_stock_test_pipeline(images, pipeline):
    """Up to the rounding of 8-bit images."""
    from mmengine.registry import DefaultScope
    pictures = (images[..., :24, :28] * 100 + 80).round()  # bicubic results stay in range
    mine = InputView([dict(type='LoadImageFromFile'), *pipeline, dict(type='PackInputs')])(
        pictures / 255) * 255
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        stock = Compose(pipeline)
        for image, result in zip(pictures, mine):
            array = image.permute(1, 2, 0).numpy()
            array = array if pipeline[0].get('interpolation') == 'area' else array.astype(np.uint8)
            found = torch.from_numpy(stock(dict(img=array))['img']).float()
            assert_close(result.permute(1, 2, 0), found, atol=1.5, rtol=0)
            assert (result.permute(1, 2, 0) - found).abs().mean() < .5


@pytest.mark.parametrize('step', ['ResizeShortestEdge', 'EfficientNetCenterCrop', 'Pad',
                                  'torchvision/Resize', 'TestTimeAug'])
def test_a_step_that_cannot_be_followed_is_named(step):
    with pytest.raises(ValueError, match=f'has {step}, which cannot be followed'):
        InputView([dict(type='LoadImageFromFile'), dict(type=step)])


def test_interpolation_that_cannot_be_followed_is_named(images):
    with pytest.raises(ValueError, match="resizes with 'lanczos'"):
        InputView([dict(type='Resize', scale=9, interpolation='lanczos')])(images)


def test_the_view_is_that_of_the_config(digits, images):
    job = tiny.classifier_job(digits)
    job['val_dataloader'] = dict(dataset=dict(
        type='RepeatDataset', times=1, dataset=dict(type='CustomDataset', pipeline=PIPELINES[0])))
    job['test_dataloader'] = None
    assert ClassifierProxy(job)._inputs(images[..., :24]).shape == (4, 3, 32, 32)
    assert ClassifierProxy(job, input_scale=None)._inputs(images[..., :24]).shape[2:] == (32, 24)


def test_classes(digits, tmp_path, classifier_proxy):
    assert classifier_proxy.classes == tiny.CLASSES
    job = tiny.classifier_job(digits)

    def classes(**dataset):
        job['train_dataloader']['dataset'] = dataset
        return ClassifierProxy(job).classes

    assert classes(type='CustomDataset', data_prefix='single/train') is None
    assert classes(type='ImageNet')[:2] == ('tench, Tinca tinca', 'goldfish, Carassius auratus')
    assert classes(type='ImageNet', classes=['a', 'b']) == ('a', 'b')
    (tmp_path / 'names.txt').write_text('cat\ndog\n')
    assert classes(type='ImageNet', metainfo=dict(classes=str(tmp_path / 'names.txt'))) == (
        'cat', 'dog')
    assert classes(type='RepeatDataset', times=2, dataset=dict(type='CIFAR100'))[0] == 'apple'
    job.pop('train_dataloader')
    assert ClassifierProxy(job).classes is None


@pytest.mark.parametrize('labels', [(10, ), (-1, ), (1, 2), ()])
def test_wrong_labels_are_named(classifier_proxy, images, labels):
    with pytest.raises(ValueError, match='slot 5 asks for classes .* one of the 10'):
        classifier_proxy.energy(images[:1], [make_slot(5, *labels)])


@pytest.mark.parametrize('kwargs, words', [
    (dict(score_mode='mean'), 'score_mode'), (dict(input_scale='train'), 'input_scale')])
def test_bad_settings(digits, kwargs, words):
    with pytest.raises(ValueError, match=words):
        ClassifierProxy(tiny.classifier_job(digits), **kwargs)


def test_heads_without_logits_are_named(digits, images):
    job = tiny.classifier_job(digits)
    job['model']['head'] = dict(type='MultiLabelLinearClsHead', num_classes=10, in_channels=16)
    with pytest.raises(ValueError, match='MultiLabelLinearClsHead gives several classes'):
        ClassifierProxy(job)
    job['model']['head'] = dict(
        type='MultiTaskHead', in_channels=16,
        task_heads=dict(a=dict(type='LinearClsHead', num_classes=10)))
    with pytest.raises(ValueError, match='MultiTaskHead gives dict instead of logits'):
        ClassifierProxy(job).energy(images, slots())


def elucidated(digits, classifier_proxy, **kwargs):
    """A proxy with settings of EluCD and the weights of the shared one."""
    proxy = ClassifierProxy(tiny.classifier_job(digits), **kwargs)
    proxy.model.load_state_dict(classifier_proxy.model.state_dict())
    return proxy


def test_temperatures_of_the_energy(digits, classifier_proxy, images):
    proxy = elucidated(digits, classifier_proxy, temperatures=(1.5, .5))
    f = classifier_proxy.logits(images).double().numpy()
    expected = [np.log(np.exp(.5 * row).sum()) - 1.5 * row[label]
                for row, label in zip(f, LABELS)]
    assert_close(proxy.energy(images, slots()).double().numpy(), np.array(expected),
                 atol=1e-4, rtol=1e-4)
    plain = elucidated(digits, classifier_proxy)
    assert torch.equal(plain.energy(images, slots()), classifier_proxy.energy(images, slots()))
    near = elucidated(digits, classifier_proxy, temperatures=(1. + 1e-9, 1.))
    assert_close(near.energy(images, slots()), plain.energy(images, slots()))
    # The gradient: tau_1 towards the class, away from tau_2 times the probabilities at tau_2.
    x = images.clone().requires_grad_()
    logits = proxy.logits(x)
    weights = .5 * (.5 * logits).softmax(1) - 1.5 * torch.eye(10)[LABELS]
    wanted, = torch.autograd.grad((logits * weights.detach()).sum(), x)
    found, = torch.autograd.grad(proxy.energy(x, slots()).sum(), x)
    assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_softplus_is_seen_by_the_energy_alone(digits, classifier_proxy, images):
    smooth = elucidated(digits, classifier_proxy, softplus=3.)
    assert_close(smooth.logits(images), classifier_proxy.logits(images))
    assert_close(smooth.features(images), classifier_proxy.features(images))
    assert (smooth.energy(images, slots()) - classifier_proxy.energy(images, slots())
            ).abs().max() > 1e-3
    # The weights are shared; loaded after the copy was made, they are the copy's too.
    for a, b in zip(smooth.smooth_model.parameters(), smooth.model.parameters()):
        assert a is b

    def swap(module):  # an independent replacement
        for name, child in module.named_children():
            if type(child) is torch.nn.ReLU:
                setattr(module, name, SoftRelu())
            swap(child)
        return module

    class SoftRelu(torch.nn.Module):
        def forward(self, x):
            return torch.log1p((3 * x).exp()) / 3

    model = swap(copy.deepcopy(classifier_proxy.model))
    logits = model(classifier_proxy._inputs(images), mode='tensor')
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(LABELS), reduction='none')
    assert_close(smooth.energy(images, slots()), expected, atol=1e-4, rtol=1e-4)
    steep = elucidated(digits, classifier_proxy, softplus=1e4)
    assert_close(steep.energy(images, slots()), classifier_proxy.energy(images, slots()),
                 atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize('settings, message', [
    (dict(temperatures=(1., 0.)), 'temperatures must be two numbers above 0'),
    (dict(temperatures=(1., )), 'temperatures must be two numbers above 0'),
    (dict(softplus=0.), 'softplus must be a finite number, above 0, got 0.0')])
def test_bad_settings_of_the_energy(digits, settings, message):
    with pytest.raises(ValueError, match=f'ClassifierProxy: {message}'):
        ClassifierProxy(tiny.classifier_job(digits), **settings)


def test_softplus_without_a_relu(digits):
    job = tiny.classifier_job(digits)
    job['model']['backbone'] = dict(
        type='VisionTransformer', img_size=32, patch_size=8, out_type='cls_token',
        arch=dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16))
    job['model'].pop('neck')
    job['model']['head'] = dict(type='VisionTransformerClsHead', num_classes=10, in_channels=16)
    with pytest.raises(ValueError, match='softplus finds no ReLU in ImageClassifier'):
        ClassifierProxy(job, softplus=3.)


def paper_guidance(diffusion, proxy, asked, scale):
    """Equations 3, 8, 9 and 10 of UniDD, written out on their own; deterministic DDIM."""
    scheduler, condition = diffusion.scheduler, diffusion.encode_conditions(asked)
    scheduler.set_timesteps(diffusion.steps)
    z = torch.stack([torch.randn((4, 8, 8), generator=generator('image', slot.seed))
                     for slot in asked])
    for t in scheduler.timesteps:
        bar = float(scheduler.alphas_cumprod[int(t)])
        z = z.detach().requires_grad_()
        noise = diffusion.predict_noise(z, t, condition)
        clean = (z - (1 - bar)**.5 * noise) / bar**.5
        energy = proxy.energy(diffusion.decode_latents(clean, fast=True), asked)
        gradient, = torch.autograd.grad(energy.sum(), z)
        guided = noise.detach() + scale * (1 - bar)**.5 * gradient
        z = scheduler.step(guided, t, z.detach()).prev_sample
    return diffusion.decode_latents(z).clamp(0, 1).detach()


def test_the_settings_of_the_paper_are_its_equations_to_the_bit(classifier_proxy, tiny_sd):
    """Scale 100, through the denoiser, every step: no option of guidance changes these."""
    asked = slots()
    hook = TaskGuidanceHook(scale=100., wrt='latent')
    images, _ = tiny_sd.sample(asked, call_hook=caller(
        hook, model=SimpleNamespace(proxy=classifier_proxy)))
    assert torch.equal(images, paper_guidance(tiny_sd, classifier_proxy, asked, 100.))
    assert (images - tiny_sd.sample(asked)[0]).abs().max() > .01


def test_guided_by_the_classifier(classifier_proxy, tiny_sd):
    asked = slots()
    for slot in asked:
        slot.prompt = f'a photo of {slot.labels[0]}'
    made = check_guided(classifier_proxy, tiny_sd, asked, 200.)
    assert all(np.isfinite(s.stats['energy']) for s in made)
