"""DiT against diffusers' own pipeline, its options, and DiffFit's parameters."""
import json

import numpy as np
import pytest
import tiny
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
)
from torch.testing import assert_close

from mmdd.datasets.class_names import imagenet_indices
from mmdd.models import DiT
from mmdd.models.diffusions.difffit import (
    ScaledLinear,
    add_scale_factors,
    mark_trainable,
    merge_scale_factors,
    tie_embedders,
)
from mmdd.models.diffusions.loading import load_autoencoder
from mmdd.registry import MODELS
from mmdd.structures import DistillSlot, slot_seed
from mmdd.utils.seed import generator

BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear')
# diffusers' pipeline has the null class of ImageNet-1K written into it.
IMAGENET = dict(num_classes=1000)


def make_slots(labels=(3, 7, 0)):
    return [DistillSlot(i, slot_seed(0, i), (32, 32), np.array([label]))
            for i, label in enumerate(labels)]


def build(**kwargs):
    return MODELS.build(tiny.dit(**kwargs))


def noise_of(slots):
    return torch.stack([torch.randn((4, 8, 8), generator=generator('image', slot.seed))
                        for slot in slots])


def reference(diffusion, classes, slots, monkeypatch, steps, **scheduler):
    """Images of diffusers' pipeline from the same noise."""
    from diffusers.pipelines.dit import pipeline_dit
    pipe = DiTPipeline(diffusion.transformer, diffusion.vae, DDIMScheduler(
        **BETAS, clip_sample=False, **scheduler))
    pipe.set_progress_bar_config(disable=True)
    monkeypatch.setattr(pipeline_dit, 'randn_tensor', lambda *args, **kw: noise_of(slots))
    return pipe(list(classes), guidance_scale=diffusion.cfg_scale, num_inference_steps=steps,
                output_type='pt').images


@pytest.mark.parametrize('learned_variance', [False, True])
@pytest.mark.parametrize('cfg_scale', [1., 4.])
def test_equals_the_pipeline_of_diffusers(learned_variance, cfg_scale, monkeypatch):
    diffusion = build(learned_variance=learned_variance, cfg_scale=cfg_scale, **IMAGENET)
    slots = make_slots()
    images, stats = diffusion.sample(slots, steps=5)
    expected = reference(diffusion, (3, 7, 0), slots, monkeypatch, 5)
    assert_close(images, expected, atol=1e-5, rtol=0)
    assert expected.std() > .02
    assert stats[0]['denoiser_passes'] == 5 * (2 if cfg_scale > 1 else 1)


@pytest.mark.parametrize('learned_variance', [False, True])
@pytest.mark.parametrize('cfg_scale', [1., 4.])
def test_a_prior_of_v_equals_the_pipeline_of_diffusers(learned_variance, cfg_scale, monkeypatch):
    diffusion = build(learned_variance=learned_variance, cfg_scale=cfg_scale, scheduler=dict(
        BETAS, type='DDIMScheduler', prediction_type='v_prediction'), **IMAGENET)
    assert diffusion.v_prediction
    assert diffusion.scheduler.config.prediction_type == 'epsilon'
    slots = make_slots()
    images, _ = diffusion.sample(slots, steps=5)
    expected = reference(diffusion, (3, 7, 0), slots, monkeypatch, 5,
                         prediction_type='v_prediction')
    assert_close(images, expected, atol=1e-4, rtol=0)
    plain = build(learned_variance=learned_variance, cfg_scale=cfg_scale, **IMAGENET)
    assert (plain.sample(slots, steps=5)[0] - images).abs().max() > .01


