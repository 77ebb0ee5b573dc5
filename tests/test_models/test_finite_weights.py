"""Weights that are not finite are refused when they are loaded, with file or part and name."""
import pytest
import tiny
import torch

from mmdd.models import BackboneFeatures, ClassifierProxy
from mmdd.models.diffusions import FineTuned
from mmdd.models.diffusions.loading import load_module, load_text_encoder
from mmdd.registry import MODELS


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """The parts of priors, each with one weight that is not finite."""
    root = tmp_path_factory.mktemp('prior')
    prior = MODELS.build(tiny.stable_diffusion())
    parts = dict(unet=prior.unet, vae=prior.vae, text_encoder=prior.text_encoder,
                 transformer=MODELS.build(tiny.dit()).transformer)
    for name, part in parts.items():
        with torch.no_grad():
            list(part.parameters())[1].view(-1)[0] = float('nan' if name == 'unet' else 'inf')
        part.save_pretrained(root / name, safe_serialization=True)
    return str(root)


@pytest.mark.parametrize('kind, role, weight', [
    ('UNet2DConditionModel', 'unet', r'conv_in\.bias'),
    ('AutoencoderKL', 'vae', r'encoder\.conv_in\.bias'),
    ('DiTTransformer2DModel', 'transformer', r'pos_embed\.proj\.bias')])
def test_parts_of_diffusions(folder, kind, role, weight):
    with pytest.raises(ValueError, match=f"^{role} of '{folder}': the weights are not finite, the "
                                         f"first of them is '{weight}'; "):
        load_module(kind, folder, role, None, torch.float32)


def test_text_encoders(folder):
    with pytest.raises(ValueError, match=rf"^text_encoder of '{folder}': .*'.*position_embedding"):
        load_text_encoder(folder, None, None)


def spoiled(path, state, name):
    state = {key: value.clone() for key, value in state.items()}
    state[name].view(-1)[-1] = float('nan')
    torch.save(dict(state_dict=state), path)
    return str(path)


@pytest.mark.parametrize('name', ['backbone.conv1.weight', 'backbone.bn1.running_var'])
def test_proxies_and_backbones(digits, classifier_proxy, tmp_path, name):
    path = spoiled(tmp_path / 'net.pth', classifier_proxy.model.state_dict(), name)
    for kind in (ClassifierProxy, BackboneFeatures):
        with pytest.raises(ValueError, match=rf"^{path}: .* the first of them is '{name}'; "):
            kind(tiny.classifier_job(digits), path)


def test_fine_tuned_weights(tmp_path):
    state = {f'transformer.{name}': value
             for name, value in MODELS.build(tiny.dit()).transformer.state_dict().items()}
    path = spoiled(tmp_path / 'tuned.pth', state, 'transformer.proj_out_2.weight')
    with pytest.raises(ValueError, match=rf"^{path}: .*'proj_out_2\.weight'"):
        FineTuned({}, path).read(0)
