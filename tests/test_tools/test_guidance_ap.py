"""Average precision of raw samples against what their slots asked for."""
import json
import os.path as osp
import runpy
import sys

import numpy as np
import pytest
import tiny
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from probes.average_precision import (
    RawSet,
    average_precision,
    comparison_tiles,
    confidence_in,
    guidance_ap,
    mean_iou,
    read_raw_samples,
    set_folder,
)

from mmdd.apis import distill
from mmdd.engine.train_job import ensure_checkpoint
from mmdd.structures import DistilledSample, DistillSlot

TOOL = osp.join(osp.dirname(__file__), '../../tools/analysis_tools/guidance_ap.py')


def raw_set(shift=0., label=None, num=3):
    """Samples of one 20-pixel box whose detection is ``shift`` pixels off."""
    samples, predictions = [], []
    for i in range(num):
        box = np.array([[4 + i, 6, 24 + i, 26]], np.float32)
        slot = DistillSlot(i, i, (32, 32), np.array([i % 2]), box)
        samples.append(DistilledSample(slot, np.zeros((32, 32, 3), np.uint8)))
        predictions.append(InstanceData(
            bboxes=torch.from_numpy(box) + torch.tensor([shift, 0, shift, 0]),
            scores=torch.full((1, ), 0.5 + i / 10),
            labels=torch.tensor([i % 2 if label is None else label])))
    scores = np.array([float(found.scores) for found in predictions])
    return RawSet('raw', samples, predictions, scores, scores)


@pytest.mark.parametrize('shift, ap50, mean', [
    (0, 1., 1.),
    (4, 1., 0.4),  # IoU 16 / 24 = 0.667: above 0.5, 0.55, 0.6, 0.65
    (10, 0., 0.),  # IoU 10 / 30
])
def test_average_precision(shift, ap50, mean):
    result = average_precision(raw_set(shift), 2)
    assert result['AP50'] == pytest.approx(ap50)
    assert result['mAP'] == pytest.approx(mean)


def test_wrong_class_counts_as_missed():
    assert average_precision(raw_set(label=2), 3) == dict(AP50=0., mAP=0.)


def test_figures():
    figures = guidance_ap(raw_set(), ('a', 'b'), threshold=0.6)
    assert figures['images'] == 3
    assert figures['matched'] == pytest.approx(0.6)
    assert figures['passed'] == pytest.approx(2 / 3)


def test_top1():
    """Two of three classes are right; the slot's class has these probabilities."""
    samples = [DistilledSample(DistillSlot(i, i, (8, 8), np.array([i])),
                               np.zeros((8, 8, 3), np.uint8)) for i in range(3)]
    predictions = [torch.tensor(p) for p in ([.6, .3, .1], [.5, .4, .1], [.1, .2, .7])]
    asked = np.array([confidence_in(p, s.slot) for p, s in zip(predictions, samples)])
    assert asked == pytest.approx([.6, .4, .7])
    figures = guidance_ap(RawSet('raw', samples, predictions, asked, asked), 'abc', 0.6)
    assert figures == dict(images=3, top1=pytest.approx(2 / 3), matched=pytest.approx(17 / 30),
                           passed=pytest.approx(2 / 3))


def test_mean_iou_without_background_and_ignored_pixels():
    """Class 1: 2 of 3 pixels of the union; class 2: none of 2; class 3 does not occur."""
    asked = np.array([[1, 1, 0, 255], [2, 0, 0, 0]], np.uint8)
    sees = torch.tensor([[1, 1, 1, 3], [0, 2, 0, 0]])
    probabilities = torch.nn.functional.one_hot(sees, 4).permute(2, 0, 1).float()
    slot = DistillSlot(0, 0, (2, 4), np.array([1, 2]), mask=asked)
    raw = RawSet('raw', [DistilledSample(slot, np.zeros((2, 4, 3), np.uint8))], [probabilities],
                 np.ones(1), np.ones(1))
    assert mean_iou(raw, ('background', 'a', 'b', 'c')) == pytest.approx(1 / 3)
    # Without a background there is one class more: 2 of 5 pixels of index 0.
    assert mean_iou(raw, 'wxyz') == pytest.approx((2 / 3 + 0 + 2 / 5) / 3)
    assert confidence_in(probabilities, slot) == pytest.approx(4 / 7)


def test_tiles_show_the_same_slots_side_by_side():
    first, second = raw_set(), raw_set(shift=4)
    second.samples, second.predictions = second.samples[1:], second.predictions[1:]
    second.name, second.matched = 'other', second.matched[1:]
    tiles = comparison_tiles([first, second], num=8, thr=0.65)
    assert [tile.caption for tile in tiles] == ['raw 1 0.60', 'other 1 0.60', 'raw 2 0.70',
                                                'other 2 0.70']
    assert [len(tile.target.bboxes) for tile in tiles] == [0, 0, 1, 1]


def test_foreign_folder(tmp_path):
    with pytest.raises(ValueError, match='holds no distillation job'):
        set_folder(str(tmp_path))


@pytest.mark.slow
def test_tool(digits, detector_checkpoint, tmp_path, monkeypatch, capsys):
    """Two tiny jobs, with and without guidance, as proxy and judge see them."""
    for name, guidance in (('guided', 5.), ('plain', 0)):
        cfg = tiny.distill_job(digits, detector_checkpoint, total=2, guidance=guidance)
        distill(cfg, work_dir=str(tmp_path / name))
    assert len(read_raw_samples(str(tmp_path / 'plain/distilled'))) == 2
    judge = dict(tiny.detector_job(digits), randomness=dict(seed=5))
    ensure_checkpoint(judge, str(tmp_path / 'plain/judge.pth'))
    cfg['model']['judge'] = dict(type='DetectorProxy', cfg=judge, relabel_thr=0.0)
    config = tmp_path / 'job.py'
    config.write_text(Config(cfg).pretty_text)
    out = tmp_path / 'out'
    monkeypatch.setattr(sys, 'argv', [
        TOOL, str(config), '--out', str(out), '--sets', f'guided={tmp_path / "guided"}',
        f'plain={tmp_path / "plain/distilled"}'])
    runpy.run_path(TOOL, run_name='__main__')
    assert 'guided' in capsys.readouterr().out
    figures = json.loads((out / 'guidance_ap.json').read_text())
    assert set(figures['sets']) == {'guided', 'plain'}
    assert figures['sets']['plain']['images'] == 2
    assert figures['judge']['checkpoint'] == str(tmp_path / 'plain/judge.pth')
    assert figures['judge']['sets']['plain']['matched'] != figures['sets']['plain']['matched']
    assert '| judge AP50 | judge mAP | judge matched score |' in (
        out / 'guidance_ap.md').read_text()
    assert (out / 'guidance_ap.png').is_file() and (out / 'guidance_ap.md').is_file()