@pytest.mark.parametrize('prediction', ['epsilon', 'v_prediction'])
def test_noise_target_and_clean_estimate_are_those_of_the_forward_process(prediction):
    """For the network that is exact; alpha and sigma from the betas, in double precision."""
    diffusion = build(scheduler=dict(BETAS, type='DDIMScheduler', prediction_type=prediction))
    t = torch.tensor([0, 333, 999])
    betas = torch.linspace(.00085**.5, .012**.5, 1000, dtype=torch.float64)**2
    bar = torch.cumprod(1 - betas, 0)[t].view(-1, 1, 1, 1)
    alpha, sigma = (x.float() for x in (bar.sqrt(), (1 - bar).sqrt()))
    clean, noise = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    noisy = alpha * clean + sigma * noise
    target = noise if prediction == 'epsilon' else alpha * noise - sigma * clean
    close = dict(atol=1e-4, rtol=1e-4)
    assert_close(diffusion.add_noise(clean, noise, t), noisy, **close)
    assert_close(diffusion.training_target(clean, noise, t), target, **close)
    assert_close(diffusion.as_noise(target, noisy, t), noise, **close)
    assert_close(diffusion.clean_estimate(noisy, noise, t), clean, atol=1e-3, rtol=1e-3)
    for i in range(3):  # one timestep for all, as in sampling
        assert_close(diffusion.as_noise(target[i], noisy[i], t[i]), noise[i], **close)


def test_class_map_names_the_classes_of_the_prior(monkeypatch):
    slots = make_slots((0, 9, 4))
    mapped = build(class_map='imagewoof', **IMAGENET)
    wanted = [imagenet_indices('imagewoof')[i] for i in (0, 9, 4)]
    assert wanted == [155, 273, 182]
    assert_close(mapped.sample(slots)[0], reference(mapped, wanted, slots, monkeypatch, 3),
                 atol=1e-5, rtol=0)
    listed = build(class_map=list(imagenet_indices('imagewoof')), **IMAGENET)
    assert torch.equal(listed.encode_conditions(slots), mapped.encode_conditions(slots))
    null = torch.tensor([1000] * 3)
    assert torch.equal(mapped.encode_conditions(slots), torch.cat([torch.tensor(wanted), null]))


def test_guidance_on_some_channels():
    """The released code of DiT: the rest is the conditional prediction."""
    diffusion, part = build(cfg_scale=4.), build(cfg_scale=4., cfg_channels=3)
    z, t = torch.randn(2, 4, 8, 8), torch.tensor(500)
    ids = torch.tensor([1, 2, 10, 10])
    conditional, null = diffusion.transformer(
        torch.cat([z, z]), timestep=t.expand(4), class_labels=ids).sample.chunk(2)
    guided = null + 4 * (conditional - null)
    assert_close(diffusion.predict_noise(z, t, ids), guided)
    wanted = torch.cat([guided[:, :3], conditional[:, 3:]], 1)
    assert_close(part.predict_noise(z, t, ids), wanted)
    assert (wanted - guided).abs().max() > 1e-3


def test_ancestral_sampling_with_learned_variance():
    """Against the equations of Improved DDPM, written out."""
    diffusion = build(learned_variance=True, steps=4, scheduler=dict(
        BETAS, type='DDPMScheduler', variance_type='learned_range', clip_sample=False,
        timestep_spacing='linspace'))
    slots = make_slots()
    images, _ = diffusion.sample(slots)
    generators = [generator('image', slot.seed) for slot in slots]

    def draw():
        return torch.stack([torch.randn((4, 8, 8), generator=g) for g in generators])

    x, bars = draw(), torch.cumprod(1 - torch.linspace(
        0.00085**.5, 0.012**.5, 1000, dtype=torch.float32)**2, 0)
    steps = [999, 666, 333, 0]
    for t, before in zip(steps, [666, 333, 0, None]):
        out = diffusion.transformer(torch.cat([x, x]), timestep=torch.full((6, ), t),
                                    class_labels=torch.tensor([3, 7, 0, 10, 10, 10])).sample
        conditional, null = out[:, :4].chunk(2)
        eps, fraction = null + 2 * (conditional - null), (out[:3, 4:] + 1) / 2
        bar, last = bars[t], torch.tensor(1.) if before is None else bars[before]
        beta = 1 - bar / last
        clean = (x - (1 - bar)**.5 * eps) / bar**.5
        x = last**.5 * beta / (1 - bar) * clean + (bar / last)**.5 * (1 - last) / (1 - bar) * x
        if t:
            log_var = fraction * beta.log() + (1 - fraction) * (
                beta * (1 - last) / (1 - bar)).log()
            x = x + (0.5 * log_var).exp() * draw()
    assert_close(images, diffusion.decode_latents(x).clamp(0, 1), atol=1e-4, rtol=0)


