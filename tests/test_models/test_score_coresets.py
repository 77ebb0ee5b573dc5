"""Coresets by what networks predict: closed forms, orders, snapshots and refusals."""
import copy
import json
import math
import os.path as osp
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from torch.testing import assert_close

from mmdd.apis import distill
from mmdd.datasets.annotations import load_image
from mmdd.models import (
    CRAIGCoreset,
    EL2NCoreset,
    ForgettingCoreset,
    GraNdCoreset,
    UncertaintyCoreset,
)
from mmdd.models.coresets.forgetting import forgetting_events
from mmdd.models.proxies.feature_pass import to_batch
from mmdd.registry import MODELS
from mmdd.structures import RealAnnotation

LABELS = [3, 7, 0, 9]


def annotations(labels=LABELS):
    return [RealAnnotation(f'{i}', f'{i}.png', (32, 32), np.array(np.atleast_1d(own), np.int64))
            for i, own in enumerate(labels)]


@pytest.fixture(scope='module')
def images():
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope='module')
def classifier(digits):
    """Config of an untrained tiny classifier."""
    return dict(type='ClassifierProxy', cfg=tiny.classifier_job(digits))


def test_el2n_is_the_norm_of_the_error(classifier_proxy, classifier, images):
    found = EL2NCoreset(proxy=classifier).describe(classifier_proxy, images, annotations())
    probabilities = classifier_proxy.logits(images).softmax(1)
    expected = (probabilities - F.one_hot(torch.tensor(LABELS), 10)).square().sum(1).sqrt()
    assert_close(found, expected[:, None])
    assert expected.std() > 1e-3 and expected.max() <= math.sqrt(2)


@pytest.mark.parametrize('bias', [True, False])
def test_grand_is_the_gradient_of_the_last_layer(classifier_proxy, classifier, images, bias):
    network = copy.deepcopy(classifier_proxy)
    layer = network.model.head.fc
    if not bias:
        layer.bias = None
    found = GraNdCoreset(proxy=classifier).describe(network, images, annotations())
    weights = [own.requires_grad_() for own in layer.parameters()]
    assert len(weights) == 1 + bias
    losses = F.cross_entropy(network.logits(images), torch.tensor(LABELS), reduction='none')
    for loss, value in zip(losses, found):
        parts = torch.autograd.grad(loss, weights, retain_graph=True)
        assert_close(value[0], torch.cat([part.flatten() for part in parts]).norm())


def test_grand_refuses_a_head_of_another_kind(classifier_proxy, classifier, images):
    network = copy.deepcopy(classifier_proxy)
    network.model.head.fc = torch.nn.Linear(network.model.head.fc.in_features + 1, 10)
    with pytest.raises(ValueError, match='does not end in a linear layer over its .* features; '
                                         'take EL2NCoreset'):
        GraNdCoreset(proxy=classifier).describe(network, images, annotations())


def test_craig_stands_on_the_gradients_of_the_logits(classifier_proxy, classifier, images):
    found = CRAIGCoreset(proxy=classifier).describe(classifier_proxy, images, annotations())
    logits = classifier_proxy.logits(images).requires_grad_()
    loss = F.cross_entropy(logits, torch.tensor(LABELS), reduction='sum')
    assert_close(found, torch.autograd.grad(loss, logits)[0])


def test_several_labels_are_refused(classifier_proxy, classifier, images):
    with pytest.raises(ValueError, match=r'^1.png: this coreset compares 10 class probabilities '
                                         r'with one label an image, .* labels \[7, 8\]'):
        EL2NCoreset(proxy=classifier).describe(
            classifier_proxy, images, annotations([3, [7, 8], 0, 9]))


def test_forgetting_counts_by_hand(classifier):
    right = torch.tensor([
        [1, 1, 1, 1, 1],  # never forgotten
        [0, 1, 0, 1, 0],  # twice
        [1, 0, 0, 0, 1],  # once
        [0, 0, 0, 0, 0],  # never learned: more than any count
        [0, 0, 0, 0, 1],  # learned at last
        [1, 0, 1, 0, 0]])
    assert forgetting_events(right.float()).tolist() == [0, 2, 1, 5, 0, 2]
    hard, easy = (ForgettingCoreset(snapshots=['a', 'b'], keep=keep, proxy=classifier).select(
        right.float(), [], 4) for keep in ('hard', 'easy'))
    assert hard[0] == 3 and set(hard[1:3]) == {1, 5} and hard[3] == 2
    assert set(easy[:2]) == {0, 4} and easy[2] == 2
    # Ties by the seed.
    orders = {tuple(ForgettingCoreset(snapshots=['a', 'b'], seed=seed, proxy=classifier).select(
        right.float(), [], 6)) for seed in range(8)}
    assert len(orders) > 1


