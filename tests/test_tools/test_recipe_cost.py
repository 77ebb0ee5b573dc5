"""The cost and the quality of a config's guidance, measured beside its own unguided sampling."""
import os.path as osp
import re
import runpy
import sys
import time

import numpy as np
import pytest
import tiny
import torch
from mmengine.config import Config
from probes.average_precision import average_precision, look_at
from probes.guidance_cost import HookCaller, random_slots
from probes.guidance_recipe import GuidanceRecipe
from probes.recipe_cost import PairedCost, measure_pairs, measure_parts, raw_quality

from mmdd.engine import TaskGuidanceHook
from mmdd.registry import MODELS
from mmdd.structures import DistilledSample

TOOL = osp.join(osp.dirname(__file__), '../../tools/analysis_tools/benchmark_guidance.py')
SMALL = dict(encoder_block_out_channels=(8, 8, 8), decoder_block_out_channels=(8, 8, 8),
             num_encoder_blocks=(1, 1, 1), num_decoder_blocks=(1, 1, 1))


def test_the_ratio_is_the_median_over_the_turns():
    assert PairedCost([1, 2, 4], [2, 6, 40]).ratio == 3


def test_both_ways_are_measured_by_turns():
    order = []

    def run(name, seconds):
        order.append(name)
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    cost = measure_pairs(lambda: run('free', .01), lambda: run('guided', .03), repeats=3)
    assert order == ['free', 'guided'] * 4
    assert len(cost.free) == len(cost.guided) == 3
    assert min(cost.free) >= .01 and min(cost.guided) >= .03 and 1.5 < cost.ratio < 6


def test_waiting_costs_nothing(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    cost = measure_pairs(lambda: time.sleep(.05), lambda: time.sleep(.05), repeats=1)
    assert cost.free[0] < .03 and cost.guided[0] < .03


def test_parts_of_a_step(tiny_sd, proxy):
    parts = measure_parts(tiny_sd, proxy, random_slots(2, 32, 10), torch.rand(2, 3, 32, 32), 1)
    assert list(parts) == [f'{name}, {way}' for name in ('denoiser', 'decoder', 'energy')
                           for way in ('forward', 'backward')]
    assert min(parts.values()) > 0


def test_quality_is_the_average_precision_of_raw_images(proxy, classifier_proxy):
    slots = random_slots(5, 32, 10)
    images = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    pictures = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
    samples = [DistilledSample(slot, picture) for slot, picture in zip(slots, pictures)]

    def draw(batch):
        return images[[slot.id for slot in batch]]

    expected = average_precision(look_at('', samples, proxy), 10)['AP50']
    assert raw_quality(draw, slots, proxy, 2, 10) == pytest.approx(expected)
    for slot in slots:
        slot.labels = slot.labels[:1]
    scores = classifier_proxy.score(images, samples)
    assert raw_quality(draw, slots, classifier_proxy, 2, 10) == pytest.approx(
        float(scores.mean()), abs=1e-3)


def job(digits, detector_checkpoint, **model):
    cfg = tiny.distill_job(digits, detector_checkpoint, total=3, guidance=1000.)
    cfg['model'].update(model)
    return Config(cfg)


def test_a_recipe_draws_as_the_job_would(digits, detector_checkpoint, tmp_path):
    recipe = GuidanceRecipe(job(digits, detector_checkpoint), None, str(tmp_path))
    slots = recipe.slots(5)
    assert [slot.id for slot in slots] == [0, 1, 2, 0, 1]
    assert [slot.round for slot in slots] == [0, 0, 0, 1, 1]
    plain, guided = recipe.draw(slots[:2]), recipe.draw_guided(slots[:2])
    hook = TaskGuidanceHook(scale=1000.)
    expected = recipe.distiller.diffusion.sample(
        slots[:2], call_hook=HookCaller([hook], recipe.distiller.proxy).call_hook)[0]
    assert torch.equal(guided, expected) and (guided - plain).abs().max() > 1e-4
    assert recipe.describe() == 'TaskGuidanceHook(scale=1000.0), full decoder'
    assert recipe.figure == 'AP50 by the proxy' and recipe.scorer is recipe.distiller.proxy


def test_a_judge_scores_where_there_is_one(digits, detector_checkpoint, tmp_path):
    other = dict(type='DetectorProxy', cfg=tiny.detector_job(digits),
                 checkpoint=detector_checkpoint)
    recipe = GuidanceRecipe(job(digits, detector_checkpoint, judge=other), None, str(tmp_path))
    assert recipe.figure == 'AP50 by the judge'
    assert recipe.scorer is not recipe.distiller.proxy


def test_a_config_without_guidance_is_refused(digits, detector_checkpoint, tmp_path):
    cfg = job(digits, detector_checkpoint)
    cfg.custom_hooks = []
    with pytest.raises(ValueError, match='nothing to measure'):
        GuidanceRecipe(cfg, None, str(tmp_path))


def test_the_tool(digits, detector_checkpoint, tmp_path, monkeypatch, capsys):
    path, out = str(tmp_path / 'job.py'), str(tmp_path / 'cost.md')
    job(digits, detector_checkpoint).dump(path)
    monkeypatch.setattr(sys, 'argv', [
        TOOL, '--config', path, '--batch-size', '2', '--repeats', '1', '--quality', '3',
        '--work-dir', str(tmp_path), '--out', out])
    runpy.run_path(TOOL, run_name='__main__')
    with open(out) as f:
        lines = f.read().splitlines()
    assert '| sampling | s / batch | x unguided | AP50 by the proxy |' in lines
    rows = {line.split(' | ')[0][2:]: line.split(' | ')[1:] for line in lines[4:]}
    assert rows['unguided'][1] == '1.00'
    guided = rows['TaskGuidanceHook(scale=1000.0), full decoder']
    assert float(guided[1]) > 1 and re.fullmatch(r'[01]\.\d{3} \|', guided[2])
    assert float(rows['one step: energy, backward'][0]) > 0


def masks(slots):
    for slot in slots:
        slot.mask = np.full((32, 32), 3, np.uint8)
    return slots


@pytest.mark.parametrize('name, networks', [
    ('proxy', ('backbone', 'neck', 'roi_head.bbox_head')),
    ('classifier_proxy', ('backbone', 'head')),
    ('segmentor_proxy', ('backbone', 'decode_head.conv_seg'))])
def test_a_guided_step_runs_each_network_once(request, name, networks):
    """And decodes once: three steps, and the full decoder for the image at the end."""
    model, seen = request.getfixturevalue(name), []
    diffusion = MODELS.build(tiny.stable_diffusion(energy_decoder=SMALL))
    watched = dict(unet=diffusion.unet, small=diffusion.small_decoder.decoder,
                   full=diffusion.vae.decoder,
                   **{network: model.model.get_submodule(network) for network in networks})
    handles = [module.register_forward_hook(lambda *_, part=part: seen.append(part))
               for part, module in watched.items()]
    slots = masks(random_slots(2, 32, 10))
    for slot in slots if name == 'classifier_proxy' else ():
        slot.labels = slot.labels[:1]
    diffusion.sample(slots, call_hook=HookCaller([TaskGuidanceHook()], model).call_hook)
    for handle in handles:
        handle.remove()
    assert {part: seen.count(part) for part in watched} == dict(
        {part: 3 for part in watched}, full=1)
    weights = list(diffusion.parameters()) + list(model.parameters())
    assert not any(weight.requires_grad for weight in weights)
    convolution = diffusion.small_decoder.decoder.layers[0].weight
    assert convolution.is_contiguous(memory_format=torch.channels_last)
