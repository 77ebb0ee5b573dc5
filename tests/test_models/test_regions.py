"""Sub-prompts of objects: composed by hand, and what their images may depend on."""
import json
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from mmengine.config import Config
from torch.testing import assert_close

from mmdd.apis import distill
from mmdd.models.diffusions.regions import RegionPrompts, ramp
from mmdd.registry import MODELS
from mmdd.structures import DistillSlot, slot_seed

KINDS = dict(sd=tiny.stable_diffusion, sdxl=tiny.stable_diffusion_xl)
# Two overlapping boxes, one off the grid, one that ends at the border.
BOXES = [[0, 0, 16, 20], [10, 6, 27, 32]]
TEXTS = ['a photo of a 3', 'a photo of a 7']


def make_slot(id, boxes=(), texts=(), prompt='a photo of 3 and 7'):
    return DistillSlot(
        id, slot_seed(0, id), (32, 32), np.zeros(len(boxes), np.int64),
        np.array(boxes, np.float32).reshape(-1, 4), prompt, region_prompts=list(texts))


def make_slots():
    return [make_slot(0, BOXES, TEXTS), make_slot(1, prompt='two 5 at the left'),
            make_slot(2, [[8, 8, 24, 24]], ['a photo of a 9'], 'a large 0')]


def build(kind='sd', regions=None, **kwargs):
    regions = dict() if regions is None else regions
    return MODELS.build(KINDS[kind](regions=regions, **{'cfg_scale': 2., **kwargs}))


def latents_of(diffusion, num):
    shape = diffusion.latent_shape((32, 32))
    return torch.randn(num, *shape, generator=torch.Generator().manual_seed(0))


def predict(diffusion, slots, z, t=500):
    return diffusion.predict_noise(z, torch.tensor(t), diffusion.encode_conditions(slots))


def covered(box, cell):
    """Share of a latent cell of 4 pixels that a box covers."""
    sides = [min(box[i + 2], 4 * cell[i] + 4) - max(box[i], 4 * cell[i]) for i in (0, 1)]
    return max(0., sides[0]) * max(0., sides[1]) / 16


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('scale', [1., 3.])
@torch.no_grad()
def test_the_prediction_is_composed_of_those_of_single_prompts(kind, scale):
    diffusion = build(kind, dict(strength=.7), cfg_scale=scale)
    slots = make_slots()
    z = latents_of(diffusion, 3)
    found = predict(diffusion, slots, z)

    def alone(i, text):
        return predict(diffusion, [replace(slots[i], prompt=text, region_prompts=None)],
                       z[i:i + 1])[0]

    for i, slot in enumerate(slots):
        whole = alone(i, slot.prompt)
        parts = [alone(i, text) for text in slot.region_prompts]
        expected = whole.clone()
        for y in range(8):
            for x in range(8):
                shares = [covered(box, (x, y)) for box in slot.bboxes]
                over = max(1., sum(shares))
                expected[:, y, x] += sum(
                    .7 * share / over * (part - whole)[:, y, x]
                    for share, part in zip(shares, parts))
        assert_close(found[i], expected, atol=1e-5, rtol=1e-5)
        assert not slot.region_prompts or (expected - whole).abs().max() > 1e-3


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('prompts', [None, []])
@torch.no_grad()
def test_without_sub_prompts_the_bits_are_those_of_the_plain_prediction(kind, prompts):
    slots = [replace(slot, region_prompts=prompts) for slot in make_slots()]
    plain = MODELS.build(KINDS[kind](cfg_scale=2.))
    diffusion = build(kind)
    assert torch.equal(diffusion.sample(slots)[0], plain.sample(slots)[0])
    assert diffusion.sample(slots)[1] == plain.sample(slots)[1]


@pytest.mark.parametrize('kind', KINDS)
@torch.no_grad()
def test_a_box_over_the_whole_image_is_its_sub_prompt_alone(kind):
    for feather in (0., 1., 5.):
        diffusion = build(kind, dict(feather=feather))
        slot = make_slot(0, [[0, 0, 32, 32]], TEXTS[:1])
        alone = replace(slot, prompt=TEXTS[0], region_prompts=None)
        images, expected = diffusion.sample([slot])[0], diffusion.sample([alone])[0]
        assert_close(images, expected, atol=1e-4, rtol=0)
        other = replace(slot, region_prompts=None)
        assert (diffusion.sample([other])[0] - expected).abs().max() > 1e-3


def test_an_image_depends_on_its_slot_alone():
    diffusion, slots = build(), make_slots()
    together = diffusion.sample(slots)[0]
    assert_close(diffusion.sample(slots[::-1])[0].flip(0), together, atol=1e-4, rtol=0)
    for i, slot in enumerate(slots):
        assert_close(diffusion.sample([slot])[0][0], together[i], atol=1e-4, rtol=0)


