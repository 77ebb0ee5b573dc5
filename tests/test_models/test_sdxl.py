"""The SDXL adapter against diffusers' own pipeline, and what its images may depend on."""
import os
import os.path as osp
import shutil

import diffusers
import numpy as np
import pytest
import tiny
import torch
from diffusers import StableDiffusionXLPipeline
from torch.testing import assert_close

from mmdd.models.diffusions.loading import load_module, load_text_encoder
from mmdd.models.diffusions.tokenizer import word_tokenizer
from mmdd.registry import MODELS
from mmdd.structures import DistillSlot, slot_seed
from mmdd.utils.config import load_config
from mmdd.utils.seed import generator

BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear')
TURBO = dict(BETAS, timestep_spacing='trailing')


def make_slots(num, size=(32, 32)):
    texts = ['3', 'a photo of 7', 'two 5 at the left', '9 above 1', '']
    return [DistillSlot(i, slot_seed(0, i), size, np.array([i]), prompt=texts[i % 5])
            for i in range(num)]


def build(**kwargs):
    return MODELS.build(tiny.stable_diffusion_xl(**kwargs))


@pytest.fixture(scope='module')
def turbo():
    return build()


def pipeline(diffusion, kind='EulerAncestralDiscreteScheduler', **settings):
    """diffusers' pipeline on the same weights, with the scheduler made by diffusers alone."""
    pipe = StableDiffusionXLPipeline(
        vae=diffusion.vae, text_encoder=diffusion.text_encoder, tokenizer=diffusion.tokenizer,
        text_encoder_2=diffusion.text_encoder_2, tokenizer_2=diffusion.tokenizer_2,
        unet=diffusion.unet, scheduler=getattr(diffusers, kind)(**{**TURBO, **settings}),
        add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def reference(diffusion, slots, pipe, steps=1, guidance=0., **kwargs):
    """The images of the stock pipeline from the slots' own noise and generators."""
    size = slots[0].size
    generators = [generator('image', slot.seed) for slot in slots]
    noise = torch.stack([torch.randn(diffusion.latent_shape(size), generator=g)
                         for g in generators])
    return pipe([slot.prompt for slot in slots], height=size[0], width=size[1], latents=noise,
                generator=generators, num_inference_steps=steps, guidance_scale=guidance,
                output_type='pt', **kwargs).images


@pytest.mark.parametrize('steps', [1, 2, 4])
def test_turbo_equals_the_pipeline_of_diffusers(turbo, steps):
    """Trailing timesteps, no guidance, and the noise between ancestral steps."""
    slots = make_slots(3)
    images, stats = turbo.sample(slots, steps=steps)
    expected = reference(turbo, slots, pipeline(turbo), steps)
    assert_close(images, expected, atol=1e-5, rtol=0)
    assert expected.std() > .02 and images.shape == (3, 3, 32, 32)
    assert [stat['denoiser_passes'] for stat in stats] == [steps] * 3


def test_one_step_starts_at_the_last_timestep(turbo):
    seen = []
    turbo.sample(make_slots(1), call_hook=lambda name, state: seen.append(
        (name, state.timestep, state.alpha_bar)))
    assert [entry for entry in seen if entry[0] == 'after_denoise'] == [
        ('after_denoise', 999, pytest.approx(float(turbo.scheduler.alphas_cumprod[-1]), rel=1e-4))]


@pytest.mark.parametrize('negative', ['', 'a small 4'])
@pytest.mark.parametrize('zeros', [True, False])
def test_guidance_equals_the_pipeline_of_diffusers(negative, zeros):
    diffusion = build(steps=3, cfg_scale=4., negative_prompt=negative, zero_empty_prompt=zeros,
                      scheduler=dict(BETAS, type='EulerDiscreteScheduler'))
    slots = make_slots(3, (32, 48))
    pipe = pipeline(diffusion, 'EulerDiscreteScheduler', timestep_spacing='linspace')
    pipe.register_to_config(force_zeros_for_empty_prompt=zeros)
    expected = reference(diffusion, slots, pipe, 3, 4.,
                         negative_prompt=[negative] * 3 if negative else None)
    assert_close(diffusion.sample(slots)[0], expected, atol=1e-4, rtol=0)


def test_sizes_are_a_condition(turbo):
    slots = make_slots(2)
    cropped = build(original_size=(24, 40), crop_top_left=(4, 8))
    expected = reference(cropped, slots, pipeline(cropped), original_size=(24, 40),
                         crops_coords_top_left=(4, 8), target_size=(32, 32))
    images = cropped.sample(slots)[0]
    assert_close(images, expected, atol=1e-5, rtol=0)
    assert (images - turbo.sample(slots)[0]).abs().max() > 1e-4
    assert turbo.encode_conditions(make_slots(1, (32, 48))).time_ids.tolist() == [
        [32, 48, 0, 0, 32, 48]]


@pytest.mark.parametrize('steps', [1, 3])
def test_an_image_depends_on_its_slot_alone(turbo, steps):
    """Ancestral noise comes from the slot's own generator, whatever the batch."""
    slots = make_slots(5)
    together, _ = turbo.sample(slots, steps=steps)
    torch.manual_seed(99)
    assert_close(turbo.sample(slots[::-1], steps=steps)[0].flip(0), together, atol=1e-5, rtol=0)
    for i, slot in enumerate(slots):
        assert_close(turbo.sample([slot], steps=steps)[0][0], together[i], atol=1e-5, rtol=0)
    assert (together[0] - together[1]).abs().max() > .01


@pytest.mark.parametrize('strength, left', [(1., 4), (.75, 3), (.5, 2), (.01, 1)])
def test_image_to_image_with_ancestral_steps(turbo, strength, left):
    """Starts at the noise level of its first timestep."""
    init = turbo.encode_images(torch.rand(2, 3, 32, 32)) + 1.
    seen = []

    def hook(name, state):
        if name == 'before_denoise':
            seen.append((state.timestep, state.latents.clone(), state.alpha_bar))

    slots = make_slots(2)
    turbo.sample(slots, init=init, strength=strength, steps=4, call_hook=hook)
    turbo.scheduler.set_timesteps(4)
    assert [t for t, *_ in seen] == [int(t) for t in turbo.scheduler.timesteps[-left:]]
    _, latents, a = seen[0]
    assert a == pytest.approx(float(turbo.scheduler.alphas_cumprod[seen[0][0]]), rel=1e-3)
    noise = torch.stack([torch.randn(init.shape[1:], generator=generator('image', s.seed))
                         for s in slots])
    assert_close(latents, a**.5 * init + (1 - a)**.5 * noise, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope='module')
def folders(turbo, tmp_path_factory):
    """The same model in fp32 files and in fp16 files alone."""
    root = tmp_path_factory.mktemp('sdxl')
    pipeline(turbo).save_pretrained(root / 'plain')
    pipeline(turbo).save_pretrained(root / 'fp16', variant='fp16')
    return str(root)


def load(folder, **kwargs):
    return MODELS.build(dict(type='mmdd.StableDiffusionXL', pretrained=folder, steps=1,
                             cfg_scale=0., dtype='fp32', **kwargs))


def test_a_saved_folder_gives_identical_images(folders, turbo):
    slots = make_slots(3)
    for folder, variant in (('plain', None), ('plain', 'fp16'), ('fp16', None), ('fp16', 'fp16')):
        cfg = dict(pretrained=osp.join(folders, folder), variant=variant,
                   scheduler=dict(type='EulerAncestralDiscreteScheduler'))
        MODELS.get('mmdd.StableDiffusionXL').check_config(cfg)
        loaded = load(cfg.pop('pretrained'), **cfg)
        assert torch.equal(loaded.sample(slots)[0], turbo.sample(slots)[0])
        assert loaded.scheduler.config.timestep_spacing == 'trailing'


def test_plain_and_variant_files_side_by_side(folders, turbo, tmp_path):
    both = tmp_path / 'both'
    shutil.copytree(osp.join(folders, 'plain'), both)
    doubled = build()
    for p in doubled.unet.parameters():
        p.mul_(2)
    doubled.unet.save_pretrained(both / 'unet', variant='fp16')
    kind = dict(scheduler=dict(type='EulerAncestralDiscreteScheduler'))
    slots = make_slots(1)
    plain, variant = (load(str(both), variant=v, **kind).sample(slots)[0] for v in (None, 'fp16'))
    assert torch.equal(plain, turbo.sample(slots)[0])
    assert torch.equal(variant, doubled.sample(slots)[0]) and not torch.equal(variant, plain)


@pytest.mark.parametrize('part', ['text_encoder', 'text_encoder_2', 'unet', 'vae'])
def test_missing_weights_are_one_line_before_anything_is_loaded(folders, tmp_path, part):
    copy = str(tmp_path / 'copy')
    shutil.copytree(osp.join(folders, 'plain'), copy)
    for name in os.listdir(osp.join(copy, part)):
        if name.endswith('.safetensors'):
            os.unlink(osp.join(copy, part, name))
    kind = MODELS.get('mmdd.StableDiffusionXL')
    with pytest.raises(ValueError, match=f'/{part} has no safetensors file; give') as caught:
        kind.check_config(dict(pretrained=copy))
    assert '\n' not in str(caught.value)
    with pytest.raises(ValueError, match=f'cannot load {part} weights of'):
        load(copy)


def test_a_missing_tokenizer_and_a_folder_of_another_model(folders, tmp_path):
    copy = str(tmp_path / 'copy')
    shutil.copytree(osp.join(folders, 'plain'), copy)
    shutil.rmtree(osp.join(copy, 'tokenizer_2'))
    kind = MODELS.get('mmdd.StableDiffusionXL')
    with pytest.raises(ValueError, match="has no 'tokenizer_2'; give"):
        kind.check_config(dict(pretrained=copy))
    kind.check_config(dict(pretrained=copy, tokenizer_2=['a']))
    plain = tiny.stable_diffusion()
    with pytest.raises(ValueError, match='no pooled text and sizes as a condition'):
        build(unet=plain['unet'])
    text = tiny.stable_diffusion_xl()['text_encoder_2']
    with pytest.raises(ValueError, match='encoders give 80 added channels, its denoiser takes 64'):
        build(text_encoder_2=dict(text, projection_dim=32))


def test_a_negative_prompt_without_guidance_is_told():
    with pytest.warns(UserWarning, match='negative_prompt is ignored at cfg_scale 0'):
        build(negative_prompt='cartoon, anime, painting')


@pytest.mark.parametrize('upcast, decoder', [(True, torch.float32), (False, torch.float16)])
def test_fp16_decodes_in_fp32_unless_the_autoencoder_is_made_for_fp16(upcast, decoder, tmp_path):
    settings = dict(tiny.stable_diffusion_xl()['vae'], force_upcast=upcast)
    diffusion = build(dtype='fp16', vae=settings)
    kinds = [part.dtype for part in (diffusion.unet, diffusion.text_encoder,
                                     diffusion.text_encoder_2, diffusion.vae)]
    assert kinds == [torch.float16] * 3 + [decoder]
    diffusion.vae.save_pretrained(tmp_path)
    other = build(dtype='fp16', vae=str(tmp_path))
    assert other.vae.dtype == decoder
    assert all(torch.equal(a, b) for a, b in zip(other.vae.parameters(),
                                                 diffusion.vae.parameters()))
    images, _ = diffusion.sample(make_slots(2))
    assert images.dtype == torch.float32 and images.isfinite().all()
    assert (images - build().sample(make_slots(2))[0]).abs().mean() < .02


def test_the_random_architecture_has_the_size_of_the_published_one():
    cfg = load_config('configs/_base_/diffusions/sdxl_turbo_random.py').model.diffusion
    words = word_tokenizer(cfg.tokenizer)
    with torch.device('meta'):
        parts = [load_module('UNet2DConditionModel', None, 'unet', cfg.unet, torch.float16),
                 load_module('AutoencoderKL', None, 'vae', cfg.vae, torch.float32),
                 load_text_encoder(None, cfg.text_encoder, words),
                 load_text_encoder(None, cfg.text_encoder_2, words, projection=True)]
    assert [sum(p.numel() for p in part.parameters()) for part in parts] == [
        2_567_463_684, 83_653_863, 123_060_480, 694_659_840]


def test_a_guided_step_has_a_gradient(turbo):
    """What a guidance hook needs: the clean estimate depends on the latents, by the denoiser."""
    found = []

    def hook(name, state):
        if name == 'before_denoise':
            state.needs_grad = True
        if name == 'after_denoise':
            with torch.enable_grad():
                energy = state.decode(state.denoised).square().mean((1, 2, 3))
                found.append(torch.autograd.grad(energy.sum(), state.latents)[0])
            state.guided_noise += 3. * found[-1].sign()

    slots = make_slots(2)
    guided, _ = turbo.sample(slots, steps=2, call_hook=hook)
    assert len(found) == 2 and all(g.isfinite().all() and g.any() for g in found)
    assert (guided - turbo.sample(slots, steps=2)[0]).abs().max() > 1e-3
