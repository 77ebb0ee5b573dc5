"""LoRA weights of one's own data; what needs peft runs where it is installed."""
import copy
import importlib.util

import pytest
import tiny
import torch
from mmengine.registry import DATASETS
from mmengine.runner import load_checkpoint
from mmpretrain.structures import DataSample
from safetensors.torch import load_file
from torch.testing import assert_close

from mmdd.apis import train
from mmdd.models import LoRATrainer
from mmdd.models.diffusions import lora
from mmdd.registry import MODELS
from mmdd.structures import DistillSlot
from mmdd.utils.checkpoint import read_checkpoint
from mmdd.utils.config import load_config

needs_peft = pytest.mark.skipif(importlib.util.find_spec('peft') is None, reason='needs peft')


def prior(kind):
    if kind in ('sd3', 'flux'):
        return load_config(
            f'configs/_base_/diffusions/tiny_random_{kind}.py').model.diffusion.to_dict()
    return dict(tiny.stable_diffusion_xl() if kind == 'xl' else tiny.stable_diffusion(),
                scheduler=dict(tiny.stable_diffusion()['scheduler'], prediction_type=(
                    'v_prediction' if kind == 'v' else 'epsilon')))


def build(kind='sd', **kwargs):
    model = MODELS.build(dict(dict(type='LoRATrainer', diffusion=prior(kind), rank=2), **kwargs))
    model.classes = tiny.CLASSES
    return model


def batch(size=32):
    images = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(1))
    return images, [DataSample(metainfo=dict(img_path=f'{i}/a.png')).set_gt_label(i)
                    for i in range(3)]


def slot(prompt, size):
    return DistillSlot(0, 0, (size, size), labels=[0], prompt=prompt)


def draws():
    return torch.Generator().manual_seed(5)


def fixed_loss(model, size=32):
    """The loss of one batch, whose noise, timesteps and dropped prompts are always the same."""
    images, samples = batch(size)
    with torch.no_grad():
        return float(model.losses(model.encode(images, draws()), model.read(samples),
                                  draws())['loss'])


def steps(model, number, size=32):
    images, samples = batch(size)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(number):
        optimizer.zero_grad()
        model.losses(model.encode(images, draws()), model.read(samples),
                     draws())['loss'].backward()
        optimizer.step()


@needs_peft
@pytest.mark.parametrize('kind', ['sd', 'v', 'xl', 'sd3', 'flux'])
def test_at_first_the_loss_is_that_of_the_plain_prior(kind):
    """By the prior's own prediction of noise, image by image, at the scale of what it predicts."""
    size = 64 if kind in ('sd3', 'flux') else 32
    model, plain = build(kind), MODELS.build(prior(kind))
    plain.cfg_scale, source = 2., draws()
    clean = plain.encode_images(batch(size)[0])
    t = plain.training_timesteps(3, source)
    noise, losses = torch.randn(clean.shape, generator=source), ([], [])
    for i in range(3):
        at, z0, e = t[i:i + 1], clean[i:i + 1], noise[i:i + 1]
        noisy = plain.add_noise(z0, e, at)
        condition = plain.encode_conditions([slot(f'a photo of a {tiny.CLASSES[i]}', size)])
        with torch.no_grad():
            branches = plain.predict_branches(noisy, at, condition)
        for predicted, found in zip(branches, losses):
            if kind in ('sd3', 'flux'):
                error = plain.as_velocity(predicted, noisy, at) - (e - z0)
            else:
                error = (predicted - e) / (plain.alphas_sigmas(at)[0] if kind == 'v' else 1.)
            found.append(float(error.square().mean()))
    for model.prompt_dropout, found in zip((0., 1.), losses):
        assert fixed_loss(model, size) == pytest.approx(sum(found) / 3, rel=1e-3)
    assert losses[0] != losses[1]


@needs_peft
@pytest.mark.parametrize('kind', ['sd', 'v', 'xl', 'sd3', 'flux'])
def test_only_lora_weights_are_trained(tmp_path, kind):
    """The loss falls; the file gives the plain prior the weights that were trained."""
    size = 64 if kind in ('sd3', 'flux') else 32
    model = build(kind, alpha=3.)
    before = {name: value.clone() for name, value in model.denoiser.state_dict().items()}
    loss = fixed_loss(model, size)
    steps(model, 3 if kind == 'sd' else 1, size)
    assert fixed_loss(model, size) < loss
    changed = {name for name, value in model.denoiser.state_dict().items()
               if not torch.equal(value, before[name])}
    assert changed and all('lora_' in name for name in changed)
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    assert with_gradient == {f'{model.role}.{name}' for name in model.trained}
    path = str(tmp_path / 'lora.safetensors')
    model.write(path)
    assert all(name.startswith(f'{model.role}.') for name in load_file(path))
    trained = MODELS.build(dict(prior(kind), lora=dict(path=path)))
    plain = MODELS.build(prior(kind))
    found, wanted, without = (predict(each, size) for each in (trained, model.prior, plain))
    assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    assert (found - without).abs().max() > 1e-3


