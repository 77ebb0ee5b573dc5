"""Priors of flow matching: the pipelines of diffusers are the second implementation."""
import copy
import json
import math
from dataclasses import replace

import diffusers
import numpy as np
import pytest
import tiny
import torch
from gaussian import Recorder, caller
from mmengine.config import Config
from torch.testing import assert_close

from mmdd.engine.hooks import GuidanceHook
from mmdd.engine.preflight import check_job
from mmdd.models.diffusions import Flux, StableDiffusion3
from mmdd.models.diffusions.flow_process import MAX_SIGMA
from mmdd.registry import MODELS
from mmdd.structures import DenoiseState, DistillSlot
from mmdd.utils.config import load_config
from mmdd.utils.seed import generator

SIZE = (64, 32)
SHIFTED = dict(type='FlowMatchEulerDiscreteScheduler', use_dynamic_shifting=True, base_shift=0.5,
               max_shift=1.15, base_image_seq_len=2, max_image_seq_len=40)


def config(kind, **kwargs):
    node = load_config(f'configs/_base_/diffusions/tiny_random_{kind}.py').model.diffusion
    node = copy.deepcopy(node.to_dict())
    node['transformer'].update(kwargs.pop('transformer', {}))
    return dict(node, **kwargs)


def build(kind, **kwargs):
    """A tiny prior; its output is made as large as that of a trained one."""
    torch.manual_seed(0)
    prior = MODELS.build(config(kind, **kwargs))
    prior.transformer.proj_out.weight.data.mul_(20.)
    return prior


@pytest.fixture(scope='module', params=['sd3', 'flux'])
def prior(request):
    return build(request.param)


def slots(num=2):
    texts = ['a photo', 'a photo of and', '']
    return [DistillSlot(i, 10 + i, SIZE, np.array([i]), prompt=texts[i]) for i in range(num)]