def test_an_image_depends_on_its_slot_alone():
    diffusion = build(learned_variance=True, scheduler=dict(
        BETAS, type='DDPMScheduler', variance_type='learned_range', clip_sample=False))
    slots = make_slots((1, 2, 3, 4, 5))
    together = diffusion.sample(slots)[0]
    assert_close(diffusion.sample(slots[::-1])[0].flip(0), together, atol=1e-5, rtol=0)
    for slot, image in zip(slots, together):
        assert_close(diffusion.sample([slot])[0][0], image, atol=1e-5, rtol=0)
    moved = DistillSlot(9, slots[0].seed, (32, 32), np.array([8]), prompt='never read')
    assert (diffusion.sample([moved])[0][0] - together[0]).abs().max() > 1e-3


def save_folder(folder, num_classes=10):
    cfg = tiny.dit(num_classes=num_classes)
    torch.manual_seed(1)
    transformer = DiTTransformer2DModel(**cfg['transformer'])
    transformer.save_pretrained(folder / 'transformer')
    vae = AutoencoderKL(**cfg['vae'])
    vae.save_pretrained(folder / 'vae')
    DDIMScheduler(**BETAS, clip_sample=False).save_pretrained(folder / 'scheduler')
    return transformer, vae


def test_pretrained_folder_with_its_own_or_another_vae(tmp_path):
    whole, part = tmp_path / 'whole', tmp_path / 'part'
    save_folder(whole)
    transformer, _ = save_folder(part)
    (part / 'vae').rename(tmp_path / 'vae')
    first = DiT(str(whole), steps=2, dtype='fp32')
    second = DiT(str(part), vae=str(tmp_path / 'vae'), steps=2, dtype='fp32')
    assert torch.equal(first.sample(make_slots())[0], second.sample(make_slots())[0])
    assert torch.equal(first.transformer.proj_out_2.weight, transformer.proj_out_2.weight)
    DiT.check_config(dict(pretrained=str(part), vae=str(tmp_path / 'vae')))
    with pytest.raises(ValueError, match='vae has no safetensors'):
        DiT.check_config(dict(pretrained=str(part)))


def test_an_autoencoder_without_a_posterior(tmp_path):
    save_folder(tmp_path / 'whole')
    tiny_vae = AutoencoderTiny(
        encoder_block_out_channels=(8, ) * 3, decoder_block_out_channels=(8, ) * 3,
        num_encoder_blocks=(1, ) * 3, num_decoder_blocks=(1, ) * 3, scaling_factor=0.5)
    tiny_vae.save_pretrained(tmp_path / 'tiny')
    diffusion = DiT(str(tmp_path / 'whole'), vae=str(tmp_path / 'tiny'), steps=2, dtype='fp32')
    assert isinstance(diffusion.vae, AutoencoderTiny)
    assert diffusion.latent_shape((32, 32)) == (4, 8, 8)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    latents = diffusion.encode_images(images)
    with torch.no_grad():
        assert_close(latents, 0.5 * tiny_vae.eval().encode(images * 2 - 1).latents)
        assert_close(diffusion.decode_latents(latents),
                     tiny_vae.decode(latents / 0.5).sample / 2 + 0.5)
    # nothing to draw from
    assert torch.equal(diffusion.encode_images(images, [torch.Generator()] * 2), latents)
    assert diffusion.sample(make_slots())[0].shape == (3, 3, 32, 32)
    half = load_autoencoder(None, str(tmp_path / 'tiny'), torch.float16, torch.float32)
    assert half.dtype == torch.float16


def test_an_autoencoder_of_other_latents_is_refused(tmp_path):
    save_folder(tmp_path / 'whole')
    AutoencoderKL(**dict(tiny.dit()['vae'], latent_channels=3)).save_pretrained(tmp_path / 'vae')
    with pytest.raises(ValueError, match='has 3 latent channels, the transformer 4'):
        DiT(str(tmp_path / 'whole'), vae=str(tmp_path / 'vae'), dtype='fp32')


