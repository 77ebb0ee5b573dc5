"""How a prior is loaded: in which precision, and quietly."""
import pytest
import torch

from mmdd.models.diffusions.loading import (
    load_module,
    load_text_encoder,
    load_tokenizer,
    pick_dtypes,
)
from mmdd.utils.paths import resolve_path


@pytest.mark.parametrize('gpu, emulates, picked', [
    (True, True, (torch.float16, torch.float32)), (True, False, (torch.bfloat16, torch.bfloat16)),
    (False, False, (torch.float32, torch.float32))])
def test_auto_takes_bf16_only_where_the_gpu_has_it(monkeypatch, gpu, emulates, picked):
    """V100 and T4 say that they support bf16 where emulation counts."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported',
                        lambda including_emulation=True: including_emulation or not emulates)
    assert pick_dtypes('auto') == picked


def test_a_local_text_encoder_is_read_without_a_bar(capsys):
    load_text_encoder(resolve_path('mmdd::priors/digits-sd'), None, None)
    captured = capsys.readouterr()
    assert captured.err + captured.out == ''


@pytest.mark.parametrize('settings', [
    dict(blok=1), dict(block_out_channels='wide'), dict(norm_num_groups=7), dict(in_channels='4')])
def test_settings_that_make_no_network_are_named(settings):
    with pytest.raises(ValueError, match='^model.diffusion.unet: no network can be') as caught:
        load_module('UNet2DConditionModel', None, 'unet', settings, torch.float32)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('settings', [dict(hidden_size='big'), dict(num_attention_heads=7)])
def test_settings_that_make_no_text_encoder_are_named(settings):
    words = load_tokenizer(None, ['a', 'photo', 'of', 'one'])
    with pytest.raises(ValueError, match='^model.diffusion.text_encoder: no network can be'):
        load_text_encoder(None, settings, words)
