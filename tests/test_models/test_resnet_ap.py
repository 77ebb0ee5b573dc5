"""ResNetAP beside a second implementation."""
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmdd.registry import MODELS


class ReferenceBlock(nn.Module):
    """A basic block whose stride is an average pooling of its first half and its shortcut."""

    def __init__(self, inside, outside, stride):
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, 1, 1, bias=False)
        self.norm_first = nn.GroupNorm(outside, outside)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.norm_second = nn.GroupNorm(outside, outside)
        self.stride = stride
        if stride > 1 or inside != outside:
            self.short = nn.Conv2d(inside, outside, 1, bias=False)
            self.norm_short = nn.GroupNorm(outside, outside)

    def forward(self, x):
        y = self.norm_first(self.first(x)).relu()
        shortcut = self.short(x) if hasattr(self, 'short') else x
        if self.stride > 1:
            y, shortcut = F.avg_pool2d(y, self.stride), F.avg_pool2d(shortcut, self.stride)
        if hasattr(self, 'short'):
            shortcut = self.norm_short(shortcut)
        return (self.norm_second(self.second(y)) + shortcut).relu()


class Reference(nn.Module):

    def __init__(self, base, blocks, kernel, pool):
        super().__init__()
        self.conv = nn.Conv2d(3, base, kernel, 1, kernel // 2, bias=False)
        self.norm = nn.GroupNorm(base, base)
        self.pool = pool
        widths = [base, base, 2 * base, 4 * base, 8 * base]
        self.blocks = nn.Sequential(*(
            ReferenceBlock(widths[stage + (i > 0)], widths[stage + 1],
                           2 if stage and i == 0 else 1)
            for stage in range(4) for i in range(blocks[stage])))

    def forward(self, x):
        x = F.avg_pool2d(self.norm(self.conv(x)).relu(), self.pool)
        return self.blocks(x)


@pytest.mark.parametrize('depth, blocks, stem, kernel, pool, size', [
    (10, (1, 1, 1, 1), 'large', 7, 4, 96), (10, (1, 1, 1, 1), 'mid', 3, 2, 50),
    (18, (2, 2, 2, 2), 'small', 3, 1, 32)])
def test_equals_a_second_implementation(depth, blocks, stem, kernel, pool, size):
    torch.manual_seed(0)
    other = Reference(8, blocks, kernel, pool).eval()
    for module in other.modules():
        if isinstance(module, nn.GroupNorm):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    net = MODELS.build(dict(type='ResNetAP', depth=depth, stem=stem, base_channels=8)).eval()
    mine, theirs = list(net.parameters()), list(other.parameters())
    assert [p.shape for p in mine] == [p.shape for p in theirs]
    with torch.no_grad():
        for a, b in zip(mine, theirs):
            a.copy_(b)
        x = torch.randn(2, 3, size, size)
        torch.testing.assert_close(net(x)[0], other(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('stem, size, side', [
    ('large', 224, 7), ('large', 256, 8), ('mid', 128, 8), ('small', 32, 4), ('small', 64, 8)])
def test_sizes_of_the_maps(stem, size, side):
    with torch.device('meta'):
        net = MODELS.build(dict(type='ResNetAP', stem=stem, out_indices=(0, 1, 2, 3)))
        maps = net(torch.zeros(2, 3, size, size))
    assert [tuple(m.shape) for m in maps] == [
        (2, 64 * 2**i, side * 2**(3 - i), side * 2**(3 - i)) for i in range(4)]


def test_number_of_parameters():
    """Of the network for 224 pixels, counted by hand."""
    with torch.device('meta'):
        net = MODELS.build(dict(type='ResNetAP'))
    expected = 3 * 64 * 49 + 2 * 64 + 2 * (64 * 64 * 9 + 2 * 64)
    for width in (128, 256, 512):
        half = width // 2
        expected += 9 * half * width + 9 * width**2 + half * width + 3 * 2 * width
    assert sum(p.numel() for p in net.parameters()) == expected


def test_initialisation():
    torch.manual_seed(0)
    net = MODELS.build(dict(type='ResNetAP'))
    net.init_weights()
    weight = net.stages[3][0].conv2.weight
    assert abs(float(weight.std()) / (2 / (9 * 512))**.5 - 1) < .01
    assert float(net.stages[3][0].norm2.weight.min()) == 1


@pytest.mark.parametrize('kwargs', [dict(depth=12), dict(stem='huge')])
def test_wrong_settings(kwargs):
    with pytest.raises(ValueError, match='ResNetAP: depth must be one of'):
        MODELS.build(dict(type='ResNetAP', **kwargs))
