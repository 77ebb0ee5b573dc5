"""Decoding of the images that are kept."""
import pytest
import tiny
import torch
from torch.testing import assert_close

from mmdd.registry import MODELS


def build(**settings):
    return MODELS.build(dict(tiny.stable_diffusion(), type='mmdd.StableDiffusion', **settings))


@pytest.fixture(scope='module')
def latents():
    return torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def test_final_images_are_decoded_in_fp32(latents):
    """The weights are those rounded to bf16, all that follows is fp32; the weights come back."""
    half, full = build(dtype='bf16'), build(dtype='fp32')
    for a, b in zip(full.vae.parameters(), half.vae.parameters()):
        a.data.copy_(b.data)
    before = {name: value.clone() for name, value in half.vae.state_dict().items()}
    assert_close(half.decode_final(latents), full.decode_latents(latents), rtol=1e-4, atol=1e-5)
    assert half.vae.dtype == torch.bfloat16
    assert all(torch.equal(value, before[name]) for name, value in half.vae.state_dict().items())
    rough = half.decode_latents(latents)
    assert (rough - full.decode_latents(latents)).abs().max() > 1e-3
    assert torch.equal(build(dtype='bf16', final_dtype='auto').decode_final(latents), rough)


def test_an_image_depends_on_no_other(latents):
    half = build(dtype='bf16')
    together = half.decode_final(latents)
    assert all(torch.equal(half.decode_final(z[None])[0], image)
               for z, image in zip(latents, together))


def test_fp32_weights_decode_the_batch_as_it_is(latents):
    full = build(dtype='fp32')
    assert torch.equal(full.decode_final(latents), full.decode_latents(latents))


def test_a_shift_and_a_scale_go_there_and_back():
    prior = MODELS.build(dict(tiny.stable_diffusion(), type='mmdd.StableDiffusion'))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    plain = prior.encode_images(images)
    prior.vae.register_to_config(shift_factor=0.5)
    scale = prior.vae.config.scaling_factor
    shifted = prior.encode_images(images)
    assert_close(shifted, plain - 0.5 * scale)
    image = prior.decode_latents(shifted)
    prior.vae.register_to_config(shift_factor=None)
    assert_close(image, prior.decode_latents(plain), rtol=1e-4, atol=1e-5)
