"""The soft-label student: values of the loss, what the teacher sees, what is saved."""
import copy
import math

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import get_state_dict, load_state_dict

from mmdd.engine.train_job import ensure_checkpoint
from mmdd.models import DSA, SoftLabelClassifier
from mmdd.models.students.soft_losses import SoftLoss
from mmdd.registry import MODELS


@pytest.fixture(scope='module')
def teacher(digits, tmp_path_factory):
    """A tiny classifier after a few updates, as ``teacher=`` takes it."""
    job = tiny.classifier_job(digits)
    path = tmp_path_factory.mktemp('teacher') / 'teacher.pth'
    return dict(cfg=job, checkpoint=ensure_checkpoint(job, str(path)))


def build(teacher=None, student=None, **kwargs):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(dict(type='mmdd.SoftLabelClassifier', teacher=teacher, **kwargs,
                                 student=student or tiny.classifier()))


def soft_loss(student, teacher, temperature, squared=False, kind='kl'):
    loss = SoftLoss(kind, temperature, squared)
    return loss(student, loss.target(teacher))


def batch(count=6, size=32):
    from mmpretrain.structures import DataSample
    pixels = np.random.default_rng(0).integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    return dict(inputs=[torch.from_numpy(p) for p in pixels],
                data_samples=[DataSample().set_gt_label(i) for i in range(count)])


def test_the_loss_by_hand():
    student, teacher = torch.tensor([[1., 2., 3.], [0., 0., 0.]]), torch.tensor(
        [[3., 1., 0.], [math.log(2.), 0., 0.]])
    for t in (1., 4., 20.):
        p, q = (np.exp(x.numpy().astype(np.float64) / t) for x in (teacher, student))
        p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
        expected = (p * np.log(p / q)).sum() / 2
        assert soft_loss(student, teacher, t).item() == pytest.approx(expected, rel=1e-4)
        assert soft_loss(student, teacher, t, True).item() == pytest.approx(
            expected * t * t, rel=1e-4)
    # p = (1/2, 1/4, 1/4) against the uniform distribution: log 3 - entropy
    assert soft_loss(student[1:], teacher[1:], 1.).item() == pytest.approx(
        math.log(3) - 1.5 * math.log(2), rel=1e-5)
    assert soft_loss(teacher, teacher, 20.).item() == pytest.approx(0, abs=1e-7)


def test_teacher_and_student_see_the_same_mixed_batch(teacher):
    torch.manual_seed(0)
    model = build(teacher, mix=dict(type='CutMix', alpha=1.)).train()
    seen = dict(student=[], teacher=[])
    model.student.backbone.register_forward_pre_hook(lambda m, x: seen['student'].append(x[0]))
    network = model.teachers.load(torch.device('cpu'))[0].model
    network.backbone.register_forward_pre_hook(lambda m, x: seen['teacher'].append(x[0]))
    data = model.data_preprocessor(batch(), training=True)
    before = data['inputs'].clone()
    np.random.seed(0)
    loss = model(**data, mode='loss')['loss']
    assert torch.equal(seen['student'][0], seen['teacher'][0])
    assert torch.equal(data['inputs'], before) and not torch.equal(seen['student'][0], before)
    with torch.no_grad():
        expected = soft_loss(model.student(seen['student'][0]), network(seen['student'][0]), 20.)
    # The student is in training mode; its batch norms use the same batch both times.
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert not network.training and not network.backbone.training
    loss.backward()
    assert all(p.grad is None for p in network.parameters())
    assert all(p.grad is not None for p in model.student.parameters())


def test_the_mix_is_by_area():
    """A second look at mmpretrain's CutMix: labels weigh as much as the pixels."""
    model = build(dict(cfg=None, checkpoint=None), mix=dict(type='CutMix', alpha=1.))
    # Every pixel is its image's number, every label its unit vector.
    for seed in range(20):
        np.random.seed(seed)
        torch.manual_seed(seed)
        images = torch.arange(5.).view(5, 1, 1, 1).expand(5, 3, 16, 16).clone()
        mixed, labels = model.mix(images, torch.eye(5))
        for row, label in zip(mixed, labels):
            share = F.one_hot(row[0].long().flatten(), 5).float().mean(0)
            assert torch.allclose(share, label, atol=1e-6)


def test_the_teacher_has_its_own_normalisation(teacher):
    other = tiny.classifier()
    other['data_preprocessor'] = dict(
        type='ClsDataPreprocessor', mean=[1., 50., 90.], std=[30., 40., 50.], to_rgb=False)
    alike, differing = build(teacher), build(teacher, other)
    targets = [model._ask(model.data_preprocessor(batch())['inputs'])
               for model in (alike, differing)]
    assert [model.teachers.load('cpu')[0].takes(model.data_preprocessor, model.takes_rgb)
            for model in (alike, differing)] == [True, False]
    assert torch.allclose(*targets, atol=1e-4)
    # Images that are read as RGB need the other order.
    turned = build(teacher, other, reads_rgb=True)
    assert turned.takes_rgb
    inputs = turned.data_preprocessor(batch())['inputs']
    assert not torch.allclose(turned._ask(inputs), targets[0], atol=1e-2)


