"""The small ResNets for CIFAR."""
import pytest
import torch
from torch import nn

from mmdd.models.students.cifar_resnet import CIFARResNet, PlainBlock


def test_the_depth_counts_the_layers_with_weights():
    for depth, weights in ((20, 0.27e6), (56, 0.85e6)):
        network = CIFARResNet(depth)
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
        assert len(layers) + 1 == depth  # and the classifier
        # the paper's table 6, without the 650 weights of the classifier
        assert sum(p.numel() for p in network.parameters()) == pytest.approx(weights, rel=0.02)
    for depth in (2, 18, 21):
        with pytest.raises(ValueError, match=r'depth must be 6n \+ 2'):
            CIFARResNet(depth)


def test_the_last_map():
    found, = CIFARResNet(8)(torch.rand(2, 3, 32, 32))
    assert found.shape == (2, 64, 8, 8)


def test_the_shortcut_has_no_weights():
    """With a silent branch, a block gives every second place and zeros around its channels."""
    block = PlainBlock(2, 4, 2).eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(1, 2, 4, 4)
    found = block(x)
    assert torch.equal(found[:, 1:3], x[..., ::2, ::2])
    assert not found[:, 0].any() and not found[:, 3].any()
