"""Real weights: the tiny autoencoder, the CLIP tokenizer, ImageNet features of photographs."""
import re
from glob import glob

import numpy as np
import pytest
import tiny
import torch
from real_data import (
    lines,
    pixels,
    real,
    real_marks,
    resnet20,
    resnet20_weights,
    squeezenet,
)

from mmdd.models.proxies.feature_pass import FeaturePass
from mmdd.registry import MODELS
from mmdd.structures import DistillSlot

pytestmark = real_marks('voc2012', 'cifar10', 'weights')
VOC = real('voc2012/VOCdevkit/VOC2012')


def eightfold(**kwargs):
    """A tiny Stable Diffusion of random weights whose latents are an eighth as wide."""
    cfg = tiny.stable_diffusion(**kwargs)
    cfg['vae'].update(block_out_channels=(8, 8, 8, 8),
                      down_block_types=('DownEncoderBlock2D', ) * 4,
                      up_block_types=('UpDecoderBlock2D', ) * 4)
    return MODELS.build(cfg)


@pytest.fixture(scope='module')
def diffusion():
    return eightfold(energy_decoder=real('weights/taesd'), steps=2)


def encode(diffusion, images):
    return diffusion.small_decoder.encode(images * 2 - 1).latents


def psnr(images, others):
    return float(-10 * (images - others.clamp(0, 1)).square().mean().log10())


@torch.no_grad()
def test_photographs_survive_the_tiny_autoencoder(diffusion):
    names = lines(VOC, 'ImageSets/Main/val.txt')[:3]
    for name in names:
        photo = pixels(f'{VOC}/JPEGImages/{name}.jpg', (256, 256))
        latents = encode(diffusion, photo)
        assert latents.shape == (1, *diffusion.latent_shape((256, 256))) == (1, 4, 32, 32)
        image = diffusion.decode_latents(latents, fast=True)
        assert psnr(photo, image) > 18
        # in the range that images have, and not the decoder of the tiny prior
        assert -0.2 < image.min() and image.max() < 1.2
        assert psnr(photo, diffusion.decode_latents(latents)) < 15


def test_the_energy_of_a_trained_proxy_through_the_decoder(diffusion, tmp_path):
    """Gradient descent on latents of a truck makes the classifier see a ship."""
    proxy = MODELS.build(dict(type='mmdd.ClassifierProxy', cfg=resnet20(),
                              checkpoint=resnet20_weights(tmp_path / 'resnet20.pth')))
    photo = pixels(sorted(glob(real('cifar10/mini/test/truck/*.png')))[0], (64, 64))
    latents = encode(diffusion, photo).detach()
    slots = [DistillSlot(0, 0, (64, 64), np.array([8]))]

    def energy(z):
        return proxy.energy(diffusion.decode_latents(z, fast=True), slots)

    begin = float(energy(latents))
    for _ in range(10):
        latents.requires_grad_()
        gradient, = torch.autograd.grad(energy(latents).sum(), latents)
        assert gradient.isfinite().all() and gradient.abs().max() > 0
        latents = (latents - 0.3 * gradient / gradient.norm()).detach()
    assert float(energy(latents)) < min(1, begin - 2)


def test_guidance_steps_with_real_decoder_and_proxy(diffusion):
    seen = []

    def hook(name, state):
        if name == 'after_denoise':
            seen.append(state.decode(state.denoised).shape)

    slot = DistillSlot(0, 3, (64, 64), np.array([0]), prompt='a photo of an airplane')
    images, _ = diffusion.sample([slot], call_hook=hook)
    assert images.shape == (1, 3, 64, 64) and set(seen) == {(1, 3, 64, 64)}


def test_a_decoder_of_other_latents_is_refused():
    with pytest.raises(ValueError, match='4 channels and 8 pixels per cell'):
        MODELS.build(tiny.stable_diffusion(energy_decoder=real('weights/taesd')))


LONG = (
    'A crowded city street on a rainy evening: in the foreground a large red double-decker bus '
    'waits at the kerb, overlapping a small grey car on its left, while two people with umbrellas '
    'cross below the traffic lights towards a cafe; in the background there are brick buildings '
    'with lit windows, a bicycle leaning on a lamp post, and a dark blue sky whose clouds reflect '
    'the orange light of the street lamps on the wet asphalt, photographed from above.')


@pytest.fixture(scope='module')
def clip():
    return MODELS.build(tiny.stable_diffusion(tokenizer=real('weights/clip_tokenizer')))


def test_the_clip_tokenizer_knows_its_words(clip):
    found = clip.tokenizer('a photo of a cat')['input_ids']
    assert found == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert clip.tokenizer.model_max_length == 77 and len(clip.tokenizer) == 49408
    assert clip.text_encoder.config.vocab_size == 49408


def test_long_prompts_are_cut_to_77_tokens(clip, caplog):
    words = LONG.split()
    assert len(clip.tokenizer(LONG, verbose=False)['input_ids']) > 77
    prompts = [LONG, 'a photo of a cat', LONG + ' And so on.', ' '.join(['A', *words[:20]])]
    slots = [DistillSlot(i, i, (32, 32), np.array([0]), prompt=prompt)
             for i, prompt in enumerate(prompts)]
    condition = clip.encode_conditions(slots)
    assert 'indexing errors' not in caplog.text
    assert condition.shape == (8, 77, 16) and condition.isfinite().all()
    empty, own = condition.chunk(2)
    assert torch.equal(empty, empty[:1].expand(4, -1, -1))
    assert torch.equal(own[0], own[2])  # what is beyond the end says nothing
    assert not torch.allclose(own[0], own[3])
    # a short prompt is the same alone and beside a long one
    assert torch.allclose(clip.encode_conditions(slots[1:2])[1], own[1], atol=1e-6)
    image, _ = clip.sample(slots[:1])
    assert image.shape == (1, 3, 32, 32) and image.isfinite().all()


def only(name, kind):
    """Whether a photograph shows objects of this one class."""
    with open(f'{VOC}/Annotations/{name}.xml') as f:
        return set(re.findall(r'<object>\s*<name>(\w+)', f.read())) == {kind}


def test_imagenet_features_tell_photographs_of_voc_apart():
    kinds = ('aeroplane', 'cat', 'train')
    found = {}
    for split in ('train', 'val'):
        for label, kind in enumerate(kinds):
            photos = [name for name in lines(VOC, f'ImageSets/Main/{split}.txt')
                      if only(name, kind)][:12]
            assert len(photos) >= 5
            found[split, label] = [f'{VOC}/JPEGImages/{name}.jpg' for name in photos]
    extractor = MODELS.build(squeezenet(112))

    def points(split):
        x = [FeaturePass(extractor, found[split, label], (128, 128), 12).run()
             for label in range(len(kinds))]
        return [torch.nn.functional.normalize(part) for part in x]

    means = torch.stack([part.mean(0) for part in points('train')])
    hits = [(torch.cdist(part, means).argmin(1) == label).float().mean()
            for label, part in enumerate(points('val'))]
    assert min(hits) > 0.5 and sum(hits) / len(hits) > 0.8
