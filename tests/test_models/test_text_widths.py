"""Text encoders of another model beside a denoiser: refused before anything is sampled."""
import json

import pytest
import torch

from mmdd.models import Flux, StableDiffusion, StableDiffusion3, StableDiffusionXL
from mmdd.models.diffusions import word_tokenizer
from mmdd.models.diffusions.loading import load_t5_encoder, load_text_encoder
from mmdd.models.diffusions.text_widths import unet_text_width
from mmdd.registry import MODELS
from mmdd.utils.config import load_config

ROLES = ('unet', 'transformer', 'vae', 'scheduler', 'text_encoder', 'text_encoder_2',
         'text_encoder_3', 'tokenizer', 'tokenizer_2', 'tokenizer_3')
SMALL = dict(intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
T5 = dict(d_kv=8, d_ff=32, num_layers=1, num_heads=2)
CASES = [
    ('tiny_random', StableDiffusion, 'text_encoder', dict(hidden_size=24), '24 text', 16),
    ('tiny_random_xl', StableDiffusionXL, 'text_encoder', dict(hidden_size=24), '48 text', 40),
    ('tiny_random_xl', StableDiffusionXL, 'text_encoder_2',
     dict(hidden_size=24, projection_dim=24), '72 added', 64),
    ('tiny_random_sd3', StableDiffusion3, 'text_encoder',
     dict(hidden_size=24, projection_dim=16), '40 CLIP', 32),
    ('tiny_random_sd3', StableDiffusion3, 'text_encoder_2',
     dict(hidden_size=16, projection_dim=24), '40 pooled', 32),
    ('tiny_random_sd3', StableDiffusion3, 'text_encoder_3', dict(d_model=24), '24 T5', 32),
    ('tiny_random_flux', Flux, 'text_encoder', dict(hidden_size=24), '24 pooled', 16),
    ('tiny_random_flux', Flux, 'text_encoder_2', dict(d_model=24), '24 text', 32)]


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """A function that makes a folder of each kind, once."""
    made = {}

    def folder(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            cfg = load_config(f'configs/_base_/diffusions/{name}.py')
            prior = MODELS.build(cfg.model.diffusion)
            for role in ROLES:
                if getattr(prior, role, None) is not None:
                    getattr(prior, role).save_pretrained(made[name] / role)
        return made[name]

    return folder


def other_encoder(role, settings):
    """A text encoder of other widths."""
    words = word_tokenizer(['a', 'photo'])
    if 'd_model' in settings:
        return load_t5_encoder(None, {**T5, **settings}, words, torch.float32, None, role)
    return load_text_encoder(None, {**SMALL, **settings}, words, role=role,
                             projection='projection_dim' in settings)


@pytest.mark.parametrize('name, cls, role, settings, given, taken', CASES)
def test_parts_of_two_models(folders, tmp_path, name, cls, role, settings, given, taken):
    whole = folders(name)
    cls.check_config(dict(pretrained=str(whole)))
    for path in whole.iterdir():
        if path.name != role:
            (tmp_path / path.name).symlink_to(path)
    other_encoder(role, settings).save_pretrained(tmp_path / role)
    cfg = dict(pretrained=str(tmp_path), dtype='fp32')
    for read in (cls.check_config, lambda cfg: cls(**cfg)):  # before loading, and by the weights
        with pytest.raises(ValueError) as caught:
            read(cfg)
        assert str(caught.value) == (
            f"{cls.__name__}: the text encoders of '{tmp_path}' give {given} channels, its "
            f'denoiser takes {taken}; give model.diffusion.pretrained the folder of one whole '
            f'model for {cls.__name__}')


def test_a_config_that_leaves_widths_out(folders, tmp_path):
    """Of CLIP the default counts; where a denoiser says nothing, its weights decide."""
    for path in folders('tiny_random').iterdir():
        (tmp_path / path.name).mkdir()
        for file in path.iterdir():
            if file.name != 'config.json':
                (tmp_path / path.name / file.name).symlink_to(file)
    unet = json.loads((folders('tiny_random') / 'unet/config.json').read_text())
    (tmp_path / 'text_encoder/config.json').write_text('{"text_config": {"vocab_size": 9}}')
    (tmp_path / 'unet/config.json').write_text(json.dumps(unet))
    with pytest.raises(ValueError, match='give 512 text channels, its denoiser takes 16; give'):
        StableDiffusion.check_config(dict(pretrained=str(tmp_path)))
    del unet['cross_attention_dim']
    (tmp_path / 'unet/config.json').write_text(json.dumps(unet))
    StableDiffusion.check_config(dict(pretrained=str(tmp_path)))
    (tmp_path / 'unet/config.json').write_text('{')
    StableDiffusion.check_config(dict(pretrained=str(tmp_path)))  # loading names the file


@pytest.mark.parametrize('unet, width', [
    (dict(cross_attention_dim=768), 768), (dict(cross_attention_dim=[64, 64]), 64),
    (dict(cross_attention_dim=(64, 32, 64)), [32, 64]),
    (dict(cross_attention_dim=768, encoder_hid_dim=None), 768),
    (dict(cross_attention_dim=1280, encoder_hid_dim=4096), 4096)])
def test_what_a_unet_takes(unet, width):
    assert unet_text_width(unet) == width
