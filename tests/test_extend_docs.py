"""The examples of docs/extend.md are files that work together."""
import inspect
import json
import os.path as osp
import re
import sys

import own_data
import pytest

import mmdd.models
from mmdd.engine import GuidanceHook
from mmdd.starter.init_job import init_job
from mmdd.starter.rehearsal import dry_distill

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))


def page():
    with open(osp.join(ROOT, 'docs/extend.md')) as f:
        return f.read()


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job for boxes with the files of the page in its folder."""
    out, _ = init_job(str(own_data.roboflow(tmp_path / 'data')), str(tmp_path / 'job'),
                      device='cpu')
    files = re.findall(r'```python\n# (\w+)\.py\n(.*?)```', page(), re.S)
    assert len(files) == 8
    for name, text in files:
        with open(osp.join(out, f'{name}.py'), 'w') as f:
            f.write(text)
    monkeypatch.setattr(sys, 'path', list(sys.path))
    return out


def test_all_parts_in_one_job(job, tmp_path):
    lines = dry_distill(osp.join(job, 'my_job.py'), str(tmp_path / 'work'))
    assert lines[0].startswith('made 4 images of 2 classes by Mirrored')
    kept, = (tmp_path / 'work').iterdir()
    content = json.loads((kept / 'distilled/manifest.json').read_text())
    assert {image['prompt'] for image in content['images']} <= {
        'circle under a microscope', 'square under a microscope'}
    assert all(0 <= image['score'] <= 1 for image in content['images'])


def test_the_coreset(job):
    lines = dry_distill(osp.join(job, 'my_coreset_job.py'))
    assert lines[0] == 'made 4 images of 2 classes by FarthestFromMean, 4 pass'


def test_the_table_has_the_signatures():
    rows = re.findall(r'\| `([\w.]+)` \| `(\w+)\(([^)]*)\)` \|', page())
    assert len(rows) == 6
    for owner, method, arguments in rows:
        kind = GuidanceHook if owner == 'mmdd.engine.GuidanceHook' else getattr(mmdd.models, owner)
        found = list(inspect.signature(getattr(kind, method)).parameters)[1:]
        assert found == arguments.split(', '), (owner, method)
