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


class Reference(nn.Module):
    """ConvNet-D written down from the papers: pooling after each block, all values classified."""

    def __init__(self, depth, size, num_classes=10, width=128):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(3 if i == 0 else width, width, 3, padding=1) for i in range(depth))
        # Instance normalisation as group normalisation of one channel a group.
        self.norms = nn.ModuleList(nn.GroupNorm(width, width) for _ in range(depth))
        self.classifier = nn.Linear(width * (size // 2**depth)**2, num_classes)

    def forward(self, x):
        for conv, norm in zip(self.convs, self.norms):
            x = nn.functional.avg_pool2d(norm(conv(x)).relu(), 2)
        return self.classifier(x.reshape(len(x), -1))


def paper_net(depth, **kwargs):
    return MODELS.build(dict(type='ConvNet', widths=(128, ) * depth, conv_bias=True,
                             final_pool=True, flatten=True, **kwargs))


@pytest.mark.parametrize('depth, size', [(3, 32), (4, 64), (5, 128), (3, 33)])
def test_convnet_d_equals_a_second_implementation(depth, size):
    torch.manual_seed(0)
    other = Reference(depth, size).eval()
    for norm in other.norms:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    net = paper_net(depth).eval()
    head = nn.Linear(other.classifier.in_features, 10)
    mine = [*net.parameters(), *head.parameters()]
    theirs = [p for conv, norm in zip(other.convs, other.norms)
              for p in (*conv.parameters(), *norm.parameters())] + [*other.classifier.parameters()]
    assert [p.shape for p in mine] == [p.shape for p in theirs]
    with torch.no_grad():
        for a, b in zip(mine, theirs):
            a.copy_(b)
        x = torch.randn(2, 3, size, size)
        torch.testing.assert_close(head(net(x)[0]), other(x), atol=1e-4, rtol=1e-4)


def test_known_number_of_parameters():
    """320,010 with a classifier of ten classes: the ConvNet-3 that the papers report."""
    assert sum(p.numel() for p in paper_net(3).parameters()) + 128 * 4 * 4 * 10 + 10 == 320010


@pytest.mark.parametrize('depth, size, side', [
    (3, 32, 4), (4, 64, 4), (5, 128, 4), (6, 128, 2), (6, 224, 3), (6, 256, 4)])
def test_length_of_the_vector(depth, size, side):
    with torch.device('meta'):
        assert paper_net(depth)(torch.zeros(2, 3, size, size))[0].shape == (2, 128 * side**2)


@pytest.mark.parametrize('depth, field', [(1, 3), (2, 8), (3, 18), (4, 38)])
def test_receptive_field(depth, field):
    """A value of block D sees r(D) = 2 r(D - 1) + 2 pixels a side, with r(1) = 3.

    Its 3x3 window spans three pooled values, 2**(D - 1) pixels apart. With batch
    normalisation: an instance normalisation looks at the whole map.
    """
    net = MODELS.build(dict(type='ConvNet', widths=(4, ) * depth, norm_cfg=dict(type='BN'))).eval()
    size = 128
    x = torch.randn(1, 3, size, size, requires_grad=True)
    out = net(x)[0]
    assert out.shape[-1] == size // 2**(depth - 1)
    middle = out.shape[-1] // 2
    seen = torch.autograd.grad(out[0, :, middle, middle].sum(), x)[0].abs().sum((0, 1))
    columns = (seen.sum(0) > 0).nonzero().flatten()
    assert int(columns[-1] - columns[0]) + 1 == field


def test_maps_before_the_tail_are_unchanged():
    torch.manual_seed(0)
    plain = MODELS.build(dict(type='ConvNet', widths=(4, 4), out_indices=(0, 1)))
    tailed = MODELS.build(dict(type='ConvNet', widths=(4, 4), out_indices=(0, 1),
                               final_pool=True, flatten=True))
    tailed.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 16, 16)
    a, b = plain(x), tailed(x)
    assert torch.equal(a[0], b[0])
    assert torch.equal(nn.functional.avg_pool2d(a[1], 2).flatten(1), b[1])


def test_the_layout_in_memory_changes_round_off_alone():
    """Maps and gradients are those of the layers in a row; maps lie as they do by default."""
    torch.manual_seed(0)
    net = MODELS.build(dict(
        type='ConvNet', widths=(4, 6, 8), pool='max', norm_cfg=dict(type='BN'),
        stem_norm_cfg=dict(type='IN', affine=True), out_indices=(0, 1, 2)))
    x = torch.randn(3, 3, 16, 24, requires_grad=True)
    maps, plain, y = net(x), [], x
    for block in net.blocks:
        y = block(y)
        plain.append(y)
    weights = [torch.randn_like(m) for m in plain]
    gradients = [torch.autograd.grad(
        sum((w * m).sum() for w, m in zip(weights, found)), [x, *net.parameters()])
        for found in (maps, plain)]
    for found, wanted in zip((*maps, *gradients[0]), (*plain, *gradients[1])):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert all(m.is_contiguous() for m in maps)


def test_frozen_blocks_do_not_move():
    """Neither weights nor statistics of the first two blocks; the last one does."""
    torch.manual_seed(0)
    net = MODELS.build(dict(type='ConvNet', widths=(4, 4, 4), norm_cfg=dict(type='BN'),
                            frozen_stages=2)).train()
    assert [p.requires_grad for p in net.parameters()] == [False] * 6 + [True] * 3
    before = {key: value.clone() for key, value in net.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.1)
    net(torch.rand(4, 3, 8, 8))[0].square().mean().backward()
    optimizer.step()
    moved = {key for key, value in net.state_dict().items() if not value.equal(before[key])}
    assert moved == {f'blocks.2.{name}' for name in (
        '1.weight', '2.weight', '2.bias', '2.running_mean', '2.running_var',
        '2.num_batches_tracked')}
    with pytest.raises(ValueError, match=r'frozen_stages must be in \[0, 3\].*got 4'):
        MODELS.build(dict(type='ConvNet', widths=(4, 4, 4), frozen_stages=4))
