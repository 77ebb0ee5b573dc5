"""DM: the loss and its gradient, siamese views, and what an image depends on."""
import copy
import glob

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from project_files import load_module
from torch import nn

from mmdd.apis import distill
from mmdd.engine.journal import Journal
from mmdd.structures import IPC, RealAnnotation, Total

NETWORK = dict(type='mmdd.ConvNet', widths=(8, 8), conv_bias=True, final_pool=True, flatten=True)
# Shifted by at most 0 pixels: the augmentation that changes nothing.
SAME = dict(strategy=('crop', ), crop=0.)


@pytest.fixture(scope='module')
def module():
    return load_module('dm')


@pytest.fixture
def real_set(tmp_path):
    """Four real images each of two classes, of 16 pixels."""
    draws, annotations = np.random.default_rng(0), []
    for i in range(8):
        path = str(tmp_path / f'{i}.png')
        Image.fromarray(draws.integers(256, size=(16, 16, 3), dtype=np.uint8)).save(path)
        annotations.append(RealAnnotation(str(i), path, (16, 16), np.array([i % 2])))
    return annotations


def build(module, annotations, **settings):
    method = module.DM(**dict(dict(
        iterations=2, lr=3., network=NETWORK, augment=SAME, image_size=16,
        mean=(100., 120., 140.), std=(50., 60., 70.)), **settings))
    method.annotations, method.classes = annotations, ('a', 'b')
    return method


def pixels(annotations):
    return torch.stack([torch.from_numpy(np.array(Image.open(a.path))).permute(2, 0, 1)
                        for a in annotations]).float()


def plain_convnet(network):
    """The network of DC's code, group norm and all, with the weights of another one."""
    layers, channels = [], 3
    for _ in range(2):
        layers += [nn.Conv2d(channels, 8, 3, padding=1), nn.GroupNorm(8, 8, affine=True),
                   nn.ReLU(), nn.AvgPool2d(2, 2)]
        channels = 8
    plain = nn.Sequential(*layers, nn.Flatten())
    plain.load_state_dict(dict(zip(plain.state_dict(), network.state_dict().values())))
    return plain


