"""ConvNet-D as a classifier's network and as a backbone."""
import pytest
import torch
from torch import nn

from mmdd.registry import MODELS


def test_the_papers_network():
    net = MODELS.build(dict(type='ConvNet', widths=(128, ) * 3))
    out, = net(torch.zeros(2, 3, 32, 32))
    assert out.shape == (2, 128, 8, 8)
    convolutions = 3 * 128 * 9 + 2 * 128 * 128 * 9
    assert sum(p.numel() for p in net.parameters()) == convolutions + 3 * 2 * 128
    kinds = [type(layer) for block in net.blocks for layer in block]
    assert kinds[:4] == [nn.Conv2d, nn.InstanceNorm2d, nn.ReLU, nn.AvgPool2d]


def test_strides_of_a_backbone():
    net = MODELS.build(dict(
        type='ConvNet', widths=(4, 6, 8, 8), downsample=(False, True, True, False), pool='max',
        norm_cfg=dict(type='BN'), stem_norm_cfg=dict(type='IN', affine=True), out_indices=(1, 3)))
    shapes = [tuple(out.shape) for out in net(torch.zeros(1, 3, 16, 24))]
    assert shapes == [(1, 6, 8, 12), (1, 8, 4, 6)]
    assert [type(block[-2]) for block in net.blocks] == [nn.InstanceNorm2d] + [nn.BatchNorm2d] * 3


def test_contrast_does_not_pass_the_instance_norm():
    torch.manual_seed(0)
    net = MODELS.build(dict(type='ConvNet', widths=(8, 8))).eval()
    image = torch.rand(1, 3, 16, 16)
    near = net(image)[0]
    assert torch.allclose(near, net(image * 3)[0], atol=1e-3)


@pytest.mark.parametrize('kwargs', [dict(pool='mean'), dict(downsample=(True, ))])
def test_wrong_settings(kwargs):
    with pytest.raises(ValueError, match='ConvNet: pool must be one of'):
        MODELS.build(dict(type='ConvNet', widths=(4, 4), **kwargs))
