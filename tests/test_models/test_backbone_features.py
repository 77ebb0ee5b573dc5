"""Features of ImageNet backbones: the right layer, the right weights, clear refusals."""
import os
import os.path as osp

import numpy as np
import pytest
import tiny
import torch
from mmengine.config import ConfigDict
from safetensors.torch import save_file
from torch import nn

from mmdd.apis import distill
from mmdd.engine.distill_job import ready_weights
from mmdd.models import BackboneFeatures
from mmdd.models.coresets.herding import herd
from mmdd.registry import MODELS


def torchvision_model(name):
    from torchvision import models
    torch.manual_seed(0)
    return models.get_model(name, weights=None).eval()


def save(model, path):
    torch.save(dict(state_dict=model.state_dict()), path)
    return str(path)


@pytest.fixture(scope='module')
def squeezenet(tmp_path_factory):
    """A torchvision SqueezeNet of random weights and its file."""
    model = torchvision_model('squeezenet1_1')
    return model, save(model, tmp_path_factory.mktemp('weights') / 'squeezenet.pth')


def images(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def normalized(x):
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return torch.stack([(x[:, i] - mean[i]) / std[i] for i in range(3)], 1)


def test_squeezenet_gives_the_mean_of_its_last_map(squeezenet):
    model, path = squeezenet
    extractor = BackboneFeatures(dict(type='torchvision', name='squeezenet1_1'), path)
    x = images(3, 3, 48, 40)
    with torch.no_grad():
        expected = model.features(normalized(x)).mean((2, 3))
    found = extractor.features(x)
    assert found.shape == (3, 512) and torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(extractor.features(x[1:2]), found[1:2], atol=1e-5)
    assert extractor.classes is None and not extractor.train().training
    assert not any(p.requires_grad for p in extractor.parameters())


@pytest.mark.parametrize('name, head', [('shufflenet_v2_x0_5', 'fc'),
                                        ('mobilenet_v3_small', 'classifier.3')])
def test_the_last_layer_is_what_gives_the_classes(name, head, tmp_path):
    model = torchvision_model(name)
    extractor = BackboneFeatures(dict(type='torchvision', name=name),
                                 save(model, tmp_path / 'weights.pth'))
    assert extractor.head == head
    if head == 'fc':
        model.fc = nn.Identity()
    else:
        model.classifier[3] = nn.Identity()
    x = images(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(extractor.features(x), model(normalized(x)), atol=1e-5)


def test_half_precision_safetensors_without_a_last_layer(squeezenet, tmp_path):
    model, path = squeezenet
    path = str(tmp_path / 'half.safetensors')
    save_file({key: value.half() for key, value in model.state_dict().items()
               if not key.startswith('classifier')}, path)
    extractor = BackboneFeatures(dict(type='torchvision', name='squeezenet1_1'), path)
    with torch.no_grad():
        expected = model.features(normalized(images(1, 3, 64, 64))).mean((2, 3))
    found = extractor.features(images(1, 3, 64, 64))
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=2e-2 * float(expected.max()))


def test_input_size(squeezenet):
    cfg, path = dict(type='torchvision', name='squeezenet1_1'), squeezenet[1]
    x = images(2, 3, 64, 64)
    small = torch.nn.functional.interpolate(x, (32, 48), mode='bilinear', antialias=True)
    plain = BackboneFeatures(cfg, path)
    assert torch.allclose(BackboneFeatures(cfg, path, input_size=(32, 48)).features(x),
                          plain.features(small), atol=1e-5)
    assert torch.equal(BackboneFeatures(cfg, path, input_size=64).features(x), plain.features(x))


def mmpretrain_config(head=None):
    return dict(model=dict(
        type='ImageClassifier', _scope_='mmpretrain',
        backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8,
                      init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')),
        neck=dict(type='GlobalAveragePooling'),
        head=head or dict(type='LinearClsHead', num_classes=7, in_channels=64,
                          loss=dict(type='CrossEntropyLoss')),
        data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                               to_rgb=True, num_classes=7)))


@pytest.mark.parametrize('head', [None, dict(
    type='StackedLinearClsHead', num_classes=7, in_channels=64, mid_channels=[10])])
def test_an_mmpretrain_model_as_its_own_pipeline_feeds_it(head, tmp_path):
    torch.manual_seed(0)
    extractor = BackboneFeatures(mmpretrain_config(head))
    stock = extractor._build(ConfigDict(mmpretrain_config(head)['model'])).eval()
    path = save(stock, tmp_path / 'weights.pth')
    extractor = BackboneFeatures(mmpretrain_config(head), path)
    x = images(2, 3, 40, 40)
    # What the stock pipeline reads: BGR, 0 to 255.
    data = stock.data_preprocessor(dict(inputs=[(i * 255).flip(0) for i in x]), False)
    with torch.no_grad():
        expected = stock.extract_feat(data['inputs'], stage='pre_logits')
    found = extractor.features(x)
    assert found.shape == (2, 64 if head is None else 10)
    assert torch.allclose(found, expected, atol=1e-5)
    # Another number of classes is no obstacle, other features are.
    other = mmpretrain_config(head)
    other['model']['head']['num_classes'] = 3
    assert torch.equal(BackboneFeatures(other, path).features(x), found)
    other['model']['backbone']['base_channels'] = 16
    other['model']['head']['in_channels'] = 128
    with pytest.raises(ValueError, match="of another model: .* 'backbone.*correct Backbone"):
        BackboneFeatures(other, path)


