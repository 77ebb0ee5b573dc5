"""The planned memory of guided sampling, against what real steps take."""
import os.path as osp
import runpy
import sys
from dataclasses import replace
from functools import cache

import pytest
import tiny
import torch
from probes import memory_plan
from probes.guidance_cost import HookCaller, random_slots
from probes.live_memory import LiveMemory, count_saved, fused_attention, weight_bytes
from probes.memory_plan import (
    GB,
    ROWS,
    Networks,
    Plan,
    Recipe,
    largest_batch,
    plan_row,
)

from mmdd.engine import TaskGuidanceHook
from mmdd.models import DetectorProxy
from mmdd.registry import MODELS
from mmdd.utils.table import markdown_table

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
TOOL = osp.join(ROOT, 'tools/analysis_tools/memory_plan.py')
SMALL = dict(encoder_block_out_channels=(8, 8, 8), decoder_block_out_channels=(8, 8, 8),
             num_encoder_blocks=(1, 1, 1), num_decoder_blocks=(1, 1, 1))
SIZE, BATCH = 64, 4


def page():
    """Lines of the table in the docs."""
    with open(osp.join(ROOT, 'docs/memory.md'), encoding='utf-8') as f:
        return [line.rstrip() for line in f if line.startswith('|')]


def test_live_bytes_rise_and_fall():
    x = torch.zeros(100)
    with LiveMemory() as memory:
        y = x + 1
        view = y.view(10, 10)
        z = torch.cat([y, y])
        assert memory.now == memory.peak == 400 + 800
        y.add_(1)
        assert memory.now == 1200
        del y
        assert memory.now == 1200  # the view holds it
        del view
        assert memory.now == 800
        del z
        assert memory.now == 0 and memory.peak == 1200


def test_saved_bytes_count_each_storage_once_and_no_weights():
    weight = torch.nn.Parameter(torch.ones(10, 10))
    x = torch.ones(5, 10, requires_grad=True)
    with count_saved() as saved:
        y = (x * 2).sin()  # keeps x * 2
        (y @ weight.t() + y * y).sum()  # keeps y, three times, and the weight
    assert saved.total == 2 * 5 * 10 * 4


def test_attention_without_data_keeps_what_a_fused_kernel_does():
    def saved(device):
        torch.manual_seed(0)
        q, k, v = (torch.rand(2, 4, 64, 8, device=device).requires_grad_() * 1 for _ in range(3))
        with count_saved() as found:
            out = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        torch.autograd.grad(out.sum(), q)
        return found.total

    plain = saved('meta')
    with fused_attention():
        fused = saved('meta')
    # queries, keys, values, output, and one number per query in fp32
    assert fused == saved('cpu') == 4 * 2 * 4 * 64 * 8 * 4 + 2 * 4 * 64 * 4
    assert plain > 2 * 4 * 64 * 64 * 4
    assert saved('meta') == plain


@pytest.fixture(scope='module')
def parts():
    return Networks(tiny.stable_diffusion(energy_decoder=SMALL), tiny.detector_job('data'))


@pytest.fixture(scope='module')
def real():
    diffusion = MODELS.build(tiny.stable_diffusion(energy_decoder=SMALL))
    return diffusion, DetectorProxy(tiny.detector_job('data')), diffusion.small_decoder


@pytest.mark.parametrize('checkpointing', [False, True])
@pytest.mark.parametrize('decoder', ['full', 'small'])
@pytest.mark.parametrize('wrt', ['latent', 'denoised'])
def test_a_real_step_keeps_what_was_planned(parts, real, wrt, decoder, checkpointing):
    """The step of the real adapter, hook and detector; the detector's losses are not planned."""
    parts.set(decoder, checkpointing)
    plan = parts.plan(BATCH, SIZE, wrt)
    diffusion, proxy, small = real
    diffusion.small_decoder = small if decoder == 'small' else None
    for part in (diffusion.unet, diffusion.vae, small):
        getattr(part, f'{"en" if checkpointing else "dis"}able_gradient_checkpointing')()
    caller = HookCaller([TaskGuidanceHook(scale=1., wrt=wrt)], proxy)
    with count_saved() as saved, LiveMemory() as memory:
        diffusion.sample(random_slots(BATCH, SIZE, 10), steps=1, call_hook=caller.call_hook)
    weights = weight_bytes(*(part for name, part in diffusion.named_children()
                             if name != 'text_encoder' and (
                                 name != 'small_decoder' or decoder == 'small')), proxy)
    assert plan.weights == weights
    assert plan.saved == pytest.approx(saved.total, rel=.05)
    assert max(plan.step, plan.final) == pytest.approx(memory.peak, rel=.1)


