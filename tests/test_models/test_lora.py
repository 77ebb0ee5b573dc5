"""LoRA weights on denoisers; those that need peft run where it is installed."""
import importlib.util

import pytest
import tiny
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from mmdd.models.diffusions import Flux, StableDiffusion, StableDiffusion3, lora
from mmdd.registry import MODELS
from mmdd.utils.config import load_config

needs_peft = pytest.mark.skipif(importlib.util.find_spec('peft') is None, reason='needs peft')


def prior(kind, **kwargs):
    if kind == 'unet':
        return MODELS.build(tiny.stable_diffusion(**kwargs))
    node = load_config(f'configs/_base_/diffusions/tiny_random_{kind}.py').model.diffusion
    return MODELS.build(dict(node.to_dict(), **kwargs))


def write(path, denoiser, prefix):
    """LoRA weights of rank 2 on the first attention of a denoiser; its name, and the product."""
    name = next(name for name, _ in denoiser.named_modules() if name.endswith('.to_q'))
    width, given = denoiser.get_submodule(name).weight.shape
    down, up = torch.randn(2, given), torch.randn(width, 2)
    save_file({f'{prefix}{name}.lora_A.weight': down, f'{prefix}{name}.lora_B.weight': up},
              str(path))
    return f'{name}.weight', up @ down


@needs_peft
@pytest.mark.parametrize('kind, prefix', [
    ('unet', 'unet.'), ('sd3', 'transformer.'), ('flux', '')])
def test_the_scaled_product_is_added_to_the_weights(tmp_path, kind, prefix):
    plain = prior(kind)
    name, product = write(tmp_path / 'a.safetensors', plain.denoiser, prefix)
    changed = prior(kind, lora=dict(path=str(tmp_path / 'a.safetensors'), scale=0.5)).denoiser
    before, after = plain.denoiser.state_dict(), changed.state_dict()
    assert list(before) == list(after)
    for key in before:
        extra = 0.5 * product if key == name else 0.
        assert_close(after[key], before[key] + extra, atol=1e-5, rtol=1e-5)
    assert not any(p.requires_grad for p in changed.parameters())


@needs_peft
def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / 'a.safetensors'
    write(path, prior('flux').denoiser, 'transformer.')
    with pytest.raises(ValueError, match='does not fit the unet|no LoRA weights of the unet'):
        prior('unet', lora=dict(path=str(path)))
    save_file({'unet.conv_in.weight': torch.zeros(1)}, str(path))
    with pytest.raises(ValueError, match='has no LoRA weights; give model.diffusion.lora.path'):
        StableDiffusion.check_config(dict(lora=dict(path=str(path))))


@pytest.mark.parametrize('cls', [StableDiffusion, StableDiffusion3, Flux])
@pytest.mark.parametrize('setting, words', [
    (dict(), 'must be dict'), ('a.safetensors', 'must be dict'),
    (dict(path='a', rank=4), 'must be dict'), (dict(path='a', scale='x'), 'lora.scale'),
    (dict(path='no/a.safetensors'), "no safetensors file at 'no/a.safetensors'"),
    (dict(path='{}/b.bin'), 'no safetensors file at'),
    (dict(path='{}/c.safetensors'), 'cannot be read as safetensors')])
def test_bad_settings_are_one_line(tmp_path, monkeypatch, cls, setting, words):
    monkeypatch.setattr(lora, 'has_peft', lambda: True)
    for name in ('b.bin', 'c.safetensors'):
        (tmp_path / name).write_bytes(b'damaged')
    if isinstance(setting, dict) and 'path' in setting:
        setting = dict(setting, path=setting['path'].format(tmp_path))
    with pytest.raises(ValueError, match=words) as caught:
        cls.check_config(dict(lora=setting))
    assert '\n' not in str(caught.value)


def test_without_peft(monkeypatch):
    monkeypatch.setattr(lora, 'has_peft', lambda: False)
    with pytest.raises(ValueError, match='lora needs peft, which is not installed; run pip '
                                         'install peft'):
        Flux.check_config(dict(lora=dict(path='a.safetensors')))