def stock(prior, kind):
    """A stock pipeline on the networks of an adapter."""
    parts = {name: getattr(prior, name) for name in (
        'vae', 'transformer', 'text_encoder', 'text_encoder_2', 'text_encoder_3', 'tokenizer',
        'tokenizer_2', 'tokenizer_3') if hasattr(prior, name)}
    if 'StableDiffusion3' in kind:
        parts = {'tokenizer_3': None, **parts}
    pipe = getattr(diffusers, kind)(
        scheduler=type(prior.scheduler).from_config(prior.scheduler.config), **parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def steps_of(pipe, noise, **kwargs):
    """Latents after each step of a stock pipeline."""
    seen = []
    pipe(height=SIZE[0], width=SIZE[1], latents=noise, output_type='latent',
         max_sequence_length=77,
         callback_on_step_end=lambda _, i, t, kw: seen.append(kw['latents']) or {}, **kwargs)
    return seen


def start(prior, num=2):
    shape = prior.latent_shape(SIZE)
    return torch.stack([torch.randn(shape, generator=generator('image', slot.seed))
                        for slot in slots(num)])


@pytest.mark.parametrize('settings', [
    dict(), dict(negative_prompt='of'), dict(cfg_scale=1.), dict(scheduler=SHIFTED),
    dict(use_t5=False)], ids=['plain', 'negative', 'one-branch', 'shifted', 'no-t5'])
def test_stable_diffusion_3_steps_as_its_pipeline(settings):
    prior, recorder = build('sd3', **settings), Recorder('after_step')
    images, stats = prior.sample(slots(), call_hook=caller(recorder))
    expected = steps_of(
        stock(prior, 'StableDiffusion3Pipeline'), start(prior), num_inference_steps=4,
        prompt=[slot.prompt for slot in slots()], guidance_scale=prior.cfg_scale,
        negative_prompt=[prior.negative_prompt] * 2)
    for state, latents in zip(recorder.seen, expected, strict=True):
        assert_close(state.latents, latents, atol=1e-4, rtol=1e-4)
    assert (expected[-1] - start(prior)).std() > .1
    assert [s['denoiser_passes'] for s in stats] == [4 * prior.branches] * 2
    assert images.shape == (2, 3, *SIZE)


@pytest.mark.parametrize('settings', [
    dict(), dict(transformer=dict(guidance_embeds=False)),
    dict(cfg_scale=2., negative_prompt='of'), dict(scheduler=SHIFTED)],
    ids=['dev', 'schnell', 'two-branches', 'shifted'])
def test_flux_steps_as_its_pipeline(settings):
    prior, recorder = build('flux', **settings), Recorder('after_step')
    prior.sample(slots(), call_hook=caller(recorder))
    pipe = stock(prior, 'FluxPipeline')
    noise = start(prior)
    expected = steps_of(
        pipe, pipe._pack_latents(noise, *noise.shape), num_inference_steps=4,
        prompt=[slot.prompt for slot in slots()], guidance_scale=3.5,
        true_cfg_scale=prior.cfg_scale, negative_prompt=[prior.negative_prompt] * 2)
    for state, latents in zip(recorder.seen, expected, strict=True):
        assert_close(state.latents, pipe._unpack_latents(latents, *SIZE, prior.factor), atol=1e-4,
                     rtol=1e-4)
    assert (recorder.seen[-1].latents - noise).std() > .1


@pytest.mark.parametrize('strength', [0.1, 0.55, 1.])
def test_a_start_from_images_is_that_of_the_pipeline(strength):
    prior, recorder = build('sd3'), Recorder('after_step')
    init = torch.randn(2, 4, 8, 4, generator=torch.Generator().manual_seed(1))
    prior.sample(slots(), init, strength, 10, call_hook=caller(recorder))
    expected = stock(prior, 'StableDiffusion3Img2ImgPipeline')(
        prompt=[slot.prompt for slot in slots()], negative_prompt=[''] * 2, image=init,
        height=SIZE[0], width=SIZE[1], strength=strength, num_inference_steps=10,
        guidance_scale=2., max_sequence_length=77, output_type='latent',
        generator=[generator('image', slot.seed) for slot in slots()]).images
    assert len(recorder.seen) == math.ceil(10 * strength)
    assert_close(recorder.seen[-1].latents, expected, atol=1e-4, rtol=1e-4)


def test_the_autoencoder_shifts_its_latents(prior):
    images = torch.rand(1, 3, *SIZE)
    config = prior.vae.config
    mean = prior.vae.encode(images * 2 - 1).latent_dist.mean
    assert_close(prior.encode_images(images), (mean - config.shift_factor) * config.scaling_factor)
    assert_close(prior.decode_latents(prior.encode_images(images)),
                 prior.vae.decode(mean).sample / 2 + .5)


def test_the_forward_process(prior):
    clean, noise = torch.randn(2, 3, 4, 8, 4)
    timesteps = torch.tensor([0, 500, 1000])
    z = prior.add_noise(clean, noise, timesteps)
    assert_close(z, torch.stack([clean[0], (clean[1] + noise[1]) / 2, noise[2]]))
    velocity = prior.training_target(clean, noise, timesteps)
    assert_close(velocity, noise - clean)
    predicted = prior.as_noise(velocity, z, timesteps)
    assert_close(predicted[:2], noise[:2])
    assert_close(prior.clean_estimate(z, predicted, timesteps)[:2], clean[:2])
    for i, t in enumerate(timesteps):  # back to the velocity, at sigma = 1 too
        assert_close(prior.as_velocity(predicted[i:i + 1], z[i:i + 1], t),
                     velocity[i:i + 1], atol=1e-4, rtol=1e-4)
    # pure noise: the clean estimate is z - 0.99 v instead of z - v
    last = prior.clean_estimate(z, predicted, timesteps)[2]
    assert_close(last, noise[2] - MAX_SIGMA * velocity[2], atol=1e-4, rtol=1e-4)


def test_every_latent_may_have_a_timestep_of_its_own():
    for kind in ('sd3', 'flux'):
        prior = build(kind, cfg_scale=1.)
        z, condition = torch.randn(2, 4, 8, 4), prior.encode_conditions(slots())
        both = prior.predict_noise(z, torch.tensor([200, 900]), condition)
        for i, t in enumerate((200., 900.)):
            alone = prior.predict_noise(z, torch.tensor(t), condition)[i]
            assert_close(both[i], alone, atol=1e-4, rtol=1e-4)


def test_half_precision():
    for kind in ('sd3', 'flux'):
        prior = build(kind, dtype='bf16', energy_decoder=dict(
            latent_channels=4, num_encoder_blocks=(1, ) * 4, num_decoder_blocks=(1, ) * 4,
            encoder_block_out_channels=(8, ) * 4, decoder_block_out_channels=(8, ) * 4))
        parts = prior.transformer, prior.text_encoder, prior.text_encoder_2
        assert {part.dtype for part in parts} == {torch.bfloat16}
        images, stats = prior.sample(slots(), call_hook=caller(Images(.1, step='relative')))
        assert images.dtype == torch.float32 and torch.isfinite(images).all()
        assert not any('skipped_gradients' in counted for counted in stats)


class Images(GuidanceHook):
    """How bright the decoded images are."""

    def energy(self, state):
        return state.decode(state.denoised).flatten(1).mean(1)


class Quadratic(GuidanceHook):
    """Half the squared distance of the clean estimate to 1."""

    def energy(self, state):
        return (state.denoised - 1).flatten(1).pow(2).sum(1) / 2


class Linear(torch.nn.Module):
    """A transformer whose velocity is half its input."""
    dtype = torch.float32

    def forward(self, hidden_states, **kwargs):
        self.seen = hidden_states
        return type('Output', (), dict(sample=hidden_states / 2))


@pytest.mark.parametrize('wrt', ['latent', 'denoised'])
def test_guidance_by_a_quadratic_energy_in_closed_form(wrt):
    prior = build('sd3', cfg_scale=1.)
    prior.transformer.forward = Linear().forward
    recorder = Recorder('after_step')
    prior.sample(slots(1), call_hook=caller(Quadratic(0.1, wrt=wrt), recorder))
    z, sigmas = start(prior, 1), prior.scheduler.sigmas.tolist()
    assert sigmas[0] == 1.
    for state, true, following in zip(recorder.seen, sigmas, sigmas[1:]):
        sigma = min(true, MAX_SIGMA)
        alpha = 1 - sigma
        slope = 1 - sigma / 2 if wrt == 'latent' else alpha / (alpha**2 + sigma**2)
        # z_0 = z - sigma v, epsilon + lambda sigma grad L, and a velocity again
        change = 0.1 * sigma * slope * (z * (1 - sigma / 2) - 1)
        z = z + (following - true) * (z / 2 + change / max(alpha, true - following))
        assert_close(state.latents, z, atol=1e-4, rtol=1e-4)
    assert torch.isfinite(z).all()


@pytest.mark.parametrize('options', [
    dict(step='relative'), dict(step='polyak', schedule='sigma'), dict(branch='text'),
    dict(inner_steps=1, inner_scale=.1), dict(max_norm=1.)], ids=lambda x: next(iter(x)))
def test_guidance_brings_the_clean_estimate_nearer(options):
    prior = build('sd3')
    prior.transformer.forward = Linear().forward
    far, near = Recorder('after_denoise'), Recorder('after_denoise')
    prior.sample(slots(), call_hook=caller(far))
    prior.sample(slots(), call_hook=caller(Quadratic(0.2, **options), near))
    energies = [Quadratic(1.).energy(seen.seen[-1]) for seen in (near, far)]
    assert (energies[0] < .98 * energies[1]).all()


@pytest.mark.parametrize('steps', [1, 4, 50])
def test_a_step_from_pure_noise_moves_by_the_change_itself(steps):
    class Constant(GuidanceHook):
        def guidance(self, state):
            return torch.ones_like(state.latents)

    prior, ends = build('flux', steps=steps), []
    for scale in (0., 0.25):
        recorder = Recorder('after_step')
        prior.sample(slots(1), call_hook=caller(
            Constant(scale, step='relative'), recorder))
        ends.append(recorder.seen[0].latents)
    noise = start(prior, 1)
    moved = torch.full_like(noise, -.25 * noise.norm() / noise.numel()**.5)
    assert_close(ends[1] - ends[0], moved, atol=.02, rtol=0)


def test_recurrence_is_refused():
    prior = build('sd3')
    with pytest.raises(ValueError, match='recurrence is not supported with priors of flow'):
        prior.sample(slots(1), call_hook=caller(Quadratic(0.1, recurrence=2)))


def test_recurrence_is_refused_before_a_job_begins(tmp_path):
    job = Config(tiny.distill_job(tmp_path / 'no data is read'))
    job.work_dir, job.model.diffusion = str(tmp_path / 'work'), config('sd3')
    job.custom_hooks = [dict(type='TaskGuidanceHook', recurrence=2)]
    with pytest.raises(ValueError, match='recurrence is not supported with priors of flow'):
        check_job(job, resume=False)


def test_batches_are_regrouped(prior):
    recorder = Recorder('after_step')
    whole, _ = prior.sample(slots())
    run = prior.begin(slots())
    prior.advance(run, 2)
    rest = prior.regroup([(run, 1)])
    prior.advance(rest, 4, caller(recorder))
    assert_close(prior.finish(rest)[0][0], whole[1], atol=1e-4, rtol=1e-4)


def test_prompts_are_encoded_once_and_the_least_used_forgotten(prior, monkeypatch):
    asked, encode = [], prior.encode_text
    monkeypatch.setattr(prior, 'encode_text', lambda text: asked.append(text) or encode(text))
    monkeypatch.setattr(prior._prompts, 'size', 3)
    prior._prompts._kept.clear()
    first = prior.encode_conditions(slots(3))
    again = prior.encode_conditions(slots(3))
    assert sorted(asked) == sorted({slot.prompt for slot in slots(3)})
    assert torch.equal(first.embeddings, again.embeddings)
    alone = prior.encode_conditions(slots(1))
    assert torch.equal(alone.embeddings[-1], first.embeddings[-3])
    new = DistillSlot(9, 1, SIZE, None, prompt='photo and photo')
    prior.encode_conditions([new])
    asked.clear()
    prior.encode_conditions([new, *slots(1)])
    assert asked == []
    prior.encode_conditions([slots(2)[1]])
    assert asked == ['a photo of and']


@pytest.mark.parametrize('offload', [True, False])
def test_text_encoders_leave_the_device(offload, monkeypatch):
    prior, moved = build('flux', offload_text_encoders=offload), []
    monkeypatch.setattr(prior.text_encoder_2, 'to', lambda device: moved.append(str(device)))
    prior.encode_conditions(slots())
    assert moved == ['cpu'] * (1 + offload)
    prior.encode_conditions(slots())
    assert len(moved) == 1 + offload


def test_flux_takes_an_attention_backend():
    """One that computes attention in plain tensor operations gives the same velocities."""
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    found = []
    for name in (None, '_native_math'):
        prior = build('flux', attention_backend=name)
        processors = [module.processor for module in prior.transformer.modules()
                      if hasattr(module, 'processor')]
        assert {getattr(p._attention_backend, 'value', None) for p in processors} == {name}
        found.append(prior.predict_noise(noise, torch.tensor(500.), prior.encode_conditions(
            slots())))
    assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('kind, name, words', [
    ('flux', 'flush', 'must be one of'), ('sd3', 'native', 'has no choice')])
def test_attention_backends_that_cannot_be(kind, name, words):
    with pytest.raises(ValueError, match=rf'model\.diffusion\.attention_backend.*{words}'):
        build(kind, attention_backend=name)


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp('flow')
    for kind, name in (('sd3', 'StableDiffusion3Pipeline'), ('flux', 'FluxPipeline')):
        stock(build(kind), name).save_pretrained(root / kind)
    return root


@pytest.mark.parametrize('kind, cls', [('sd3', StableDiffusion3), ('flux', Flux)])
def test_a_folder_gives_what_was_saved(folders, kind, cls):
    cfg = dict(pretrained=str(folders / kind), dtype='fp32', max_sequence_length=77, steps=2,
               cfg_scale=2.)
    cls.check_config(cfg)
    assert_close(cls(**cfg).sample(slots())[0],
                 build(kind, steps=2, cfg_scale=2.).sample(slots())[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('kind, cls, part', [
    ('sd3', StableDiffusion3, 'text_encoder_3'), ('sd3', StableDiffusion3, 'tokenizer_3'),
    ('flux', Flux, 'transformer'), ('flux', Flux, 'vae')])
def test_missing_parts_of_a_folder(folders, tmp_path, kind, cls, part):
    for path in (folders / kind).iterdir():
        if path.name != part:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(ValueError, match=f'{part}.* a complete diffusers folder') as caught:
        cls.check_config(dict(pretrained=str(tmp_path)))
    assert '\n' not in str(caught.value)
    if part.endswith('_3'):
        cls.check_config(dict(pretrained=str(tmp_path), use_t5=part == 'tokenizer_3',
                              tokenizer_3=['a']))


@pytest.mark.parametrize('settings, words', [
    (dict(type='DDIMScheduler'), 'scheduler DDIMScheduler is not supported'),
    (dict(type='FlowMatchHeunDiscreteScheduler'), 'FlowMatchHeunDiscreteScheduler is not'),
    (dict(invert_sigmas=True), 'invert_sigmas is not supported'),
    (dict(time_shift_type='cubic'), 'does not take these settings')])
@pytest.mark.parametrize('cls', [StableDiffusion3, Flux])
def test_other_schedulers_are_refused(cls, settings, words):
    with pytest.raises(ValueError, match=words) as caught:
        cls.check_config(dict(scheduler=settings))
    assert '\n' not in str(caught.value)


def test_weights_of_another_scheduler_are_refused(folders, tmp_path):
    for path in (folders / 'flux').iterdir():
        if path.name != 'scheduler':
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / 'scheduler').mkdir()
    (tmp_path / 'scheduler/scheduler_config.json').write_text(
        json.dumps(dict(_class_name='PNDMScheduler')))
    with pytest.raises(ValueError, match='scheduler PNDMScheduler is not supported'):
        Flux.check_config(dict(pretrained=str(tmp_path)))


def test_sizes(prior):
    with pytest.raises(ValueError, match=r'\(64, 40\) must be a multiple of 16'):
        prior.latent_shape((64, 40))
    if isinstance(prior, StableDiffusion3):
        assert prior.trained_size == (64, 64)
        with pytest.raises(ValueError, match='beyond the 1536 pixels'):
            prior.latent_shape((64, 1552))


def test_parts_that_do_not_fit():
    with pytest.raises(ValueError, match='give 16 pooled channels, its denoiser takes 24'):
        build('flux', transformer=dict(pooled_projection_dim=24))


def test_the_slope_of_the_clean_estimate():
    """Of a Gaussian of unit variance; exactly alpha where the variance is preserved."""
    state = DenoiseState([], torch.zeros(0), [], None, 1, alpha=0.25, sigma=0.75)
    assert state.clean_slope == pytest.approx(0.25 / (0.25**2 + 0.75**2))
    for bar in torch.rand(200, generator=torch.Generator().manual_seed(0)).tolist():
        preserving = replace(state, alpha=bar**.5, sigma=(1 - bar)**.5)
        assert preserving.clean_slope == bar**.5


def test_training_is_at_the_shifted_sigmas_whatever_was_sampled_before():
    """shift u / (1 + (shift - 1) u) for u = k / 1000, each as often."""
    prior = build('sd3')
    drawn = prior.training_timesteps(4000, torch.Generator().manual_seed(0))
    assert drawn.shape == (4000, )
    u = drawn / 1000 / (3 - 2 * drawn / 1000)
    assert_close(u * 1000, (u * 1000).round(), atol=1e-2, rtol=0)
    assert float(u.mean()) == pytest.approx(0.5, abs=0.02)
    prior.scheduler.set_timesteps(3)
    assert_close(drawn, prior.training_timesteps(4000, torch.Generator().manual_seed(0)))
