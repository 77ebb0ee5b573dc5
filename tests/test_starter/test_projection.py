"""Hours of a job that has not begun: arithmetic, measured sets, bad arguments."""
import json
import os.path as osp

import own_data
import pytest
import run_tool

from mmdd.engine.distill_job import read_job
from mmdd.starter.init_job import init_job
from mmdd.starter.projection import Pace, project, read_pace
from mmdd.starter.rehearsal import describe_job
from mmdd.utils.compat import setup


def test_imagenet_at_100_images_per_class():
    assert project(100_000, 3, Pace(.5, gpus=64)) == [
        'GPU hours of sampling: 13.9, at most 41.7 in 3 rounds (100,000 images, 0.5 s each)',
        # The fullest of 64 has 1,563 images.
        'wall hours of sampling on 64 GPUs: 0.217, at most 0.651 in 3 rounds']


def test_one_round_and_one_gpu():
    assert project(7200, 1, Pace(1.)) == [
        'GPU hours of sampling: 2 (7,200 images, 1 s each)',
        'wall hours of sampling on 1 GPU: 2']
    assert project(3, 1, Pace(1200., gpus=2))[1] == 'wall hours of sampling on 2 GPUs: 0.667'


def test_the_pace_of_an_earlier_set(tmp_path):
    images = [dict(slot=slot, rounds=rounds) for slot, rounds in ((0, 1), (1, 2), (1, 2), (3, 3))]
    content = dict(cost=dict(seconds_per_image=1.8), images=images)
    (tmp_path / 'manifest.json').write_text(json.dumps(content))
    pace = read_pace(str(tmp_path), 4)
    assert pace == Pace(1.8, 4, 2., str(tmp_path))
    assert project(4000, 3, pace) == [
        f'GPU hours of sampling: 4, at most 6 in 3 rounds (4,000 images, 1.8 s each and 2 '
        f'attempts at an image, as in {tmp_path})',
        'wall hours of sampling on 4 GPUs: 1, at most 1.5 in 3 rounds']
    assert project(4000, 1, pace)[1] == 'wall hours of sampling on 4 GPUs: 0.5'
    (tmp_path / 'manifest.json').write_text(json.dumps(dict(content, cost={})))
    with pytest.raises(ValueError, match='tells no seconds per image; give a number'):
        read_pace(str(tmp_path))


@pytest.mark.parametrize('text, words', [
    ('0', 'above 0'), ('-1', 'above 0'), ('nan', '--seconds-per-image'),
    ('nowhere', 'neither a number nor a distilled set')])
def test_what_is_no_pace(text, words):
    with pytest.raises(ValueError, match=words):
        read_pace(text)


def test_rounds_and_slots_are_those_of_the_job(tmp_path):
    setup()
    out, _ = init_job(str(own_data.class_folders(tmp_path / 'data', splits=('train', 'val'))),
                      str(tmp_path / 'job'), device='cpu')
    cfg = read_job(osp.join(out, 'unidd.py'))
    lines = describe_job(cfg, Pace(300.))
    assert 'in at most 4 rounds' in lines[0]
    assert lines[-2:] == [
        'GPU hours of sampling: 1, at most 4 in 4 rounds (12 images, 300 s each)',
        'wall hours of sampling on 1 GPU: 1, at most 4 in 4 rounds']
    cfg.model.refiners = []
    assert describe_job(cfg, Pace(300.))[-1] == 'wall hours of sampling on 1 GPU: 1'
    assert describe_job(cfg) == describe_job(cfg, Pace(300.))[:-2]


def test_a_projection_needs_a_dry_run():
    line = run_tool.run('distill.py', 'x.py', '--seconds-per-image', 1)
    assert line.startswith('error: argument --seconds-per-image: add --dry-run')