@pytest.mark.parametrize('scale, branches', [(1., 1), (2., 2)])
@pytest.mark.parametrize('stop, regional', [(1., 4), (.5, 2), (.6, 3), (0., 0)])
def test_passes_are_those_of_the_denoiser(scale, branches, stop, regional):
    diffusion, seen = build('sd', dict(stop=stop), cfg_scale=scale), []
    diffusion.unet.register_forward_hook(lambda module, args, out: seen.append(len(args[0])))
    _, stats = diffusion.sample(make_slots(), steps=4)
    assert seen == [3 * branches + 3] * regional + [3 * branches] * (4 - regional)
    assert [stat['denoiser_passes'] for stat in stats] == [
        4 * branches + 2 * regional, 4 * branches, 4 * branches + regional]
    if not stop:
        plain = [replace(slot, region_prompts=None) for slot in make_slots()]
        assert torch.equal(diffusion.sample(make_slots())[0], diffusion.sample(plain)[0])


def test_the_gradient_goes_through_every_sub_prompt():
    diffusion, slots = build(), make_slots()
    z = latents_of(diffusion, 3).requires_grad_()
    direction = torch.randn(z.shape, generator=torch.Generator().manual_seed(1))
    gradient = torch.autograd.grad(predict(diffusion, slots, z)[0].sum(), z)[0]
    assert gradient[0].abs().sum() > 0 and not gradient[1:].any()
    with torch.no_grad():
        ends = [predict(diffusion, slots, z + sign * 1e-2 * direction)[0].double().sum()
                for sign in (1, -1)]
    expected = (gradient[0] * direction[0]).sum().double()
    assert_close((ends[0] - ends[1]) / 2e-2, expected, atol=1e-2, rtol=2e-2)


@pytest.mark.parametrize('feather, expected', [
    (0., [0, 1, 1, 0, 0]), (1., [0, .8, 1, .3, 0]), (2., [.15, .65, .9, .4, 0])])
def test_ramps(feather, expected):
    """From 1.2 to 3.3 of 5 cells: the mean of the interval over windows of ``feather``."""
    found = ramp(torch.tensor([1.2]), torch.tensor([3.3]), 5, feather)[0]
    assert_close(found, torch.tensor(expected, dtype=torch.float32), atol=1e-6, rtol=0)


def test_ramps_end_with_the_image():
    found = ramp(torch.tensor([0., -3, 2]), torch.tensor([2., 9, 5]), 5, 2.)
    assert_close(found, torch.tensor([[1, .75, .25, 0, 0], [1] * 5, [0, .25, .75, 1, 1]]))


def test_overlapping_objects_share_their_cells():
    weights = RegionPrompts(strength=.8, feather=0).weights(
        np.array([[0, 0, 16, 16], [8, 8, 24, 24], [8, 8, 16, 16]]), (8, 8), 4)
    total = weights.sum(0)[0]
    assert_close(total, .8 * (total > 0).float())
    assert int((total > 0).sum()) == 16 + 16 - 4
    assert_close(weights[:, 0, 2, 2], torch.full((3, ), .8 / 3))
    assert_close(weights[:, 0, 1, 1], torch.tensor([.8, 0, 0]))


def test_sub_prompts_name_the_class():
    prompts = RegionPrompts(template='{name}: {object}').describe([1, 0], ['owl', 'sea_lion'])
    assert prompts == ['sea lion: a sea lion', 'owl: an owl']


@pytest.mark.parametrize('settings, words', [
    (dict(template='a photo'), 'template must have the field'),
    (dict(template='a {cls}'), 'template must have the field'),
    (dict(template='a {}'), 'template must have the field'),
    (dict(strength=1.5), 'strength 1.5'), (dict(feather=-1), 'feather -1'),
    (dict(stop=2), 'stop 2'), (dict(scale=1), "no setting 'scale'")])
def test_bad_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        build('sd', settings)
    with pytest.raises(ValueError, match=words):
        type(build()).check_config(dict(regions=settings))


@pytest.mark.parametrize('boxes, words', [(None, 'no bboxes'), ([[0, 0, 9, 9]], '1 bboxes')])
def test_each_sub_prompt_needs_a_box(boxes, words):
    slot = replace(make_slot(4, BOXES, TEXTS),
                   bboxes=boxes and np.array(boxes, np.float32))
    with pytest.raises(ValueError, match=f'slot 4 has 2 region_prompts and {words}'):
        build().sample([slot])


def test_a_job_names_the_sub_prompts_of_its_objects(digits, tmp_path):
    cfg = tiny.distill_job(digits, total=3, guidance=0)
    cfg['model'].update(proxy=None, refiners=[], diffusion=tiny.stable_diffusion(
        regions=dict(stop=.5)))
    out = distill(Config(cfg), str(tmp_path))
    with open(f'{out}/manifest.json') as f:
        entries = json.load(f)['images']
    assert len(entries) == 3 and any(len(entry['region_prompts']) > 1 for entry in entries)
    for entry in entries:
        assert entry['region_prompts'] == [f'a photo of a {name}' for name in entry['classes']]
        # 3 steps of two branches; the sub-prompts in 2 of them
        assert entry['stats']['denoiser_passes'] == 6 + 2 * len(entry['classes'])


def test_a_real_set_without_boxes_is_refused(digits, tmp_path):
    cfg = tiny.classification_job(digits)
    cfg['model']['diffusion'] = tiny.stable_diffusion(regions=dict())
    with pytest.raises(ValueError, match='regions needs a real set with boxes'):
        distill(Config(cfg), str(tmp_path))