@pytest.mark.parametrize('measure, expected', [
    ('least_confidence', [1 - .5, 1 - .6]), ('margin', [1 - .5 + .3, 1 - .6 + .4]),
    ('entropy', [-.5 * math.log(.5) - .3 * math.log(.3) - .2 * math.log(.2),
                 -.6 * math.log(.6) - .4 * math.log(.4)])])
def test_measures_of_uncertainty_by_hand(classifier, measure, expected):
    found = torch.tensor([[.5, .3, .2], [.6, .4, 0.]])
    coreset = UncertaintyCoreset(measure=measure, proxy=classifier)
    assert_close(torch.stack(list(map(coreset.uncertainty, found))), torch.tensor(expected))
    # A mask of these two pixels, and boxes of these scores with their complements.
    pixels = found.T.reshape(3, 1, 2)
    for pool, value in (('mean', sum(expected) / 2), ('sum', sum(expected)),
                        ('max', max(expected))):
        coreset = UncertaintyCoreset(measure=measure, pool_by=pool, proxy=classifier)
        assert_close(coreset.uncertainty(pixels), torch.tensor(value))
    boxes = InstanceData(scores=torch.tensor([.6, .4]), metainfo=dict(finite=True))
    assert_close(UncertaintyCoreset(measure=measure, proxy=classifier).uncertainty(boxes),
                 torch.tensor(expected[1]))
    assert coreset.uncertainty(InstanceData(scores=torch.zeros(0))) == 0
    assert coreset.uncertainty(
        InstanceData(scores=torch.zeros(0), metainfo=dict(finite=False))).isnan()


def test_uncertainty_of_the_three_tasks(classifier_proxy, proxy, segmentor_proxy, classifier,
                                        images):
    coreset = UncertaintyCoreset(proxy=classifier)
    found = coreset.describe(classifier_proxy, images, annotations())
    p = classifier_proxy.logits(images).softmax(1)
    assert_close(found, -(p * p.log()).sum(1, keepdim=True))
    found = coreset.describe(segmentor_proxy, images, annotations())
    p = segmentor_proxy.logits(images).softmax(1)
    assert_close(found[:, 0], -(p * p.log()).sum(1).mean((1, 2)))
    found = coreset.describe(proxy, images, annotations())
    for value, detections in zip(found, proxy.predict(images)):
        p = detections.scores.double()
        own = -(p * p.log() + (1 - p) * (1 - p).log())
        assert float(value) == pytest.approx(float(own.mean()) if len(p) else 0, rel=1e-4)


@pytest.mark.parametrize('kind, word', [
    (EL2NCoreset, 'ClassifierProxy'), (GraNdCoreset, 'ClassifierProxy'),
    (CRAIGCoreset, 'ClassifierProxy')])
def test_classification_only(kind, word, digits):
    config = dict(type='DetectorProxy', cfg=tiny.detector_job(digits))
    said = (rf'^{kind.__name__} reads the predictions of a {word}, model.proxy is a '
            r'DetectorProxy: ')
    with pytest.raises(ValueError, match=said):
        kind(proxy=config)
    with pytest.raises(ValueError, match=said):  # before it is trained
        kind.check_config(dict(type=kind.__name__, proxy=config))


def test_features_alone_have_no_uncertainty():
    with pytest.raises(ValueError, match='reads the predictions of a ClassifierProxy or '
                                         'DetectorProxy or SegmentorProxy, model.proxy is a '
                                         'BackboneFeatures'):
        UncertaintyCoreset.check_config(dict(proxy=dict(type='BackboneFeatures')))


