"""The shared training of the priors: noise levels, v, resume, the cache of latents."""
import argparse
import copy
import json
import math
import os.path as osp
from itertools import islice

import numpy as np
import pytest
import tiny
import torch
from diffusers.models.attention_processor import Attention
from mmengine.registry import DefaultScope
from prior_training.arguments import add_arguments, parse
from prior_training.attention import write_out_attention
from prior_training.data import encode_pool, layout_stream
from prior_training.loop import fit
from prior_training.noise import NoiseLevels, make_scheduler, velocity_loss
from prior_training.perceptual import Features, perceptual_distance

from mmdd.registry import MODELS
from mmdd.utils.config import load_config


def options(work_dir, *more):
    parser = argparse.ArgumentParser()
    add_arguments(parser, precision='fp32', save_every=2, batch_size=4)
    return parse(parser, [str(work_dir), *more])


def test_log_snr_follows_a_laplace_distribution():
    bars = make_scheduler().alphas_cumprod
    log_snr = (bars / (1 - bars)).log()
    t = NoiseLevels(bars, uniform=0., scale=1.).draw(40000, torch.Generator().manual_seed(0))
    drawn = log_snr[t]
    for x in (0.5, 1., 2.):
        # P(|log SNR| < x) of Laplace(0, 1); timesteps are about 0.01 apart there
        assert (drawn.abs() < x).double().mean() == pytest.approx(1 - math.exp(-x), abs=0.01)
    assert abs(float((drawn < 0).double().mean()) - 0.5) < 0.01


