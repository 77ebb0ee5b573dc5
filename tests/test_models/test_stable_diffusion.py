"""The adapter against diffusers' own pipeline, and what its images may depend on."""
import json
import os
import os.path as osp
import warnings
from itertools import islice

import numpy as np
import pytest
import tiny
import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from torch.testing import assert_close

from mmdd.datasets.digit_scenes import scene_stream
from mmdd.models import DiT, StableDiffusion
from mmdd.registry import MODELS
from mmdd.structures import DistillSlot, slot_seed
from mmdd.utils.seed import generator

# diffusers' pipeline insists on steps_offset=1, which is also what Stable Diffusion ships with.
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear', steps_offset=1)

PRIOR = 'mmdd::priors/digits-sd'


def make_slots(num, start=0):
    texts = ['a photo of 3 and 7', 'two 5 at the left', 'a large 0', '9 above 1', '']
    return [DistillSlot(i, slot_seed(0, i), (32, 32), np.array([i]), prompt=texts[i % 5])
            for i in range(start, start + num)]


def build(**kwargs):
    kwargs.setdefault('scheduler', dict(BETAS, type='DDIMScheduler'))
    return MODELS.build(tiny.stable_diffusion(**kwargs))


def pipeline(diffusion, **scheduler):
    """diffusers' pipeline on the same weights, with the scheduler made by diffusers alone."""
    import diffusers
    settings = {**BETAS, 'clip_sample': False, **scheduler}
    kind = getattr(diffusers, settings.pop('type', 'DDIMScheduler'))
    if kind is not diffusers.DDIMScheduler:
        settings.pop('clip_sample')
    pipe = StableDiffusionPipeline(
        vae=diffusion.vae, text_encoder=diffusion.text_encoder, tokenizer=diffusion.tokenizer,
        unet=diffusion.unet, scheduler=kind(**settings), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def reference(diffusion, slots, steps=None, negative='', **scheduler):
    shape = diffusion.latent_shape((32, 32))
    noise = torch.stack([torch.randn(shape, generator=generator('image', slot.seed))
                         for slot in slots])
    return pipeline(diffusion, **scheduler)(
        [slot.prompt for slot in slots], height=32, width=32, latents=noise,
        num_inference_steps=steps or diffusion.steps, guidance_scale=diffusion.cfg_scale,
        negative_prompt=[negative] * len(slots), output_type='pt').images


@pytest.mark.parametrize('scheduler, steps', [
    (dict(), 7), (dict(timestep_spacing='trailing'), 5), (dict(set_alpha_to_one=False), 4),
    (dict(type='EulerDiscreteScheduler'), 5),
    (dict(type='EulerDiscreteScheduler', timestep_spacing='leading'), 5),
    (dict(type='DPMSolverMultistepScheduler'), 6),
    (dict(prediction_type='v_prediction'), 6),
    (dict(type='EulerDiscreteScheduler', prediction_type='v_prediction'), 6),
    (dict(type='DPMSolverMultistepScheduler', prediction_type='v_prediction'), 6)],
    ids=lambda x: str(x) if isinstance(x, int) else '-'.join(map(str, x.values())) or 'ddim')
def test_equals_the_pipeline_of_diffusers(scheduler, steps):
    diffusion = build(scheduler={**BETAS, 'type': 'DDIMScheduler', **scheduler})
    slots = make_slots(3)
    images, _ = diffusion.sample(slots, steps=steps)
    expected = reference(diffusion, slots, steps, **scheduler)
    assert_close(images, expected, atol=1e-4, rtol=0)
    assert expected.std() > .02 and images.shape == (3, 3, 32, 32)


def test_guidance_scale_one_and_negative_prompt():
    slots = make_slots(2)
    plain = build(cfg_scale=1.)
    assert_close(plain.sample(slots)[0], reference(plain, slots), atol=1e-4, rtol=0)
    negative = build(cfg_scale=3., negative_prompt='a small 4')
    images = negative.sample(slots)[0]
    assert_close(images, reference(negative, slots, negative='a small 4'), atol=1e-4, rtol=0)
    assert (images - build(cfg_scale=3.).sample(slots)[0]).abs().max() > 1e-4


@pytest.mark.parametrize('scale, branches', [(0., 1), (1., 1), (2., 2)])
def test_denoiser_passes_are_those_of_the_denoiser(scale, branches):
    diffusion, seen = build(cfg_scale=scale), []
    diffusion.unet.register_forward_hook(lambda module, args, out: seen.append(len(args[0])))
    _, stats = diffusion.sample(make_slots(3), steps=4)
    assert seen == [3 * branches] * 4 and diffusion.passes == 0
    assert stats == [dict(denoiser_passes=4 * branches)] * 3
    diffusion.count_passes(6)
    diffusion.count_passes(2)
    assert diffusion.passes == 8


@pytest.mark.parametrize('scale', [0., 1.])
def test_an_ignored_negative_prompt_is_told(scale):
    with pytest.warns(UserWarning, match='negative_prompt is ignored'):
        build(cfg_scale=scale, negative_prompt='blurry')
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        build(cfg_scale=2., negative_prompt='blurry')


def test_an_image_depends_on_its_slot_alone(tiny_sd):
    slots = make_slots(5)
    together, _ = tiny_sd.sample(slots)
    turned, _ = tiny_sd.sample(slots[::-1])
    assert_close(turned.flip(0), together, atol=1e-4, rtol=0)
    torch.manual_seed(99)
    for i, slot in enumerate(slots):
        assert_close(tiny_sd.sample([slot])[0][0], together[i], atol=1e-4, rtol=0)
    moved = DistillSlot(77, slots[1].seed, (32, 32), np.array([3]), prompt=slots[1].prompt)
    assert_close(tiny_sd.sample([moved])[0][0], together[1], atol=1e-4, rtol=0)
    assert (together[0] - together[1]).abs().max() > .01
    other = tiny_sd.sample([slots[0].retry(0, 1)])[0][0]
    assert (other - together[0]).abs().max() > .01


def test_sampling_leaves_the_global_random_state(tiny_sd):
    state, seen = torch.get_rng_state(), np.random.get_state()[1].copy()
    tiny_sd.sample(make_slots(1))
    build()
    assert torch.equal(state, torch.get_rng_state())
    assert (seen == np.random.get_state()[1]).all()


def test_weights_are_frozen_and_reproducible(tiny_sd):
    other = build()
    assert not any(p.requires_grad for p in tiny_sd.parameters())
    assert not tiny_sd.train().training and not tiny_sd.unet.training
    for a, b in zip(tiny_sd.parameters(), other.parameters()):
        assert torch.equal(a, b)
    third = build(seed=1)
    assert any(not torch.equal(a, b) for a, b in zip(tiny_sd.parameters(), third.parameters()))


@pytest.mark.parametrize('kind', ['DDIMScheduler', 'EulerDiscreteScheduler',
                                  'DPMSolverMultistepScheduler'])
@pytest.mark.parametrize('strength, skip', [(1., 0), (.75, 2), (.5, 4), (.01, 7)])
def test_image_to_image_starts_inside_the_path(kind, strength, skip):
    diffusion = build(scheduler=dict(BETAS, type=kind), steps=8)
    init = diffusion.encode_images(torch.rand(2, 3, 32, 32)) + 1.
    times, first = [], []

    def hook(name, state):
        if name == 'before_denoise':
            times.append(state.timestep)
            first.append((state.latents.clone(), state.alpha_bar, state.num_steps, state.step))

    slots = make_slots(2)
    diffusion.sample(slots, init=init, strength=strength, call_hook=hook)
    diffusion.scheduler.set_timesteps(8)
    assert times == [int(t) for t in diffusion.scheduler.timesteps[skip:]]
    latents, a, num_steps, step = first[0]
    assert num_steps == 8 - skip and step == 0 and first[-1][3] == num_steps - 1
    noise = torch.stack([torch.randn(init.shape[1:], generator=generator('image', s.seed))
                         for s in slots])
    assert_close(latents, a**.5 * init + (1 - a)**.5 * noise, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('strength', [0., -1., 1.5])
def test_strength_out_of_range(tiny_sd, strength):
    with pytest.raises(ValueError, match=r'strength must be in \(0, 1\]'):
        tiny_sd.sample(make_slots(1), init=torch.zeros(1, 4, 8, 8), strength=strength)


def test_encode_and_decode(tiny_sd):
    images = torch.rand(2, 3, 32, 32)
    latents = tiny_sd.encode_images(images)
    assert latents.shape == (2, *tiny_sd.latent_shape((32, 32))) == (2, 4, 8, 8)
    posterior = tiny_sd.vae.encode(images * 2 - 1).latent_dist.mean
    assert_close(latents, posterior * tiny_sd.vae.config.scaling_factor)
    decoded = tiny_sd.decode_latents(latents)
    assert_close(decoded, tiny_sd.vae.decode(posterior).sample / 2 + .5, atol=1e-5, rtol=1e-5)
    z = latents.clone().requires_grad_()
    tiny_sd.decode_latents(z).sum().backward()
    assert z.grad.abs().sum() > 0


def test_bf16_keeps_latents_and_estimates_in_fp32():
    diffusion = build(dtype='bf16')
    assert {p.dtype for p in diffusion.unet.parameters()} == {torch.bfloat16}
    kinds = set()

    def hook(name, state):
        if name == 'before_denoise':
            state.needs_grad = True
        for value in (state.latents, state.noise_pred, state.denoised, state.guided_noise):
            if value is not None:
                kinds.add(value.dtype)
        if name == 'after_denoise':
            with torch.enable_grad():
                image = state.decode(state.denoised)
                gradient = torch.autograd.grad(image.sum(), state.latents)[0]
            kinds.add(image.dtype)
            kinds.add(gradient.dtype)
            assert torch.isfinite(gradient).all() and gradient.any()

    images, _ = diffusion.sample(make_slots(2), call_hook=hook)
    assert kinds == {torch.float32} and images.dtype == torch.float32
    assert (images - build().sample(make_slots(2))[0]).abs().mean() < .05


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = str(tmp_path_factory.mktemp('sd') / 'pipeline')
    pipeline(build()).save_pretrained(path)
    return path


def test_a_saved_folder_gives_identical_images(folder):
    loaded = MODELS.build(dict(type='mmdd.StableDiffusion', pretrained=folder, steps=3,
                               cfg_scale=2., dtype='fp32'))
    slots = make_slots(3)
    assert torch.equal(loaded.sample(slots)[0], build().sample(slots)[0])
    assert loaded.scheduler.config.beta_schedule == 'scaled_linear'


def test_the_small_decoder_serves_the_energy_only(folder, tmp_path):
    torch.manual_seed(0)
    AutoencoderTiny(encoder_block_out_channels=(4, 4, 4), decoder_block_out_channels=(4, 4, 4),
                    num_encoder_blocks=(1, 1, 1), num_decoder_blocks=(1, 1, 1)
                    ).save_pretrained(tmp_path)
    diffusion = build(energy_decoder=str(tmp_path))
    assert diffusion.small_decoder is not None
    decoded = []

    def hook(name, state):
        if name == 'after_denoise':
            decoded.append((state.denoised, state.decode(state.denoised)))

    images, _ = diffusion.sample(make_slots(2), call_hook=hook)
    assert_close(images, build().sample(make_slots(2))[0])
    latents, fast = decoded[0]
    assert_close(fast, diffusion.small_decoder.decode(latents).sample / 2 + .5)
    assert (fast - diffusion.decode_latents(latents)).abs().max() > .01


def test_the_embedded_small_decoder_shows_what_the_full_one_does(capfd):
    """Nearly the same images; and what it says of the way down is true of the full one."""
    diffusion = MODELS.build(dict(type='mmdd.StableDiffusion', pretrained=PRIOR, dtype='fp32',
                                  energy_decoder=f'{PRIOR}/small_decoder'))
    assert 'not expected' not in ''.join(capfd.readouterr())
    scenes = [scene.image for scene in islice(scene_stream(5, 64, split='test'), 8)]
    images = torch.from_numpy(np.stack(scenes)).permute(0, 3, 1, 2).float() / 255
    latents = diffusion.encode_images(images)
    full, small = diffusion.decode_latents(latents), diffusion.decode_latents(latents, fast=True)
    error = (full - small).square().flatten(1).mean(1)
    assert (-10 * error.log10()).min() > 22
    # Other scenes are much further away than the same ones by the other decoder.
    assert (error * 10 < (full - small.roll(1, 0)).square().flatten(1).mean(1)).all()

    def energy(z, fast):
        return (diffusion.decode_latents(z, fast) - images.flip(0)).square().flatten(1).mean(1)

    start = latents.clone().requires_grad_()
    gradient, = torch.autograd.grad(energy(start, True).sum(), start)
    step = gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    assert (energy(latents - step, False) < energy(latents, False)).all()
    assert (energy(latents + step, False) > energy(latents, False)).all()


def test_a_small_decoder_of_other_latents_is_refused():
    settings = dict(encoder_block_out_channels=(4, 4), decoder_block_out_channels=(4, 4),
                    num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1))
    with pytest.raises(ValueError, match='4 channels and 2 pixels per cell.* 4 and 4'):
        build(energy_decoder=settings)


def damage(folder, tmp_path, file, content):
    import shutil
    copy = str(tmp_path / 'copy')
    shutil.copytree(folder, copy)
    path = osp.join(copy, file)
    os.unlink(path)
    if content is not None:
        with open(path, 'wb') as f:
            f.write(content)
    return copy


@pytest.mark.parametrize('content', [None, b'', b'not safetensors at all'])
@pytest.mark.parametrize('file, word', [
    ('unet/diffusion_pytorch_model.safetensors', 'unet'),
    ('vae/diffusion_pytorch_model.safetensors', 'vae'),
    ('text_encoder/model.safetensors', 'text_encoder')])
def test_missing_or_corrupt_weights_are_one_line(folder, tmp_path, file, word, content):
    copy = damage(folder, tmp_path, file, content)
    with pytest.raises(ValueError, match=f'cannot load {word} weights of') as caught:
        MODELS.build(dict(type='mmdd.StableDiffusion', pretrained=copy, dtype='fp32'))
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 600


def test_a_truncated_file_and_no_folder(folder, tmp_path):
    file = 'unet/diffusion_pytorch_model.safetensors'
    with open(osp.join(folder, file), 'rb') as f:
        copy = damage(folder, tmp_path, file, f.read()[:-100])
    with pytest.raises(ValueError, match='cannot load unet weights'):
        MODELS.build(dict(type='mmdd.StableDiffusion', pretrained=copy, dtype='fp32'))
    with pytest.raises(ValueError, match='no diffusion weights at'):
        MODELS.build(dict(type='mmdd.StableDiffusion', pretrained=str(tmp_path / 'nothing')))
    with pytest.raises(ValueError, match='cannot load the scheduler'):
        os.makedirs(tmp_path / 'empty')
        MODELS.build(dict(type='mmdd.StableDiffusion', pretrained=str(tmp_path / 'empty')))


@pytest.mark.parametrize('kwargs, words', [
    (dict(dtype='fp8'), "dtype must be 'auto' or one of"), (dict(steps=0), 'at least 1'),
    (dict(scheduler=dict(type='MagicScheduler')), 'no scheduler of diffusers'),
    (dict(scheduler=dict(type='DDIMSchedule')), "did you mean 'DDIMScheduler'"),
    (dict(scheduler=dict(type='DDIMScheduler', prediction_type='sample')), 'not supported'),
    (dict(unet=None), "pretrained or settings for 'unet'"), (dict(tokenizer=None), 'tokenizer')])
def test_bad_settings(kwargs, words):
    with pytest.raises(ValueError, match=words):
        build(**kwargs)


@pytest.mark.parametrize('small', [False, True])
def test_checkpointing_changes_memory_alone(small):
    """Values and gradients through denoiser and decoder to the bit; what is kept for the
    gradient is less, in the decoder too."""
    settings = dict(encoder_block_out_channels=(4, ) * 3, decoder_block_out_channels=(8, ) * 3,
                    num_encoder_blocks=(1, 1, 1), num_decoder_blocks=(1, 2, 2))
    found = []
    for checkpointing in (False, True):
        diffusion = build(gradient_checkpointing=checkpointing,
                          energy_decoder=settings if small else None)
        z = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
        condition = diffusion.encode_conditions(make_slots(2))
        kept = dict.fromkeys(('denoiser', 'decoder'), 0)

        def pack(tensor, part):
            kept[part] += tensor.numel()  # noqa: B023
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(lambda x: pack(x, 'denoiser'), lambda x: x):
            noise = diffusion.predict_noise(z, torch.tensor(500), condition)
        with torch.autograd.graph.saved_tensors_hooks(lambda x: pack(x, 'decoder'), lambda x: x):
            image = diffusion.decode_latents(z - noise, fast=True)
        gradient, = torch.autograd.grad(image.square().sum(), z)
        found.append((image.detach(), gradient, kept))
    (image, gradient, kept), (again, same, fewer) = found
    assert torch.equal(image, again) and torch.equal(gradient, same) and gradient.any()
    assert fewer['denoiser'] < .7 * kept['denoiser'] and fewer['decoder'] < .5 * kept['decoder']


def test_channels_last_changes_the_layout_alone():
    """Values and gradients differ by round-off, weights and their digest do not."""
    found = []
    for channels_last in (False, True):
        diffusion = build(channels_last=channels_last)
        z = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
        condition = diffusion.encode_conditions(make_slots(2))
        noise = diffusion.predict_noise(z, torch.tensor(500), condition)
        image = diffusion.decode_latents(z - noise)
        gradient, = torch.autograd.grad(image.square().sum(), z)
        found.append((image.detach(), gradient, diffusion.weights_digest()))
        for part in (diffusion.unet, diffusion.vae.decoder):
            assert part.conv_in.weight.is_contiguous() is not channels_last
    (image, gradient, digest), (again, same, twin) = found
    assert digest == twin and gradient.any()
    torch.testing.assert_close(image, again, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient, same, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('offload', [True, False])
def test_the_text_encoder_leaves_the_device(offload, monkeypatch):
    diffusion, moved = build(offload_text_encoders=offload), []
    monkeypatch.setattr(diffusion.text_encoder, 'to', lambda device: moved.append(str(device)))
    diffusion.encode_conditions(make_slots(2))
    assert moved == ['cpu'] * (1 + offload)


def test_the_attention_of_a_unet_has_no_choice():
    with pytest.raises(ValueError, match='attention_backend: UNet2DConditionModel .*no choice'):
        build(attention_backend='native')
    with pytest.raises(ValueError, match='attention_backend: UNet2DConditionModel .*no choice'):
        StableDiffusion.check_config(dict(attention_backend='native'))


def test_a_size_that_the_prior_was_not_trained_on_is_told_once(caplog, monkeypatch):
    from mmengine.logging import MMLogger
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'handlers', [caplog.handler])
    diffusion = build()
    assert diffusion.trained_size == (32, 32)
    diffusion.sample(make_slots(1), steps=1)
    assert 'trained on' not in caplog.text
    wide = DistillSlot(0, 1, (32, 48), np.array([0]))
    for _ in range(2):
        diffusion.sample([wide], steps=1)
    told = [line for line in caplog.text.splitlines() if 'trained on' in line]
    assert len(told) == 1
    assert 'makes images of 32 x 48 pixels; it was trained on 32 x 32' in told[0]
    unet = dict(tiny.stable_diffusion()['unet'], sample_size=(8, 12))
    assert build(unet=unet).trained_size == (32, 48)


@pytest.mark.parametrize('settings, words', [
    (dict(type='FlowMatchEulerDiscreteScheduler'), 'FlowMatchEulerDiscreteScheduler is for flow'),
    (dict(type='UniPCMultistepScheduler', use_flow_sigmas=True), 'use_flow_sigmas is for flow'),
    (dict(prediction_type='flow_prediction'), "prediction_type 'flow_prediction' is not"),
    (dict(prediction_type='sample'), "prediction_type 'sample' is not"),
    (dict(type='EDMEulerScheduler', prediction_type='epsilon'), 'it has no betas'),
    (dict(type='IPNDMScheduler'), 'it has no betas')])
@pytest.mark.parametrize('cls', [StableDiffusion, DiT])
def test_other_kinds_of_models_are_refused_before_they_are_loaded(folder, tmp_path, cls, settings,
                                                                  words):
    """By the config, and by what a folder says of itself."""
    ends = f'{words}.* supported are schedulers over betas, such as DDIMScheduler'
    with pytest.raises(ValueError, match=ends) as caught:
        cls.check_config(dict(scheduler=settings))
    assert '\n' not in str(caught.value)
    if cls is StableDiffusion and settings.get('type') != 'EDMEulerScheduler':
        copy = damage(folder, tmp_path, 'scheduler/scheduler_config.json', json.dumps(dict(
            settings, _class_name=settings.get('type', 'DDIMScheduler'))).encode())
        if 'betas' in words:  # whatever it was trained by, DDIM can step with its betas
            cls.check_config(dict(pretrained=copy))
        else:
            with pytest.raises(ValueError, match=ends):
                cls.check_config(dict(pretrained=copy))


def test_sizes(tiny_sd):
    with pytest.raises(ValueError, match='must be a multiple of 8'):
        tiny_sd.latent_shape((36, 32))
    wide = DistillSlot(0, 1, (32, 48), np.array([0]))
    assert tiny_sd.sample([wide])[0].shape == (1, 3, 32, 48)
    with pytest.raises(ValueError, match='must have one size'):
        tiny_sd.sample([wide, make_slots(1)[0]])


def test_a_prompt_that_is_cut_is_told(tiny_sd, caplog, monkeypatch):
    from mmengine.logging import MMLogger
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'handlers', [caplog.handler])
    slots = [DistillSlot(i, 1, (32, 32), np.array([0]), prompt=text)
             for i, text in enumerate(('3 ' * 100, '3 ' * 20))]
    tiny_sd.encode_conditions(slots[1:])
    assert not caplog.text
    tiny_sd.encode_conditions(slots)
    assert '1 prompts are longer than 77 tokens' in caplog.text