class Linear(nn.Module):
    """psi(x) = W x, as a backbone."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, x):
        return (x.flatten(1) @ self.weight.T, )


def test_a_set_has_no_distance_to_itself_in_any_order(module):
    network = Linear(torch.randn(5, 12))
    real = torch.randn(7, 3, 2, 2)
    assert module.matching_loss(network, real, real) == 0
    torch.testing.assert_close(module.matching_loss(network, real, real.flip(0)),
                               torch.tensor(0.), atol=1e-10, rtol=0)
    # twice the same images have the same mean
    assert module.matching_loss(network, real, real.repeat(2, 1, 1, 1)) < 1e-10


def test_loss_and_gradient_of_a_linear_network_in_closed_form(module):
    draws = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 12, generator=draws, dtype=torch.float64)
    real = torch.randn(7, 3, 2, 2, generator=draws, dtype=torch.float64)
    made = torch.randn(3, 3, 2, 2, generator=draws, dtype=torch.float64).requires_grad_()
    loss = module.matching_loss(Linear(weight), real, made)
    gap = made.detach().flatten(1).mean(0) - real.flatten(1).mean(0)
    torch.testing.assert_close(loss, gap @ weight.T @ weight @ gap)
    loss.backward()
    expected = (2 / 3 * weight.T @ weight @ gap).reshape(3, 2, 2)
    torch.testing.assert_close(made.grad, expected.expand(3, 3, 2, 2))


def test_two_iterations_are_those_of_a_second_implementation(module, real_set):
    method = build(module, real_set)
    found = method.make_class(1, 2, 0)
    own = method.real_images(1)
    mean, std = (torch.tensor(x).reshape(3, 1, 1) for x in ((100., 120., 140.), (50., 60., 70.)))
    real = (pixels(own) - mean) / std
    made, velocity = real[:2].clone(), 0.
    for iteration in range(2):
        network = plain_convnet(method.random_network(iteration))
        made.requires_grad_()
        loss = ((network(real).mean(0) - network(made).mean(0))**2).sum()
        gradient, = torch.autograd.grad(loss, made)
        velocity = 0.5 * velocity + gradient
        made = made.detach() - 3. * velocity
    torch.testing.assert_close(found, (made * std + mean) / 255, atol=1e-5, rtol=1e-5)
    assert (found - pixels(own)[:2] / 255).abs().max() > 1e-3


def test_networks_differ_by_iteration_and_seed_alone(module, real_set):
    method = build(module, real_set)
    first = method.random_network(0).state_dict()['blocks.0.0.weight']
    assert torch.equal(first, method.random_network(0).state_dict()['blocks.0.0.weight'])
    for other in method.random_network(1), build(module, [], seed=1).random_network(0):
        assert not torch.equal(first, other.state_dict()['blocks.0.0.weight'])
    assert not any(p.requires_grad for p in method.random_network(0).parameters())


@pytest.mark.parametrize('operation', ['color', 'crop', 'cutout', 'flip', 'scale', 'rotate'])
def test_all_images_get_the_same_draws(module, operation):
    method = build(module, [], augment=dict(strategy=(operation, )))
    image, other = torch.randn(2, 3, 16, 16)
    changed = 0
    for seed in range(8):
        torch.manual_seed(seed)
        views = method.siamese(torch.stack([image, other, image]))
        assert torch.equal(views[0], views[2])
        # as alone with the same seed, by DSA itself
        torch.manual_seed(seed)
        torch.testing.assert_close(
            views[1:2], method.augment(other[None], torch.zeros(1, 1))[0])
        changed += not torch.equal(views[0], image)
    assert changed


def test_views_are_differentiable(module):
    method = build(module, [], augment=dict(strategy=('rotate', )))
    images = torch.randn(2, 3, 16, 16, requires_grad=True)
    method.siamese(images)[1].square().sum().backward()
    assert images.grad[0].abs().max() == 0 and images.grad[1].abs().max() > 0


def test_without_an_iteration_the_real_images_that_the_plan_names_are_left(module, real_set):
    method = build(module, real_set, iterations=0)
    slots = method.plan(IPC(n=3))
    assert [slot.labels.tolist() for slot in slots] == [[0]] * 3 + [[1]] * 3
    assert [slot.prototype for slot in slots] == [dict(place=i, of=3) for i in (0, 1, 2)] * 2
    samples = method.distill_step(slots, None)
    assert len({slot.source for slot in slots}) == 6
    for slot, sample in zip(slots, samples):
        np.testing.assert_array_equal(sample.image, np.array(Image.open(slot.source_path)))
        assert int(slot.source) % 2 == slot.labels[0]


def test_an_image_depends_on_neither_batches_nor_order_nor_the_global_seed(module, real_set):
    slots = build(module, real_set).plan(IPC(n=2))
    torch.manual_seed(1)
    whole = build(module, real_set, augment={}, real_batch=3).distill_step(slots, None)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    method = build(module, real_set, augment={}, real_batch=3)
    for i in (3, 0, 2, 1):
        one, = method.distill_step([slots[i]], None)
        np.testing.assert_array_equal(one.image, whole[i].image)
    assert torch.equal(state, torch.get_rng_state())
    retried, = method.distill_step([slots[0].retry(0, 1)], None)
    assert np.abs(retried.image.astype(int) - whole[0].image).max() > 0


def test_a_class_is_made_once(module, real_set):
    method = build(module, real_set)
    made = []
    make_class, method.make_class = method.make_class, lambda *key: made.append(
        key) or make_class(*key)
    slots = method.plan(IPC(n=3))
    for start in (0, 2, 4):
        method.distill_step(slots[start:start + 2], None)
    assert made == [(0, 3, 0), (1, 3, 0)]


def test_more_iterations_come_nearer_to_the_mean(module, real_set):
    """By networks that the images have not seen."""
    def distance(iterations):
        method = build(module, real_set, iterations=iterations, lr=1.)
        mean, std = method.mean, method.std
        made, real = method.make_class(0, 1, 0), pixels(method.real_images(0))
        return sum(module.matching_loss(
            method.random_network(1000 + i), (real - mean) / std,
            (made * 255 - mean) / std).item() for i in range(5))
    assert distance(60) < 0.8 * distance(0)


def test_what_is_not_one_class_an_image_is_refused(module, real_set):
    method = build(module, real_set)
    with pytest.raises(ValueError, match='DM matches class by class') as caught:
        method.plan(Total(n=4))
    assert '\n' not in str(caught.value)
    method.annotations = real_set
    method.set_stages.slots = lambda quota: 5
    with pytest.raises(ValueError, match='5 images of class 0 are to start from 4 real ones'):
        method.plan(IPC(n=1))
    method.set_stages.slots = lambda quota: quota
    method.annotations = [RealAnnotation(
        a.image_id, a.path, a.size, a.labels, np.array([[0., 0., 9., 9.]])) for a in real_set]
    with pytest.raises(ValueError, match='DM matches class by class'):
        method.plan(IPC(n=1))


def test_a_killed_job_is_resumed_to_the_same_set(module, tmp_path, monkeypatch):
    root = tiny.digit_scenes(tmp_path / 'scenes', train=1, singles=30)
    cfg = tiny.classification_job(root, n=2, batch_size=3)
    cfg['model'] = dict(type='DM', iterations=2, real_batch=2, network=NETWORK, image_size=32)
    first = distill(copy.deepcopy(cfg), str(tmp_path / 'whole'))
    write = Journal.write

    def stop(self, sample):
        if sample.slot.id == 7:
            raise KeyboardInterrupt
        write(self, sample)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Journal, 'write', stop)
        distill(copy.deepcopy(cfg), str(tmp_path / 'killed'))
    second = distill(copy.deepcopy(cfg), str(tmp_path / 'killed'), resume=True)
    files = sorted(glob.glob('train/**/*.png', root_dir=first, recursive=True))
    assert len(files) == 20
    for name in files:
        assert open(f'{first}/{name}', 'rb').read() == open(f'{second}/{name}', 'rb').read()
