"""What tools/distill.py prints: little before its first result, all in the log file."""
import glob
import os.path as osp
import re

import processes
import pytest
import tiny
from mmengine.config import Config

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))


@pytest.fixture(scope='module')
def job(digits, tmp_path_factory):
    """Output, work dir and config file of a job that also trains its proxy."""
    folder = tmp_path_factory.mktemp('job')
    cfg = tiny.distill_job(digits, total=4, threshold=.0)
    cfg['custom_hooks'].append(dict(type='ContactSheetHook'))
    path, work_dir = str(folder / 'job.py'), str(folder / 'work')
    Config(cfg).dump(path)
    out = processes.run('tools/distill.py', path, '--work-dir', work_dir)
    return out.splitlines(), work_dir, path


def test_fewer_than_30_lines_before_the_first_result(job):
    lines, _, _ = job
    first = next(i for i, line in enumerate(lines) if 'Iter(train) [1/2]' in line)
    assert first < 30
    text = '\n'.join(lines)
    for table in ('System environment', 'Config:', 'Hooks will be executed'):
        assert table not in text


def test_the_log_file_has_everything(job):
    lines, work_dir, _ = job
    log, = glob.glob(osp.join(work_dir, '2*/*.log'))
    with open(log) as f:
        text = f.read()
    for part in ('System environment', 'Config:\n', 'Hooks will be executed', 'method: UniDD',
                 'Iter(train) [2/2]', 'distilled set: '):
        assert part in text
    assert f'  log        {log}' in lines


def test_the_header_names_the_job(job, digits):
    lines, work_dir, _ = job
    begin = next(i for i, line in enumerate(lines) if line.endswith('method: UniDD'))
    assert lines[begin + 1:begin + 7] == [
        '  real set   VOCDataset, 12 images, 10 classes',
        '  budget     Total(n=4)',
        '  diffusion  StableDiffusion, 3 steps, cfg 2, float32',
        f'  proxy      DetectorProxy (FasterRCNN), {work_dir}/proxy.pth',
        f'  device     {"cuda:0" if "cuda" in lines[begin + 5] else "cpu"}',
        f'  output     {work_dir}/distilled']


def test_the_closing_block(job):
    lines, work_dir, path = job
    folder = osp.join(work_dir, 'distilled')
    begin = next(i for i, line in enumerate(lines) if line.endswith(f'distilled set: {folder}'))
    closing = dict(re.match(r'  (.{11})(.*)', line).groups() for line in lines[begin + 1:])
    closing = {name.strip(): text for name, text in closing.items()}
    assert closing['images'] == '4 of 4 met, 4 made, 0.0% discarded'
    assert closing['dropped'] == 'nothing'
    assert re.fullmatch(r'\d to \d images, median \S+; (empty|fewest): .*', closing['per class'])
    assert re.fullmatch(r'\d:\d\d:\d\d in all \(.*synthesize.*\), \S+ s per image',
                        closing['time'])
    assert closing['sheet'] == f'{work_dir}/progress.png' and osp.isfile(closing['sheet'])
    assert closing['look at it'] == f'python tools/browse.py {folder}'
    assert closing['measure it'] == f'python tools/evaluate.py {path} --sets UniDD={folder}'