def test_saved_bytes_are_linear_in_images_and_pixels(parts):
    parts.set('full', False)
    one, four, large = (parts.plan(batch, size, 'latent').saved
                        for batch, size in ((1, 64), (4, 64), (1, 128)))
    assert four == pytest.approx(4 * one, rel=.01)
    assert large == pytest.approx(4 * one, rel=.1)


@pytest.mark.parametrize('room, batch', [
    (6, 0), (14, 0), (15, 1), (24.9, 1), (25, 2), (44, 3), (45, 4), (55, 5), (85, 8), (165, 16)])
def test_largest_batch(room, batch):
    """Weights of 5, steps of 10 per image; the final image takes 10 whatever the batch."""
    plans = [Plan(5, 0, text=2 * num, step=10 * num, final=10) for num in (1, 2, 4, 8)]
    memory = room * (1 + memory_plan.FRAGMENTED) + memory_plan.RESERVE + 1e-3
    assert largest_batch(plans, memory) == batch


def test_the_dearest_phase_limits_the_batch_beyond_the_planned_ones():
    """The final image is dearer up to batch 8, from 12 on the steps are."""
    plans = [Plan(0, 0, text=0, step=10 * num, final=40 + num) for num in (1, 2, 4, 8)]
    memory = 200 * (1 + memory_plan.FRAGMENTED) + memory_plan.RESERVE + 1e-3
    assert largest_batch(plans, memory) == 20


@pytest.fixture(scope='module')
def plan_once():
    """What two tests plan is planned once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_plan, 'plan_recipe', cache(memory_plan.plan_recipe))
        yield


@pytest.mark.slow
@pytest.mark.usefixtures('plan_once')
def test_the_table_of_the_docs():
    """Two of its rows, planned again."""
    recipes = [ROWS[2], ROWS[4]]
    head, _, *rows = markdown_table(memory_plan.COLUMNS, list(map(plan_row, recipes))).splitlines()
    assert page()[0] == head and len(page()) == len(ROWS) + 2
    for recipe, row in zip(recipes, rows):
        assert page()[2 + ROWS.index(recipe)] == row


@pytest.mark.usefixtures('plan_once')
def test_a_cell_of_the_docs():
    """SD 1.5 at 512 pixels, guided through denoiser and full decoder: batch 4 in 24 GB."""
    recipe = Recipe(checkpointing=True)
    lines = page()[0], page()[2 + ROWS.index(recipe)]
    cells = dict(zip(*([cell.strip() for cell in line.strip('| ').split('|')] for line in lines)))
    needed = memory_plan.plan_recipe(recipe, 4).needed
    assert cells['batch 4'] == f'{needed / GB:.1f}' and needed <= 24 * GB
    assert float(cells['batch 1']) <= 16


def test_the_tool_replaces_the_table_of_a_page(tmp_path, monkeypatch):
    page = tmp_path / 'page.md'
    page.write_text('# Memory\n\n| old |\n| --- |\n| 1 |\n\nWords.\n')
    given = Recipe('tiny', 64, dtype='fp32')
    every = memory_plan.variants(given)
    assert len(set(every)) == 8 and {replace(recipe, wrt='latent', decoder='full',
                                             checkpointing=False) for recipe in every} == {given}
    monkeypatch.setattr(memory_plan, 'variants', lambda recipe: [recipe])
    monkeypatch.setattr(sys, 'argv', [TOOL, '--arch', 'tiny', '--size', '64', '--dtype', 'fp32',
                                      '--out', str(page)])
    runpy.run_path(TOOL, run_name='__main__')
    text = page.read_text()
    assert text.startswith('# Memory\n\n| prior |') and text.endswith('|\n\nWords.\n')
    assert 'old' not in text and text.count('\n| tiny |') == 1 + 1
