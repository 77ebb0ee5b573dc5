"""Runners that follow each other in one process."""
import os.path as osp
import time
from pathlib import Path
from types import SimpleNamespace

import mmengine.runner.runner
import tiny

from mmdd.apis import distill


def test_jobs_that_begin_in_one_second_write_apart(digits, detector_checkpoint, tmp_path,
                                                   monkeypatch):
    still = SimpleNamespace(time=lambda: 1e9, strftime=time.strftime, localtime=time.localtime)
    monkeypatch.setattr(mmengine.runner.runner, 'time', still)
    for name in 'ab':
        config = tiny.distill_job(digits, detector_checkpoint, total=2, guidance=0)
        config['visualizer'] = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
        folder = distill(config, str(tmp_path / 'jobs' / name / 'work'))
        assert osp.isfile(osp.join(folder, 'manifest.json'))
        log, = (tmp_path / 'jobs' / name).rglob('2*.log')
        assert 'distilled' in Path(log).read_text()
