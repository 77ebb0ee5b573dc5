"""Features of CLIP's image encoder: stock preprocessing, weights of a folder."""
import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from mmdd.models import CLIPFeatures

TINY = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            image_size=24, patch_size=8, projection_dim=6)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = str(tmp_path_factory.mktemp('clip'))
    torch.manual_seed(3)
    CLIPVisionModelWithProjection(CLIPVisionConfig(**TINY)).save_pretrained(path)
    return path


@pytest.mark.parametrize('side', [24, 48])
def test_features_are_those_of_transformers(folder, side):
    pixels = np.random.default_rng(0).integers(0, 255, (2, side, side, 3), np.uint8)
    stock = CLIPImageProcessor(size=dict(shortest_edge=24), crop_size=dict(height=24, width=24))
    inputs = stock([Image.fromarray(image) for image in pixels], return_tensors='pt')
    with torch.no_grad():
        expected = CLIPVisionModelWithProjection.from_pretrained(folder)(**inputs).image_embeds
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    found = CLIPFeatures(folder).features(images)
    # the resized images differ by the rounding of pillow
    assert torch.allclose(found, expected, atol=1e-5 if side == 24 else 2e-2)
    assert found.std(0).min() > 0


def test_random_weights_follow_from_the_seed():
    images = torch.rand(2, 3, 30, 40, generator=torch.Generator().manual_seed(0))
    found = [CLIPFeatures(vision=TINY, seed=seed).features(images) for seed in (1, 1, 2)]
    assert torch.equal(found[0], found[1]) and not torch.allclose(found[0], found[2])


def test_bad_weights(tmp_path):
    for wrong in (dict(), dict(pretrained='a', vision=TINY)):
        with pytest.raises(ValueError, match='give either pretrained or vision'):
            CLIPFeatures(**wrong)
    with pytest.raises(ValueError, match='cannot load CLIP weights of .* give CLIPFeatures.pret'):
        CLIPFeatures(str(tmp_path))