def test_the_student_alone_is_saved_and_optimised(teacher):
    from mmengine.optim import build_optim_wrapper
    torch.manual_seed(0)
    model = build([teacher, teacher]).train()
    networks = model.teachers.load(torch.device('cpu'))
    assert len(networks) == 2 and networks == model.teachers.load(torch.device('cpu'))
    assert not set(networks) & set(model.modules())
    optimised = {id(p) for group in build_optim_wrapper(model, dict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=1.))).param_groups
        for p in group['params']}
    assert optimised == {id(p) for p in model.student.parameters()}
    assert not optimised & {id(p) for network in networks for p in network.parameters()}
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        plain = MODELS.build(tiny.classifier())
    for state in (model.state_dict(), get_state_dict(model)):
        assert list(state) == list(plain.state_dict())
    load_state_dict(plain, model.state_dict(), strict=True)
    again = build(teacher)
    again.load_state_dict(plain.state_dict(), strict=True)
    torch.manual_seed(1)
    other = build(teacher)
    load_state_dict(other, model.state_dict(), strict=True)
    x = torch.rand(2, 3, 32, 32)
    for one in (plain, again, other):
        assert torch.equal(one.eval()(x), model.eval()(x))
    assert {n for n, _ in model.named_parameters()} == {
        f'student.{n}' for n, _ in plain.named_parameters()}
    copy.deepcopy(model)
    # Inside a wrapper, as under DistributedDataParallel
    outer = torch.nn.ModuleDict(dict(module=model))
    assert set(outer.state_dict()) == {f'module.{key}' for key in plain.state_dict()}
    outer.load_state_dict(outer.state_dict(), strict=True)


def test_evaluation_is_the_students(teacher):
    model = build(teacher).eval()
    data = model.data_preprocessor(batch())
    ours, own = (m(**data, mode='predict') for m in (model, model.student))
    assert all(torch.equal(a.pred_score, b.pred_score) for a, b in zip(ours, own))
    assert not model.teachers.networks  # nor is a teacher read for it


@pytest.mark.parametrize('mix, alpha, mixed_twice', [('CutMix', 1., True), ('Mixup', 0.8, False)])
def test_what_batch_norms_see_as_in_the_released_code(teacher, mix, alpha, mixed_twice):
    """RDED's CutMix is done in place before both forward passes, its MixUp is not.

    The momentum of a step under CutMix is 1 - 0.9 ** 2 = 0.19.
    """
    def step(**kwargs):
        torch.manual_seed(3)
        model = build(teacher, mix=dict(type=mix, alpha=alpha), **kwargs).train()
        data = model.data_preprocessor(batch())
        seen = []
        model.student.backbone.bn1.register_forward_pre_hook(
            lambda _, args: seen.append(args[0].detach().clone()))
        np.random.seed(3)
        torch.manual_seed(4)
        model(**data, mode='loss')
        return model.student.backbone.bn1, seen, data['inputs']

    norm, seen, _ = step()
    assert len(seen) == 1 and int(norm.num_batches_tracked) == 1
    norm, seen, inputs = step(pollute_norm=True)
    assert len(seen) == 2 and int(norm.num_batches_tracked) == 2
    assert torch.equal(seen[0], seen[1]) == mixed_twice
    if mixed_twice:
        torch.testing.assert_close(norm.running_mean, 0.19 * seen[0].mean((0, 2, 3)))


def test_stored_logits_replace_the_teacher():
    model = build(temperature=2.).eval()
    data = model.data_preprocessor(batch())
    with pytest.raises(ValueError, match='neither a teacher nor stored logits'):
        model(**data, mode='loss')
    logits = torch.randn(6, 10)
    for sample, row in zip(data['data_samples'], logits):
        sample.set_field(row, 'soft_logits')
    loss = model(**data, mode='loss')['loss']
    assert loss.item() == pytest.approx(
        soft_loss(model.student(data['inputs']), logits, 2.).item(), rel=1e-6)


def test_what_does_not_fit(teacher, tmp_path):
    data = batch()
    model = build(teacher, tiny.classifier(7))
    with pytest.raises(ValueError, match='the student has 7 classes, its soft labels 10'):
        model(**model.data_preprocessor(data), mode='loss')
    with pytest.raises(ValueError, match='set mix=None'):
        build(None, mix=dict(type='CutMix', alpha=1.))
    for path, message in ((None, 'set teacher.checkpoint'),
                          ('gone.pth', "no teacher weights at 'gone.pth'")):
        model = build(dict(teacher, checkpoint=path))
        with pytest.raises(ValueError, match=message):
            model(**model.data_preprocessor(data), mode='loss')


