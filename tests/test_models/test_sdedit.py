"""Starting from an image: diffusers' own image-to-image pipeline is the second implementation."""
import diffusers
import numpy as np
import pytest
import tiny
import torch

from mmdd.registry import MODELS
from mmdd.structures import DistillSlot
from mmdd.utils.seed import generator

PNDM = dict(type='PNDMScheduler', beta_start=0.00085, beta_end=0.012,
            beta_schedule='scaled_linear', skip_prk_steps=True, steps_offset=1)
DDIM = dict(type='DDIMScheduler', beta_start=0.00085, beta_end=0.012,
            beta_schedule='scaled_linear', steps_offset=1)


def slot(index):
    return DistillSlot(id=index, seed=100 + index, size=(32, 32), labels=np.array([0]),
                       prompt='a photo of one')


def stock(prior, cls):
    """The stock pipeline on the networks of an adapter."""
    scheduler = type(prior.scheduler).from_config(prior.scheduler.config)
    pipeline = cls(vae=prior.vae, text_encoder=prior.text_encoder, tokenizer=prior.tokenizer,
                   unet=prior.unet, scheduler=scheduler, safety_checker=None,
                   feature_extractor=None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.mark.parametrize('scheduler', [DDIM, PNDM], ids=['ddim', 'pndm'])
@pytest.mark.parametrize('steps, strength', [(50, 0.7), (10, 0.75), (7, 0.7), (5, 0.2), (4, 1.)])
def test_the_images_are_those_of_the_stock_pipeline(scheduler, steps, strength):
    prior = MODELS.build(tiny.stable_diffusion(
        scheduler=scheduler, cfg_scale=8., negative_prompt='two'))
    slots = [slot(0), slot(1)]
    init = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    images, stats = prior.sample(slots, init=init, strength=strength, steps=steps)
    pipeline = stock(prior, diffusers.StableDiffusionImg2ImgPipeline)
    expected = pipeline(
        prompt=[s.prompt for s in slots], negative_prompt=['two'] * 2, image=init,
        strength=strength, num_inference_steps=steps, guidance_scale=8.,
        generator=[generator('image', s.seed) for s in slots], output_type='pt').images
    torch.testing.assert_close(images, expected, atol=2e-5, rtol=1e-4)
    calls = int(steps * strength) + (scheduler is PNDM)  # PNDM does its second step twice
    assert [s['denoiser_passes'] for s in stats] == [2 * calls] * 2


def test_the_rule_of_the_stock_pipeline_where_rounding_would_differ():
    """int(10 * 0.75) = 7 steps are done, not round(7.5) = 8."""
    prior = MODELS.build(tiny.stable_diffusion(cfg_scale=1.))
    counted = {strength: prior.sample([slot(0)], init=torch.zeros(1, 4, 8, 8), strength=strength,
                                      steps=10)[1][0]['denoiser_passes']
               for strength in (0.05, 0.2, 0.75, 0.79, 1.)}
    assert counted == {0.05: 1, 0.2: 2, 0.75: 7, 0.79: 7, 1.: 10}


def test_pndm_from_noise_is_that_of_the_stock_pipeline():
    prior = MODELS.build(tiny.stable_diffusion(scheduler=PNDM, cfg_scale=8., steps=6))
    slots = [slot(0), slot(1)]
    images, _ = prior.sample(slots)
    expected = stock(prior, diffusers.StableDiffusionPipeline)(
        prompt=[s.prompt for s in slots], num_inference_steps=6, guidance_scale=8.,
        height=32, width=32, output_type='pt',
        generator=[generator('image', s.seed) for s in slots]).images
    torch.testing.assert_close(images, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize('scheduler', [DDIM, PNDM], ids=['ddim', 'pndm'])
def test_an_image_does_not_depend_on_its_batch(scheduler):
    prior = MODELS.build(tiny.stable_diffusion(scheduler=scheduler, steps=6))
    init = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    together, _ = prior.sample([slot(i) for i in range(3)], init=init, strength=0.7)
    for i in range(3):
        alone, _ = prior.sample([slot(i)], init=init[i:i + 1], strength=0.7)
        torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=1e-4)


def test_recurrence_is_refused_for_a_scheduler_with_memory():
    prior = MODELS.build(tiny.stable_diffusion(scheduler=PNDM, steps=4))

    def twice(name, state):
        if name == 'before_denoise':
            state.recurrence = 2

    with pytest.raises(ValueError, match='scheduler without memory such as DDIMScheduler'):
        prior.sample([slot(0)], call_hook=twice)


def test_latents_are_drawn_from_the_posterior():
    """Mean and deviation of the draws are those that the autoencoder gives."""
    prior = MODELS.build(tiny.stable_diffusion())
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        posterior = prior.vae.encode(image * 2 - 1).latent_dist
        mean = prior.encode_images(image)
        draws = prior.encode_images(image.expand(400, 3, 32, 32),
                                    [generator('draw', i) for i in range(400)])
        again = prior.encode_images(image, [generator('draw', 7)])
    scale = prior.vae.config.scaling_factor
    torch.testing.assert_close(mean, posterior.mean * scale)
    torch.testing.assert_close(draws[7:8], again, atol=1e-5, rtol=1e-4)
    deviation = posterior.std[0] * scale
    assert ((draws.mean(0) - mean[0]).abs() < 5 * deviation / 20).all()
    assert (draws.std(0) / deviation - 1).abs().max() < 0.25