def test_bad_words(classifier):
    with pytest.raises(ValueError, match="keep must be 'hard' or 'easy', got 'best'"):
        EL2NCoreset(keep='best', proxy=classifier)
    with pytest.raises(ValueError, match="measure must be one of least_confidence, margin, "
                                         "entropy, got 'variance'"):
        UncertaintyCoreset(measure='variance', proxy=classifier)
    with pytest.raises(ValueError, match="pool_by must be one of mean, sum, max, got 'min'"):
        UncertaintyCoreset(pool_by='min', proxy=classifier)


def test_scores_rank_and_ties_go_by_index(classifier):
    features = torch.tensor([[1., 3.], [2., 2.], [0., 1.], [4., 4.], [3., 1.]])
    assert EL2NCoreset(proxy=classifier).select(features, [], 4) == [3, 0, 1, 4]
    assert EL2NCoreset(keep='easy', proxy=classifier).select(features, [], 3) == [2, 0, 1]


def test_snapshots_in_the_order_of_the_training(classifier, tmp_path):
    for name in ('iter_20.pth', 'iter_100.pth', 'iter_3.pth', 'last_checkpoint'):
        (tmp_path / name).touch()
    coreset = EL2NCoreset(snapshots=str(tmp_path / 'iter_*.pth'), proxy=classifier)
    assert [osp.basename(path) for path in coreset.snapshot_files] == [
        'iter_3.pth', 'iter_20.pth', 'iter_100.pth']
    coreset = EL2NCoreset(snapshots=f'{tmp_path}/epoch_*.pth', proxy=classifier)
    with pytest.raises(ValueError, match=r'EL2NCoreset: model.snapshots: nothing matches '
                                         r'.*epoch_\*.pth; list the training'):
        list(coreset.networks())
    one = ForgettingCoreset(snapshots=['iter_3.pth'], proxy=classifier)
    with pytest.raises(ValueError, match='names 1 checkpoint; it needs two or more'):
        list(one.networks())


@pytest.fixture(scope='module')
def snapshots(classifier, digits, tmp_path_factory):
    """Checkpoints of three networks with weights of their own."""
    folder, network = tmp_path_factory.mktemp('snapshots'), MODELS.build(classifier)
    for seed in range(3):
        torch.manual_seed(seed)
        for parameter in network.model.parameters():
            parameter.data.normal_(0, 0.2)
        torch.save(dict(state_dict=network.model.state_dict()), folder / f'iter_{seed}.pth')
    return [str(folder / f'iter_{seed}.pth') for seed in range(3)]


@pytest.mark.parametrize('kind', ['EL2NCoreset', 'ForgettingCoreset'])
def test_a_whole_job_with_snapshots(kind, classifier, snapshots, digits, tmp_path):
    """It chooses by all networks, in their order, and the manifest says by which weights."""
    job = tiny.classification_job(digits)
    job['train_cfg']['budget'] = dict(type='Total', n=4)
    job['model'] = dict(type=kind, feature_size=32, snapshots=snapshots,
                        proxy=dict(classifier, checkpoint=snapshots[0]))
    folder = distill(job, str(tmp_path))
    with open(osp.join(folder, 'manifest.json')) as f:
        found = json.load(f)
    assert found['budget_met'] == 4 and found['job']['snapshot_weights']
    paths = sorted(str(path) for path in Path(digits).glob('single/train/*/*'))
    labels = [int(path.split('/')[-2]) for path in paths]
    pictures = to_batch(torch.nn.Linear(1, 1), [load_image(path, (32, 32)) for path in paths])
    coreset = MODELS.build(job['model'])
    features = torch.cat([coreset.describe(network, pictures, annotations(labels))
                          for _, network in coreset.networks()], 1)
    assert features.shape == (10, 3) and len(features.unique()) > 1
    for entry, index in zip(found['images'], coreset.select(features, [], 4)):
        with open(paths[index], 'rb') as f, open(osp.join(folder, entry['files'][0]), 'rb') as g:
            assert f.read() == g.read()


def test_snapshots_leave_the_proxy_as_it_is(classifier, snapshots):
    coreset = EL2NCoreset(snapshots=snapshots, proxy=dict(classifier, checkpoint=snapshots[0]))
    before = copy.deepcopy(coreset.proxy.state_dict())
    weights = [next(network.parameters()).clone() for _, network in coreset.networks()]
    assert [bool((own == weights[0]).all()) for own in weights] == [True, False, False]
    assert all(torch.equal(value, before[key])
               for key, value in coreset.proxy.state_dict().items())
