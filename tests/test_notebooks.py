"""The notebooks: what is kept of their runs, and that they run."""
import ast
import json
import os
import os.path as osp
import re
import socket
import subprocess
from glob import glob

import pytest

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
NOTEBOOKS = sorted(glob(osp.join(ROOT, 'docs/notebooks/*.ipynb')))


def read_cells(path):
    with open(path, encoding='utf-8') as f:
        return json.load(f)['cells']


@pytest.mark.parametrize('path', NOTEBOOKS, ids=osp.basename)
def test_it_was_run_from_top_to_bottom_and_is_small(path):
    cells = [cell for cell in read_cells(path) if cell['cell_type'] == 'code']
    assert [cell['execution_count'] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell['outputs']]
    assert {output['output_type'] for output in outputs} == {
        'stream', 'execute_result', 'display_data'}
    assert any('image/png' in output.get('data', {}) for output in outputs)
    assert osp.getsize(path) < 500_000


@pytest.mark.parametrize('path', NOTEBOOKS, ids=osp.basename)
def test_nothing_of_a_machine_is_in_it(path):
    for cell in read_cells(path):
        assert not cell['metadata']
        for output in cell.get('outputs', []):
            output.get('data', {}).pop('image/png', None)
        text = json.dumps(cell)
        assert not re.search(r'(?<![\w.:/])/(home|root|tmp|usr|opt|mnt|work|var)/', text), text
        assert socket.gethostname() not in text


def test_colours_and_folders_are_left_out(tmp_path, monkeypatch):
    pytest.importorskip('nbclient', reason='make notebook installs it')
    monkeypatch.syspath_prepend(osp.join(ROOT, '.dev_scripts'))
    from run_notebook import plain
    (tmp_path / 'mmdd_x').mkdir()
    text = f'\x1b[4m\x1b[97ma\x1b[0m {tmp_path}/mmdd_x/b {tmp_path}/c {tmp_path} {ROOT}/d'
    assert plain(text, str(tmp_path)) == 'a b c . d'


@pytest.mark.slow
@pytest.mark.parametrize('path', NOTEBOOKS, ids=osp.basename)
def test_it_runs(path, tmp_path, monkeypatch):
    for name in ('nbclient', 'ipykernel'):
        pytest.importorskip(name, reason='a notebook takes two minutes; make notebook installs it')
    monkeypatch.syspath_prepend(osp.join(ROOT, '.dev_scripts'))
    from run_notebook import run_notebook
    before = status()
    notebook = run_notebook(path, tmp_path)
    assert status() == before, 'it writes outside of the source tree'
    runs = ast.literal_eval(notebook.cells[-2].outputs[0].data['text/plain'])
    assert set(runs) == {'UniDD', 'Herding', 'Random'}
    assert all(len(top1) == 2 and 10 < min(top1) for top1 in runs.values())


def status():
    """What lies in the source tree, without what git ignores below its first level.

    Hidden folders of the first level are those of tools, which other tests may write meanwhile.
    """
    done = subprocess.run(['git', 'status', '--porcelain', '--untracked-files=all'], cwd=ROOT,
                          capture_output=True, text=True)
    return sorted(name for name in os.listdir(ROOT) if name[0] != '.'), done.stdout