@torch.no_grad()
def predict(diffusion, size):
    """Predictions of the denoiser for a prompt."""
    diffusion.cfg_scale = 1.
    z = torch.randn(1, *diffusion.latent_shape((size, size)),
                    generator=torch.Generator().manual_seed(2))
    return diffusion.run_denoiser(z, torch.tensor([500]),
                                  diffusion.encode_conditions([slot('a 3', size)]))


@needs_peft
def test_a_resumed_training_is_an_uninterrupted_one(digits, tmp_path):
    job = tiny.lora_job(digits)
    train(copy.deepcopy(job), str(tmp_path / 'whole'))
    job['train_cfg']['max_iters'] = 2
    train(copy.deepcopy(job), str(tmp_path / 'part'))
    first = load_file(str(tmp_path / 'part' / 'lora.safetensors'))
    job['train_cfg']['max_iters'] = 4
    train(job, str(tmp_path / 'part'), resume=True)
    whole, part = (load_file(str(tmp_path / name / 'lora.safetensors'))
                   for name in ('whole', 'part'))
    assert list(whole) == list(part)
    for name in whole:
        assert_close(whole[name], part[name], rtol=0, atol=0)
    assert any(not torch.equal(first[name], whole[name]) for name in whole)
    # a checkpoint holds what is trained, and gives it back
    state = read_checkpoint(str(tmp_path / 'whole' / 'iter_4.pth'))['state_dict']
    assert all('lora_' in name or name == 'iteration' for name in state)
    again = build(rank=2, alpha=3.)
    load_checkpoint(again, str(tmp_path / 'whole' / 'iter_4.pth'), strict=True)
    again.write(str(tmp_path / 'again.safetensors'))
    for name, value in load_file(str(tmp_path / 'again.safetensors')).items():
        assert torch.equal(value, whole[name])


@needs_peft
@pytest.mark.parametrize('change, words', [
    (dict(diffusion=tiny.dit()), 'DiT reads no prompts'),
    (dict(diffusion=tiny.stable_diffusion(lora=dict(path='a'))), 'lora is given'),
    (dict(diffusion=tiny.stable_diffusion(dtype='fp16')), 'vanish in fp16'),
    (dict(diffusion=tiny.stable_diffusion(setps=3)), "did you mean 'steps'"),
    (dict(diffusion=tiny.stable_diffusion(pretrained='./none')), "no diffusion weights at './n"),
    (dict(target_modules=['to_z']), r"target_modules: \['to_z'\] cannot have LoRA weights"),
    (dict(prompter=dict(type='VLMPrompter')), 'VLMPrompter looks at image files'),
    (dict(rank=0), 'rank'), (dict(alpha=0.), 'alpha'), (dict(prompt_dropout=2.), 'prompt_dropout'),
], ids=lambda value: next(iter(value)) if isinstance(value, dict) else '')
def test_bad_settings_are_one_line(change, words):
    with pytest.raises(ValueError, match=words) as caught:
        build(**change)
    assert '\n' not in str(caught.value)


@needs_peft
def test_prompts_tell_places_of_the_resized_image(digits):
    model = build(prompter=dict(type='AnnotationPrompter', plural=''))
    whole = tiny.voc_dataset(digits, images=False)
    small = copy.deepcopy(whole)
    small['pipeline'] = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(16, 8)),
                         *whole['pipeline'][:-1], dict(type='PackDetInputs')]
    prompts = [model.read([DATASETS.build(node)[i]['data_samples'] for i in range(4)])
               for node in (whole, small)]
    assert prompts[0] == prompts[1] and ' at the ' in prompts[0][0]


@needs_peft
def test_images_of_another_size_are_one_line():
    with pytest.raises(ValueError, match=r'\(36, 36\) must be a multiple of 8; resize the images'):
        fixed_loss(build(), 36)


@needs_peft
def test_class_names_are_needed():
    model = build()
    model.classes = ()
    with pytest.raises(ValueError, match='add dict.type=.LoRAHook.. to custom_hooks'):
        model.read([])


def test_without_peft_nothing_is_prepared(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(lora, 'has_peft', lambda: False)
    job = dict(tiny.lora_job(digits), prepare=[dict(type='DigitScenes', root=str(tmp_path / 'x'))])
    with pytest.raises(ValueError, match='LoRATrainer needs peft, which is not installed; run '
                                         'pip install peft'):
        train(job, str(tmp_path / 'work'))
    assert not (tmp_path / 'x').exists()
    assert LoRATrainer.limits['rank'] == dict(low=1)