def test_too_few_classes_are_noticed_without_loading(tmp_path):
    save_folder(tmp_path, num_classes=3)
    cfg = dict(type='DiT', pretrained=str(tmp_path))
    DiT.check_classes(cfg, list('abc'))
    with pytest.raises(ValueError, match='knows 3 classes, class 3 is asked for'):
        DiT.check_classes(cfg, list('abcd'))
    with pytest.raises(ValueError, match='class_map has 2 classes, the real set has 3'):
        DiT.check_classes(dict(cfg, class_map=[0, 1]), list('abc'))
    with pytest.raises(ValueError, match='knows 10 classes, class 273'):
        DiT.check_classes(tiny.dit(class_map='imagewoof'), list('abcdefghij'))
    # a hub model's config is not there yet: nothing to compare
    (tmp_path / 'transformer' / 'config.json').unlink()
    DiT.check_classes(cfg, list('abcd'))


@pytest.mark.parametrize('settings, message', [
    (dict(class_map='imagewof'), "did you mean 'imagewoof'"),
    (dict(class_map=['n01440764']), 'class_map must be a list of class indices'),
    (dict(class_map=[11]), 'knows 10 classes, class 11'),
    (dict(cfg_channels=5), r'cfg_channels must be in \[1, 4\], got 5'),
    (dict(scheduler=dict(type='DDPMScheduler', variance_type='learned_range')),
     "'learned_range' needs a transformer with 8 output channels, this one has 4"),
    (dict(transformer=None), "either pretrained or settings for 'transformer'"),
    (dict(pretrained='./none'), 'no diffusion weights at'),
], ids=lambda x: next(iter(x)) if isinstance(x, dict) else '')
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)


def test_bad_slots():
    with pytest.raises(ValueError, match='images of 32 pixels square'):
        build().sample([DistillSlot(0, 0, (64, 64), np.array([0]))])
    with pytest.raises(ValueError, match='class 10 is asked for'):
        build().sample(make_slots((10, )))
    with pytest.raises(ValueError, match='class_map has 2 classes, a slot asks for label 2'):
        build(class_map=[4, 5]).sample(make_slots((2, )))


def test_latents_round_trip_through_the_scaling_factor():
    diffusion = build()
    images = torch.rand(2, 3, 32, 32)
    posterior = diffusion.vae.encode(images * 2 - 1).latent_dist
    assert_close(diffusion.encode_images(images), posterior.mean * .18215)
    generators = [torch.Generator().manual_seed(i) for i in range(2)]
    noise = torch.stack([torch.randn((4, 8, 8), generator=torch.Generator().manual_seed(i))
                         for i in range(2)])
    assert_close(diffusion.encode_images(images, generators),
                 (posterior.mean + posterior.std * noise) * .18215)


def test_the_embedded_prior_is_within_its_limits():
    """The config says which autoencoder it shares; weights are checked where they lie."""
    import os.path as osp

    from mmdd.utils.config import load_config, resolve_path
    cfg = load_config('configs/_base_/diffusions/digits_dit.py').model.diffusion
    DiT.check_config(cfg)
    DiT.check_classes(cfg, tuple('0123456789'))
    file = resolve_path(cfg.pretrained) + '/transformer/diffusion_pytorch_model.safetensors'
    assert osp.getsize(file) <= 5_000_000
    with open(resolve_path(cfg.pretrained) + '/transformer/config.json') as f:
        assert json.load(f)['num_embeds_ada_norm'] == 10
    assert not osp.exists(osp.join(resolve_path(cfg.pretrained), 'vae'))
    assert cfg.vae == 'mmdd::priors/digits-sd/vae'


