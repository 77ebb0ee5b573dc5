"""Training the small decoder: resumed, and readable by the adapter."""
import json
import os
import os.path as osp
import sys

import torch
from safetensors.torch import load_file

from mmdd.registry import MODELS

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))


def test_trained_resumed_and_read_by_the_adapter(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(osp.join(ROOT, 'tools'))
    from train_small_decoder import main

    def run(steps, *more):
        monkeypatch.setattr(sys, 'argv', [
            'train_small_decoder.py', str(tmp_path / 'w'), '--steps', steps, '--pool', '6',
            '--batch-size', '2', '--width', '8', '--save-every', '1', *more])
        main()

    run('2')
    stamp = os.stat(tmp_path / 'w/images_6.safetensors').st_mtime_ns
    run('3', '--out', str(tmp_path / 'out'))
    assert os.stat(tmp_path / 'w/images_6.safetensors').st_mtime_ns == stamp
    with open(tmp_path / 'w/log.jsonl') as f:
        # one line per run: the last step of each
        assert [json.loads(line)['step'] for line in f] == [2, 3]
    state = load_file(tmp_path / 'w/decoder.safetensors')
    diffusion = MODELS.build(dict(
        type='mmdd.StableDiffusion', pretrained='mmdd::priors/digits-sd', dtype='fp32',
        energy_decoder=str(tmp_path / 'out')))
    for name, weight in diffusion.small_decoder.state_dict().items():
        torch.testing.assert_close(weight, state[f'model.{name}'].half().float())
    latents = load_file(tmp_path / 'w/images_6.safetensors')
    assert latents['latents'].shape == (6, 4, 16, 16)
    full = (diffusion.decode_latents(latents['latents'].float()).clamp(0, 1) * 255).round()
    assert (full - latents['images'].float()).abs().mean() < 0.5  # of half a grey level: fp16
