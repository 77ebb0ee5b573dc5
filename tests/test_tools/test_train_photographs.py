"""A prior of photographs: its autoencoder and its DiT, resumed, and read by the adapter."""
import json
import shutil

import numpy as np
import prior_training.dit
import pytest
import torch
from diffusers import AutoencoderTiny, DiTPipeline
from PIL import Image
from prior_training.photographs import Photographs
from run_tool import run
from safetensors.torch import load_file

from mmdd.models import DiT
from mmdd.structures import DistillSlot, slot_seed

SMALL = ('--size', 16, '--width', 16, '--depth', 1, '--heads', 2, '--batch-size', 4,
         '--vae-widths', 8, 8, '--vae-batch-size', 4)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Two classes of three photographs of 20 x 16 pixels; do not write to it."""
    folder = tmp_path_factory.mktemp('photos')
    rng = np.random.default_rng(0)
    for name in ('dog', 'cat'):
        (folder / 'train' / name).mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 256, (16, 20, 3), np.uint8)
            Image.fromarray(pixels).save(folder / 'train' / name / f'{i}.png')
    return folder


@pytest.fixture(scope='module')
def trained(photos, tmp_path_factory):
    """Work dir of a training that was not stopped."""
    folder = tmp_path_factory.mktemp('trained')
    train(folder, photos, '--flip', '--vae-steps', 2, '--steps', 2, *SMALL)
    return folder


def train(folder, photos, *options):
    assert run('train_prior_dit.py', folder / 'w', '--data', photos, '--out', folder / 'out',
               *options) is None


def slots(*labels):
    return [DistillSlot(i, slot_seed(0, i), (16, 16), np.array([label]))
            for i, label in enumerate(labels)]


def test_the_middle_of_photographs_and_its_mirror_image(photos):
    found = Photographs(str(photos), 16, flip=True)
    assert found.classes == ('cat', 'dog') and len(found) == 12
    assert [found[i].label for i in range(12)] == [0, 0, 0, 1, 1, 1] * 2
    with Image.open(photos / 'train' / 'dog' / '1.png') as picture:
        middle = np.asarray(picture)[:, 2:18]
    assert np.array_equal(found[4].image, middle)
    assert np.array_equal(found[10].image, middle[:, ::-1])
    assert len(Photographs(str(photos / 'train'), 16)) == 6


def test_the_folder_is_read_by_the_adapter_and_by_diffusers(photos, trained):
    prior = DiT(str(trained / 'out'), steps=2, dtype='fp32')
    assert prior.v_prediction and prior.num_classes == 2
    assert prior.latent_shape((16, 16)) == (4, 8, 8)
    images, _ = prior.sample(slots(1, 0))
    assert images.shape == (2, 3, 16, 16) and images.std() > 0
    assert DiTPipeline.from_pretrained(trained / 'out').labels == dict(cat=0, dog=1)
    with Image.open(trained / 'w/samples_000002.png') as sheet:
        assert sheet.size == (2 * 68, 3 * 84)  # a column for each class, tiles with names below
    with open(trained / 'w/log.jsonl') as f:
        assert [(entry['stage'], entry['step']) for entry in map(json.loads, f)] == [
            ('vae', 2), ('dit', 2)]
    # what the DiT saw is what the adapter encodes, at unit variance
    latents = load_file(trained / 'w/pool/0000000-12.safetensors')['latents'].float()
    scale = prior.vae.config.scaling_factor
    assert scale * float(latents.std()) == pytest.approx(1)
    found = Photographs(str(photos), 16, flip=True)
    image = torch.from_numpy(found[8].image).permute(2, 0, 1)[None].float() / 255
    torch.testing.assert_close(prior.encode_images(image)[0], scale * latents[8], atol=0.02,
                               rtol=0.02)


def test_a_training_that_was_stopped_in_every_stage_ends_the_same(photos, trained, tmp_path,
                                                                  monkeypatch):
    monkeypatch.setattr(prior_training.dit, 'save_samples', lambda *args: None)
    options = ('--flip', '--vae-steps', 2, '--steps', 2, *SMALL)
    for stop in (('--minutes', 1e-9), ('--minutes', 1e-9), ()):
        assert not (tmp_path / 'out').exists()
        train(tmp_path, photos, *options, *stop)
    with open(tmp_path / 'w/log.jsonl') as f:
        assert [json.loads(line)['stage'] for line in f] == ['vae', 'dit']
    for part in ('vae', 'transformer'):
        whole, resumed = (load_file(folder / 'out' / part / 'diffusion_pytorch_model.safetensors')
                          for folder in (trained, tmp_path))
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_latents_of_a_given_autoencoder_without_a_posterior(photos, tmp_path, monkeypatch,
                                                           capfd):
    monkeypatch.setattr(prior_training.dit, 'save_samples', lambda *args: None)
    torch.manual_seed(0)
    AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1), latent_channels=6,
    ).save_pretrained(tmp_path / 'tiny')
    train(tmp_path, photos, '--vae', tmp_path / 'tiny', '--steps', 1, *SMALL[:8])
    assert capfd.readouterr().err == ''
    prior = DiT(str(tmp_path / 'out'), steps=2, dtype='fp32')
    assert isinstance(prior.vae, AutoencoderTiny) and prior.channels == 6
    assert prior.sample(slots(1))[0].shape == (1, 3, 16, 16)
    latents = load_file(tmp_path / 'w/pool/0000000-6.safetensors')['latents']
    image = torch.from_numpy(Photographs(str(photos), 16)[2].image).permute(2, 0, 1)[None] / 255
    torch.testing.assert_close(prior.encode_images(image)[0], latents[2].float(), atol=0.02,
                               rtol=0.02)
    assert not (tmp_path / 'w/vae.safetensors').exists()


@pytest.mark.parametrize('change, options, message', [
    ('empty', (), 'no images'),
    ('flat', (), '1 class folders; classification needs one folder per class'),
    ('broken', (), 'dog/1.png: cannot be read as an image'),
    ('', ('--size', 18), '--size 18 is no multiple of 4: the autoencoder makes a latent of 2 x 2'),
    ('', ('--vae-widths', 12, 8), 'widths of the autoencoder must be multiples of 8, got 12 8'),
    ('', ('--vae', 'nowhere'), "no diffusion weights at 'nowhere': give --vae a folder"),
    ('', ('--vae-steps', 0), '--vae-steps 0: there is no autoencoder to start from'),
    ('', ('--pool', 5), '--pool does nothing with --data'),
    ('', ('--width', 15), '--width 15 is no multiple of --heads 2'),
])
def test_bad_input(photos, tmp_path, change, options, message):
    folder = tmp_path / 'photos'
    shutil.copytree(photos, folder)
    if change == 'broken':
        (folder / 'train/dog/1.png').write_bytes(b'no picture')
    elif change:
        shutil.rmtree(folder / 'train/dog')
        if change == 'empty':
            shutil.rmtree(folder / 'train/cat')
    error = run('train_prior_dit.py', tmp_path / 'w', '--data', folder, *SMALL[:8],
                *(() if options[:1] == ('--vae', ) else SMALL[8:]), *options)
    assert message in error and '\n' not in error


def test_options_of_photographs_need_some(tmp_path):
    assert '--flip needs --data' in run('train_prior_dit.py', tmp_path, '--flip')


def test_latents_of_other_photographs_are_refused(photos, trained, tmp_path):
    shutil.copytree(photos, tmp_path / 'photos')
    (tmp_path / 'photos/train/dog/1.png').unlink()
    error = run('train_prior_dit.py', trained / 'w', '--data', tmp_path / 'photos', '--flip',
                '--vae-steps', 2, '--steps', 2, *SMALL)
    assert 'those of another training (not the same: files, images)' in error
