"""The scripts that train the embedded priors: two stages, resumed, read by the adapters."""
import json
import os.path as osp
import sys
from itertools import islice

import numpy as np
import prior_training.dit
import pytest
import torch
from run_tool import run as run_tool
from safetensors.torch import load_file

from mmdd.registry import MODELS
from mmdd.structures import DistillSlot, slot_seed

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
PRIOR = osp.join(ROOT, 'mmdd/priors/digits-sd')


def run(monkeypatch, script, *args):
    monkeypatch.syspath_prepend(osp.join(ROOT, 'tools'))
    module = __import__(script)
    # a sheet of 40 pictures takes longer than all the rest
    drawing = prior_training.dit if script == 'train_prior_dit' else module
    monkeypatch.setattr(drawing, 'save_samples', lambda *args: None)
    monkeypatch.setattr(sys, 'argv', [f'{script}.py', *map(str, args)])
    module.main()


def test_stable_diffusion_in_two_stages(tmp_path, monkeypatch):
    def train(steps, *more):
        run(monkeypatch, 'train_prior', tmp_path / 'w', '--init-from', PRIOR, '--vae-steps', 1,
            '--vae-batch-size', 2, '--pool', 8, '--batch-size', 2, '--save-every', 1,
            '--steps', steps, *more)

    train(1)
    train(2, '--out', tmp_path / 'out')
    with open(tmp_path / 'w/log.jsonl') as f:
        found = [(entry['stage'], entry['step']) for entry in map(json.loads, f)]
    assert found == [('vae', 1), ('unet', 1), ('unet', 2)]
    prior = MODELS.build(dict(type='mmdd.StableDiffusion', pretrained=str(tmp_path / 'out'),
                              dtype='fp32'))
    assert prior.v_prediction
    state = load_file(tmp_path / 'w/unet.safetensors')
    for name, weight in prior.unet.state_dict().items():
        torch.testing.assert_close(weight, state[f'ema.unet.{name}'].half().float())


def test_the_autoencoder_of_existing_weights_may_stay_as_it_is(tmp_path, monkeypatch):
    from train_prior import parse_args, train_vae
    monkeypatch.setattr(sys, 'argv', ['train_prior.py', str(tmp_path), '--init-from', PRIOR,
                                      '--vae-steps', '0'])
    vae, done = train_vae(parse_args())
    assert done and not vae.training
    kept = load_file(osp.join(PRIOR, 'vae/diffusion_pytorch_model.safetensors'))
    assert all(torch.equal(vae.state_dict()[name], weight.float())
               for name, weight in kept.items())
    assert '--init-from says which' in run_tool('train_prior.py', tmp_path, '--vae-steps', 0)


def test_scenes_hold_as_many_digits_as_asked_for(monkeypatch):
    from train_prior import parse_args, scenes

    def digits(*options):
        monkeypatch.setattr(sys, 'argv', ['train_prior.py', 'w', '--single-share', '0', *options])
        return [len(s.labels) for s in islice(scenes(parse_args(), 5, 0), 60)]

    assert max(digits()) == 5
    few = digits('--counts', '0', '0', '0.5', '0.5')  # a digit without a free place is left out
    assert max(few) == 4 and few.count(3) > 15 and few.count(4) > 15
    assert 'all weights are 0' in run_tool('train_prior.py', 'w', '--counts', 0, 0)


def test_the_decoder_alone(tmp_path, monkeypatch):
    run(monkeypatch, 'train_prior', tmp_path / 'w', '--init-from', PRIOR, '--vae-steps', 1,
        '--vae-batch-size', 2, '--decoder-only', '--warmup', 1, '--out', tmp_path / 'out')
    for part in ('unet/diffusion_pytorch_model', 'vae/diffusion_pytorch_model',
                 'text_encoder/model'):
        before, after = (load_file(osp.join(folder, f'{part}.safetensors'))
                         for folder in (PRIOR, tmp_path / 'out'))
        changed = {name.partition('.')[0] for name in before
                   if not torch.equal(before[name].half(), after[name])}
        assert changed == ({'decoder', 'post_quant_conv'} if 'vae' in part else set())
    assert 'needs --init-from' in run_tool('train_prior.py', tmp_path, '--decoder-only')


def test_a_perceptual_term_is_added_with_its_weight(tmp_path, monkeypatch):
    import train_prior
    monkeypatch.setattr(train_prior, 'load_features', lambda *args: None)
    monkeypatch.setattr(train_prior, 'perceptual_distance', lambda features, y, x: y.sum() * 0 + 3)

    def loss(name, *more):
        run(monkeypatch, 'train_prior', tmp_path / name, '--init-from', PRIOR, '--vae-steps', 1,
            '--vae-batch-size', 2, '--decoder-only', *more)
        with open(tmp_path / name / 'log.jsonl') as f:
            return json.loads(f.readline())['loss']

    assert loss('with', '--perceptual', 0.5) - loss('without') == pytest.approx(1.5, abs=1e-4)
    assert 'give --vae-steps' in run_tool('train_prior.py', tmp_path, '--init-from', PRIOR,
                                          '--vae-steps', 0, '--perceptual', 0.5)


def test_dit(tmp_path, monkeypatch):
    run(monkeypatch, 'train_prior_dit', tmp_path / 'w', '--width', 16, '--depth', 2, '--heads', 2,
        '--steps', 2, '--pool', 6, '--batch-size', 2, '--out', tmp_path / 'out')
    prior = MODELS.build(dict(type='mmdd.DiT', pretrained=str(tmp_path / 'out'),
                              vae='mmdd::priors/digits-sd/vae', steps=2, dtype='fp32'))
    assert prior.v_prediction and prior.num_classes == 10
    images, _ = prior.sample([DistillSlot(0, slot_seed(0, 0), (64, 64), np.array([3]))])
    assert images.shape == (1, 3, 64, 64)