def test_a_share_of_the_noise_levels_is_uniform():
    bars = make_scheduler().alphas_cumprod
    g = torch.Generator().manual_seed(0)
    everywhere = NoiseLevels(bars, uniform=1.).draw(40000, g)
    assert np.bincount(everywhere // 100, minlength=10) == pytest.approx([4000] * 10, rel=0.08)
    # the Laplace distribution leaves the last hundred steps (log SNR below -4.2) nearly alone
    last = (bars / (1 - bars)).log()[900]
    mixed = NoiseLevels(bars, uniform=0.25).draw(40000, g)
    expected = 0.25 * 0.1 + 0.75 * 0.5 * math.exp(float(last))
    assert (mixed >= 900).double().mean() == pytest.approx(expected, abs=0.004)


def test_velocity_loss_is_zero_for_v_and_knows_the_scale_of_errors():
    g = torch.Generator().manual_seed(0)
    z, noise = torch.randn(3, 4, 8, 8, generator=g), torch.randn(3, 4, 8, 8, generator=g)
    bars = torch.tensor([0.9, 0.5, 0.01])
    alpha, sigma = bars.sqrt().view(-1, 1, 1, 1), (1 - bars).sqrt().view(-1, 1, 1, 1)

    def perfect(z_t):
        torch.testing.assert_close(z_t, alpha * z + sigma * noise)
        return alpha * noise - sigma * z

    assert velocity_loss(perfect, z, noise, bars).abs().max() == 0
    off = velocity_loss(lambda z_t: perfect(z_t) + 0.5, z, noise, bars)
    torch.testing.assert_close(off, torch.full((3, ), 0.25))


def test_layouts_hold_as_many_digits_as_asked_and_do_not_depend_on_the_start():
    scenes = list(islice(layout_stream(5, 0.3), 300))
    later = list(islice(layout_stream(5, 0.3, start=290), 10))
    for a, b in zip(scenes[290:], later):
        assert np.array_equal(a.image, b.image)
    heights = [s.bboxes[:, 3] - s.bboxes[:, 1] for s in scenes]
    single = [h for h in heights if len(h) == 1 and h[0] > 38.5]  # above 0.6 of 64 pixels
    assert 0.2 < len(single) / 300 < 0.4
    assert max(map(len, heights)) == 5
    only_three = islice(layout_stream(5, 0., (0., 0., 1.)), 40)
    counts = [len(s.labels) for s in only_three]
    assert max(counts) == 3 and np.mean(counts) > 2.7  # a digit without a free place is left out


def test_perceptual_distance_is_that_of_unit_vectors():
    def features(x):  # two maps: the pixels, and their mean over the image
        return [x, 7 * x.mean((2, 3), keepdim=True)]

    a = torch.tensor([[3., 0., 4.], [0., 2., 0.]]).view(2, 3, 1, 1).expand(2, 3, 2, 2).clone()
    b = torch.tensor([[1., 0., 0.], [0., 9., 0.]]).view(2, 3, 1, 1).expand(2, 3, 2, 2).clone()
    # lengths do not count: |(0.6, 0, 0.8) - (1, 0, 0)|^2 = 0.8 in the first image, 0 in the second
    assert float(perceptual_distance(features, a, b)) == pytest.approx(0.4)
    assert float(perceptual_distance(features, a, 5 * a)) == pytest.approx(0., abs=1e-12)
    a.requires_grad_(), b.requires_grad_()
    perceptual_distance(features, a, b).backward()
    assert a.grad[0].abs().max() > 0 and b.grad is None


def test_features_of_a_classifier_are_those_of_its_own_images():
    cfg = load_config('configs/_base_/backbones/convnet_digits.py').model
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg).eval()
    image = torch.randint(0, 256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    bgr = model.data_preprocessor(dict(inputs=image.flip(1).byte()), False)['inputs']
    maps = Features(model).eval()(image.float() / 127.5 - 1)
    assert [x.shape[-1] for x in maps] == [32, 16, 8, 4, 4]
    torch.testing.assert_close(maps[-1], model.extract_feat(bgr, stage='backbone')[0],
                               rtol=1e-4, atol=1e-5)


def regression(scale=1.):
    """A linear model whose loss has its minimum at ``scale``."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)

    def loss(step, g):
        x = torch.randn(8, 3, generator=g)
        return (model(x) - scale * x.sum(1, keepdim=True)).square().mean()
    return model, loss


def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path):
    saved = []
    model, loss = regression()
    whole, done = fit('m', model, loss, options(tmp_path / 'a', '--steps', '6'),
                      lambda ema, step: saved.append(step))
    assert done and saved == [2, 4, 6]

    class Killed(Exception):
        pass

    def killed(step, g):
        if step == 4:
            raise Killed
        return other(step, g)

    model, other = regression()
    with pytest.raises(Killed):
        fit('m', model, killed, options(tmp_path / 'b', '--steps', '6'))
    model, loss = regression()
    resumed, done = fit('m', model, loss, options(tmp_path / 'b', '--steps', '6'))
    assert done
    for a, b in zip(whole.parameters(), resumed.parameters()):
        assert torch.equal(a, b)
    with open(tmp_path / 'b/log.jsonl') as f:
        assert [json.loads(line)['step'] for line in f] == [6]


def test_attention_that_is_written_out_gives_the_same_output_and_gradients():
    adapter = MODELS.build(tiny.stable_diffusion())
    fused = torch.nn.ModuleDict(dict(unet=adapter.unet, text=adapter.text_encoder))
    written, untouched = copy.deepcopy(fused), copy.deepcopy(fused)
    write_out_attention(written, 'cpu')
    write_out_attention(untouched, 'cuda:0')
    ids = torch.arange(2 * 16).view(2, 16) % fused['text'].config.vocab_size
    side = fused['unet'].config.sample_size
    z = torch.randn(2, 4, side, side, generator=torch.Generator().manual_seed(0))

    def run(model):
        model.eval().requires_grad_(True)
        condition = model['text'](ids).last_hidden_state
        out = model['unet'](z, torch.tensor([10, 600]), condition).sample
        out.square().mean().backward()
        return out, {k: v.grad for k, v in model.named_parameters()}

    out, grads = run(fused)
    for model in (written, untouched):
        other, others = run(model)
        torch.testing.assert_close(other, out)
        torch.testing.assert_close(others, grads, rtol=1e-3, atol=1e-6)

    def processors(model):
        return {type(p).__name__ for p in model['unet'].attn_processors.values()}

    assert processors(written) == {'AttnProcessor'} != processors(untouched)
    assert written['text'].config._attn_implementation == 'eager'
    assert untouched['text'].config._attn_implementation != 'eager'


def test_a_training_on_a_cpu_writes_attention_out(tmp_path):
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    model = torch.nn.ModuleDict(dict(attention=Attention(query_dim=8, heads=2, dim_head=4)))
    assert type(model['attention'].processor).__name__ == 'AttnProcessor2_0'
    ema, done = fit('m', model, lambda step, g: model['attention'](x).square().mean(), options(
        tmp_path, '--steps', '2', '--device', 'cpu'))
    assert done
    assert {type(m['attention'].processor).__name__ for m in (model, ema)} == {'AttnProcessor'}


def test_training_learns_and_averages(tmp_path):
    model, loss = regression(2.)
    ema, _ = fit('m', model, loss, options(
        tmp_path, '--steps', '300', '--lr', '0.05', '--ema', '0.9', '--save-every', '300'))
    torch.testing.assert_close(ema.weight, torch.full((1, 3), 2.), atol=0.02, rtol=0)
    assert not torch.equal(ema.weight, model.weight)


def test_a_time_limit_stops_with_a_state(tmp_path):
    model, loss = regression()
    _, done = fit('m', model, loss, options(tmp_path, '--steps', '50', '--minutes', '1e-9'))
    assert not done and osp.isfile(tmp_path / 'm.safetensors')


def test_the_time_limit_counts_the_stages_before(tmp_path):
    model, loss = regression()
    late = options(tmp_path, '--steps', '50', '--minutes', '5')
    late.begun -= 301
    _, done = fit('m', model, loss, late)
    assert not done
    _, done = fit('m', model, loss, options(tmp_path, '--steps', '50', '--minutes', '5'))
    assert done


def test_a_damaged_state_is_named(tmp_path):
    (tmp_path / 'm.safetensors').write_bytes(b'no tensors')
    model, loss = regression()
    with pytest.raises(ValueError, match='m.safetensors: no state of this training'):
        fit('m', model, loss, options(tmp_path, '--steps', '2'))


def test_latents_are_made_once_and_in_parts(tmp_path, capsys):
    vae = MODELS.build(tiny.dit()).vae
    calls = []

    def stream(start):
        calls.append(start)
        return layout_stream(1, 1., start=start)

    def encode():
        return encode_pool(vae, 10, stream, lambda s: dict(label=int(s.labels[0])), str(tmp_path),
                           part=4)

    pool = encode()
    assert calls == [0, 4, 8] and len(pool.latents) == len(pool.facts['label']) == 10
    again = encode()
    assert calls == [0, 4, 8] and torch.equal(again.latents, pool.latents)
    scene = next(layout_stream(1, 1., start=5))
    image = torch.from_numpy(scene.image).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        mean = vae.encode(image).latent_dist.mean
    torch.testing.assert_close(pool.latents[5:6].float(), mean, atol=2e-3, rtol=2e-3)
    assert pool.facts['label'][5] == int(scene.labels[0])
