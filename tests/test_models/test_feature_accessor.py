"""Activations inside a denoiser."""
import pytest
import torch

from mmdd.models import FeatureAccessor


def denoise(sd, seed=0):
    z = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return sd.predict_noise(z, torch.tensor([160, 400]), sd.encode_prompts(['cat', 'dog']))


def test_activations_are_those_of_the_parts(tiny_sd):
    with FeatureAccessor(tiny_sd.denoiser, ['conv_in', 'up_blocks.1', 'down_blocks.0']) as found:
        out = denoise(tiny_sd)
    assert torch.equal(out, denoise(tiny_sd))
    assert found['up_blocks.1'].shape == (2, 16, 8, 8)
    assert found['down_blocks.0'].shape == (2, 16, 4, 4)  # the first of several outputs
    unet = tiny_sd.unet
    with torch.no_grad():
        end = unet.conv_out(unet.conv_act(unet.conv_norm_out(found['up_blocks.1'])))
    assert torch.allclose(end, out, atol=1e-6)


def test_the_pass_ends_early_and_hooks_are_gone(tiny_sd):
    with FeatureAccessor(tiny_sd.denoiser, ['up_blocks.1']) as whole:
        denoise(tiny_sd)
    ran = []
    handle = tiny_sd.unet.conv_out.register_forward_hook(lambda *_: ran.append(1))
    with FeatureAccessor(tiny_sd.denoiser, ['up_blocks.1', 'mid_block'], stop=True) as found:
        denoise(tiny_sd)
        raise AssertionError('the pass did not end')
    assert ran == [] and torch.equal(found['up_blocks.1'], whole['up_blocks.1'])
    denoise(tiny_sd)
    handle.remove()
    assert ran == [1] and not tiny_sd.unet.up_blocks[1]._forward_hooks


def test_other_errors_pass(tiny_sd):
    with pytest.raises(RuntimeError, match='mine'):
        with FeatureAccessor(tiny_sd.denoiser, ['mid_block'], stop=True):
            raise RuntimeError('mine')


def test_unknown_parts(tiny_sd):
    with pytest.raises(ValueError, match="no part 'up_block.1'; did you mean 'up_blocks.1'"):
        FeatureAccessor(tiny_sd.denoiser, ['up_block.1'])