def test_the_student_takes_a_preprocessor_from_outside():
    student = tiny.classifier()
    preprocessor = student.pop('data_preprocessor')
    model = build(None, student, data_preprocessor=preprocessor)
    assert isinstance(model, SoftLabelClassifier) and model.data_preprocessor.to_rgb


def augmented(name, images, **kwargs):
    torch.manual_seed(0)
    scores = torch.eye(len(images))
    out, same = DSA(strategy=[name], **kwargs)(images, scores)
    assert torch.equal(same, scores) and out.shape == images.shape
    return out


def test_dsa_flip_and_cutout():
    images = torch.rand(200, 3, 8, 6)
    out = augmented('flip', images)
    turned = (out == images.flip(3)).flatten(1).all(1)
    assert ((out == images).flatten(1).all(1) ^ turned).all() and 70 < turned.sum() < 130
    out = augmented('cutout', images + 1)
    holes = (out == 0).all(1)
    assert ((out == images + 1) | holes[:, None]).all()
    rows, columns = holes.any(2).sum(1), holes.any(1).sum(1)
    assert (holes.sum((1, 2)) == rows * columns).all()  # one rectangle each
    assert (rows.max(), columns.max()) == (4, 3) and rows.min() >= 1


def test_dsa_crop_shifts():
    images = torch.arange(64.).view(1, 1, 8, 8).expand(100, 3, 8, 8) + 1
    out = augmented('crop', images)
    shifts = set()
    for one in out:
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                moved = F.pad(images[0], (1, 1, 1, 1))[:, 1 + dy:9 + dy, 1 + dx:9 + dx]
                if torch.equal(one, moved):
                    shifts.add((dy, dx))
                    break
            else:
                continue
            break
        else:
            pytest.fail('not a shift by one pixel')
    assert len(shifts) == 9


def test_dsa_colour():
    images = torch.randn(300, 3, 6, 6)
    bright = augmented('color', images, saturation=0., contrast=0.) - images.mean(
        (1, 2, 3), keepdim=True)
    assert bright.flatten(1).std(1).max() > 0.1  # contrast 0 to 1
    only = dict(brightness=0., saturation=2., contrast=0.5)
    out = augmented('color', images, **only)
    assert torch.allclose(out.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=1e-5)
    grey = augmented('color', images, brightness=0., saturation=0.)
    assert (grey.std(1) < 1e-5).all()
    ratio = grey.mean(1).flatten(1).std(1) / images.mean(1).flatten(1).std(1)
    assert 0.5 <= ratio.min() < 0.55 and 1.45 < ratio.max() <= 1.5


def test_dsa_warps_about_the_centre():
    y, x = torch.meshgrid(torch.arange(41.) - 20, torch.arange(41.) - 20, indexing='ij')
    images = torch.exp(-((y - 8)**2 + x**2) / 8).expand(100, 3, 41, 41)
    for name in ('scale', 'rotate'):
        out = augmented(name, images)[:, 0]
        mass = out.sum((1, 2))
        cy, cx = (out * y).sum((1, 2)) / mass, (out * x).sum((1, 2)) / mass
        if name == 'rotate':
            assert torch.allclose((cy**2 + cx**2).sqrt(), torch.tensor(8.), atol=0.05)
            angle = torch.atan2(cx, cy) * 180 / math.pi
            assert -15 <= angle.min() < -13 and 13 < angle.max() <= 15
        else:
            assert cx.abs().max() < 0.01
            assert 8 / 1.2 - 0.05 <= cy.min() < 6.9 and 9.3 < cy.max() <= 8 * 1.2 + 0.05


def test_dsa_takes_one_operation_a_batch():
    torch.manual_seed(0)
    augment = DSA()
    called = []
    for name in augment.operations:
        augment.operations[name] = lambda x, name=name: called.append(name) or x
    for _ in range(600):
        augment(torch.rand(2, 3, 4, 4), torch.eye(2))
    counts = [called.count(name) for name in DSA().strategy]
    assert sum(counts) == 600 and min(counts) > 60
    every = DSA(mode='multiple')
    image = torch.rand(2, 3, 8, 8, requires_grad=True)
    every(image, torch.eye(2))[0].sum().backward()
    assert image.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="got \\['blur'\\] and 'single'"):
        DSA(strategy=['blur'])


def test_dsa_is_a_stock_batch_augmentation():
    cfg = tiny.classifier()
    cfg['train_cfg'] = dict(augments=[dict(type='mmdd.models.DSA', cutout=0.25)])
    cfg['data_preprocessor']['num_classes'] = 10
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg)
    augment, = model.data_preprocessor.batch_augments.augments
    assert isinstance(augment, DSA) and augment.cutout == 0.25
    data = model.data_preprocessor(batch(), training=True)
    assert model(**data, mode='loss')['loss'].isfinite()