def test_scale_factors_merge_into_a_stock_transformer():
    torch.manual_seed(0)
    scaled, stock = (build().transformer for _ in range(2))
    add_scale_factors(scaled, ('to_q', 'to_k', 'to_v', 'attn', 'attn', 'ff'), blocks=1)
    z, t, y = torch.randn(2, 4, 8, 8), torch.tensor([3, 700]), torch.tensor([1, 10])
    before = scaled(z, timestep=t, class_labels=y).sample
    assert torch.equal(before, stock(z, timestep=t, class_labels=y).sample)
    factors = [m for m in scaled.modules() if isinstance(m, ScaledLinear)]
    assert len(factors) == 5
    for module in factors:
        torch.nn.init.normal_(module.gamma)
    # two on the output of attention, as in the released code of Minimax
    twice, = [m for m in factors if hasattr(m, 'outer_gamma')]
    assert twice is scaled.transformer_blocks[0].attn1.to_out[0]
    torch.nn.init.normal_(twice.outer_gamma)
    assert_close(twice(z.flatten(1)[:, :twice.in_features]), twice.outer_gamma * twice.gamma * (
        torch.nn.functional.linear(z.flatten(1)[:, :twice.in_features], twice.weight, twice.bias)))
    assert len(mark_trainable(scaled)) > 0 and twice.outer_gamma.requires_grad
    after = scaled(z, timestep=t, class_labels=y).sample
    assert (after - before).abs().max() > 1e-3
    stock.load_state_dict(merge_scale_factors(scaled.state_dict()))
    assert_close(stock(z, timestep=t, class_labels=y).sample, after)


def test_what_difffit_trains():
    transformer = build().transformer
    block = transformer.transformer_blocks[1].norm1.emb
    assert not tie_embedders(transformer)  # random copies differ: left alone
    assert transformer.transformer_blocks[1].norm1.emb is block
    for other in transformer.transformer_blocks:
        other.norm1.emb.load_state_dict(block.state_dict())
    assert tie_embedders(transformer)
    add_scale_factors(transformer)
    names = mark_trainable(transformer)
    assert names == [n for n, p in transformer.named_parameters() if p.requires_grad]
    expected = {'pos_embed.proj.bias', 'proj_out_1.bias', 'proj_out_2.bias'}
    for i in range(2):
        expected |= {f'transformer_blocks.{i}.{name}' for name in (
            'norm1.linear.bias', 'attn1.to_q.bias', 'attn1.to_k.bias', 'attn1.to_v.bias',
            'attn1.to_out.0.bias', 'attn1.to_out.0.gamma', 'ff.net.0.proj.bias',
            'ff.net.2.bias', 'ff.net.2.gamma')}
    # one embedder for all blocks, as in DiT
    expected |= {'transformer_blocks.0.norm1.emb.' + name for name in (
        'timestep_embedder.linear_1.bias', 'timestep_embedder.linear_2.bias',
        'class_embedder.embedding_table.weight')}
    assert set(names) == expected
    # the modulation layers carry "norm" in their names, but are no norms
    assert not any(n.endswith('norm1.linear.weight') for n in names)
    trained = sum(p.numel() for p in transformer.parameters() if p.requires_grad)
    assert trained < .15 * sum(p.numel() for p in transformer.parameters())


def test_unknown_scale_factors():
    with pytest.raises(ValueError, match='layers must be among'):
        add_scale_factors(build().transformer, ('mlp', ))
    with pytest.raises(ValueError, match='none more than twice'):
        add_scale_factors(build().transformer, ('ff', 'ff', 'ff'))
    with pytest.raises(ValueError, match='and blocks at most 2'):
        add_scale_factors(build().transformer, blocks=3)


@pytest.mark.parametrize('kind', ['DDIMScheduler', 'DDPMScheduler'])
def test_latents_are_not_clipped(kind):
    """diffusers' default takes them for images in [-1, 1]."""
    assert build(scheduler=dict(type=kind)).scheduler.config.clip_sample is False


def test_channels_last_changes_the_layout_of_the_autoencoder_alone():
    plain, other = build(), build(channels_last=True)
    assert not other.vae.decoder.conv_in.weight.is_contiguous()
    assert other.transformer.pos_embed.proj.weight.is_contiguous()
    assert plain.weights_digest() == other.weights_digest()
    images, twins = (diffusion.sample(make_slots())[0] for diffusion in (plain, other))
    assert_close(images, twins, atol=1e-5, rtol=0)