@pytest.mark.parametrize('cfg, words', [
    (dict(type='torchvision', name='squeezenet'), "no classifier 'squeezenet'; did you mean 'squ"),
    (dict(type='torchvision'), 'no classifier None'),
    (dict(type='torchvision', name='resnet18', depth=3), 'resnet18: .*depth'),
    (dict(type='ResNet'), "cfg has no 'model'")])
def test_unknown_models(cfg, words):
    with pytest.raises(ValueError, match=words):
        BackboneFeatures(cfg)


def test_weights_that_cannot_be_used(squeezenet, tmp_path, monkeypatch):
    cfg = dict(type='torchvision', name='squeezenet1_1')
    with pytest.raises(ValueError, match='needs weights, it is not trained'):
        BackboneFeatures(cfg).features(images(1, 3, 40, 40))
    with pytest.raises(ValueError, match="no weights at 'nowhere/w.safetensors'; give a file"):
        BackboneFeatures(cfg, 'nowhere/w.safetensors')
    with pytest.raises(ValueError, match="no weights at 'resnet_of_nobody'"):
        BackboneFeatures(cfg, 'resnet_of_nobody')
    for name in ('bad.safetensors', 'bad.pth'):
        (tmp_path / name).write_bytes(b'half a file')
        with pytest.raises(ValueError, match=f'{name}: cannot be read as weights'):
            BackboneFeatures(cfg, str(tmp_path / name))
    torch.save(dict(meta=1), tmp_path / 'empty.pth')
    with pytest.raises(ValueError, match='holds no weights'):
        BackboneFeatures(cfg, str(tmp_path / 'empty.pth'))
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'hub'))
    with pytest.raises(ValueError, match='nothing.pth cannot be downloaded'):
        BackboneFeatures(cfg, f'file://{tmp_path}/nothing.pth')
    assert not [name for _, _, files in os.walk(tmp_path / 'hub') for name in files]


def test_a_url_is_downloaded_once(squeezenet, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'hub'))
    source = tmp_path / 'squeeze-1.pth'
    source.write_bytes(open(squeezenet[1], 'rb').read())
    found = BackboneFeatures.local_checkpoint(f'file://{source}')
    assert found == str(tmp_path / 'hub/hub/checkpoints/squeeze-1.pth')
    source.unlink()
    assert BackboneFeatures.local_checkpoint(f'file://{source}') == found
    cfg = dict(type='torchvision', name='squeezenet1_1')
    x = images(1, 3, 40, 40)
    assert torch.equal(BackboneFeatures(cfg, found).features(x),
                       BackboneFeatures(cfg, squeezenet[1]).features(x))


def test_names_of_the_mmpretrain_index(monkeypatch):
    from mmdd.models.proxies import backbone_features
    assert backbone_features.find_url('resnet18_8xb32_in1k').endswith('.pth')
    monkeypatch.setattr(backbone_features, 'download', lambda url: f'got {url}')
    assert BackboneFeatures.local_checkpoint('resnet18_8xb32_in1k').startswith('got https://')


def test_it_has_no_task():
    extractor = BackboneFeatures(dict(type='torchvision', name='squeezenet1_1'))
    for call in (extractor.energy, extractor.predict, extractor.score, extractor.relabel):
        with pytest.raises(ValueError, match='gives features only'):
            call(None)


def test_it_is_never_trained(squeezenet, tmp_path):
    proxy = ConfigDict(type='BackboneFeatures', cfg=dict(
        type='torchvision', name='squeezenet1_1'))
    with pytest.raises(ValueError, match='needs weights, it is not trained'):
        ready_weights(proxy, str(tmp_path))
    proxy.checkpoint = squeezenet[1]
    assert ready_weights(proxy, str(tmp_path)) == squeezenet[1]
    assert not os.listdir(tmp_path)


def test_a_coreset_of_boxes_needs_no_proxy(digits, squeezenet, tmp_path):
    proxy = dict(type='BackboneFeatures', checkpoint=squeezenet[1], cfg=dict(
        type='torchvision', name='squeezenet1_1'))
    job = tiny.coreset_job(digits, dict(type='HerdingCoreset', proxy=proxy, feature_size=48),
                           total=3)
    folder = distill(job, str(tmp_path))
    with np.load(osp.join(folder, '_job/features/000000.npz')) as content:
        features = content['features']
    assert features.shape == (12, 512) and np.ptp(features, 0).max() > 0
    assert set(tiny.read_stock(folder)) == {f'{i:06d}.jpg' for i in range(3)}
    plan = open(osp.join(folder, '_job/plan.jsonl')).read()
    assert all(f'train_{i:06d}' in plan for i in herd(features, 3))
    assert MODELS.get('BackboneFeatures') is BackboneFeatures
