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

from mmdd.apis import distill
from mmdd.evaluation.guidance_ap import (
    RawSet,
    average_precision,
    comparison_tiles,
    guidance_ap,
    read_raw_samples,
    set_folder,
)
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
    figures = guidance_ap(raw_set(), 2, threshold=0.6)
    assert figures['images'] == 3
    assert figures['matched'] == pytest.approx(0.6)
    assert figures['passed'] == pytest.approx(2 / 3)


def test_tiles_show_the_same_slots_side_by_side():
    first, second = raw_set(), raw_set(shift=4)
    second.samples, second.predictions = second.samples[1:], second.predictions[1:]
    second.name, second.matched = 'other', second.matched[1:]
    tiles = comparison_tiles([first, second], num=8, thr=0.65)
    assert [tile.caption for tile in tiles] == ['raw 1 0.60', 'other 1 0.60', 'raw 2 0.70',
                                                'other 2 0.70']
    assert [len(tile.bboxes) for tile in tiles] == [0, 0, 1, 1]


def test_foreign_folder(tmp_path):
    with pytest.raises(ValueError, match='holds no distillation job'):
        set_folder(str(tmp_path))


@pytest.mark.slow
def test_tool(digits, detector_checkpoint, tmp_path, monkeypatch, capsys):
    """Two tiny jobs, with and without guidance, through the command line."""
    for name, guidance in (('guided', 5.), ('plain', 0)):
        cfg = tiny.distill_job(digits, detector_checkpoint, total=2, guidance=guidance)
        distill(cfg, work_dir=str(tmp_path / name))
    assert len(read_raw_samples(str(tmp_path / 'plain/distilled'))) == 2
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
    assert (out / 'guidance_ap.png').is_file() and (out / 'guidance_ap.md').is_file()
