"""What all exports share: the folder is new and whole, the set as its manifest says."""
import json
import os

import pytest
from export_sets import class_samples, write_set
from run_tool import run

from mmdd.datasets import ClassFolderWriter
from mmdd.datasets.export import TARGETS, export_set


@pytest.fixture
def folder(tmp_path):
    return write_set(tmp_path / 'job/distilled', ClassFolderWriter(), class_samples())


def change(folder, **fields):
    path = os.path.join(folder, 'manifest.json')
    with open(path) as f:
        content = json.load(f)
    content.update(fields)
    with open(path, 'w') as f:
        json.dump(content, f)
    return content


@pytest.mark.parametrize('target', TARGETS)
def test_tool_takes_a_work_dir(tmp_path, folder, target, capsys):
    out = tmp_path / 'new/out'
    assert run('export.py', tmp_path / 'job', '--to', target, '--out', out) is None
    assert capsys.readouterr().out == f'3 images: {out}\n'
    assert os.listdir(tmp_path / 'new') == ['out']
    assert os.stat(out).st_mode & 0o777 == 0o755


def test_a_full_folder_is_left_alone(tmp_path, folder):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'mine').write_text('x')
    line = run('export.py', folder, '--to', 'hub', '--out', out)
    assert f'{out} is not empty' in line and '\n' not in line
    assert [path.name for path in out.iterdir()] == ['mine']
    (out / 'mine').unlink()
    assert run('export.py', folder, '--to', 'hub', '--out', out) is None


@pytest.mark.parametrize('stop', [KeyboardInterrupt, OSError(28, 'No space left on device')])
@pytest.mark.parametrize('target', TARGETS)
def test_nothing_is_left_of_an_export_that_stops(tmp_path, folder, target, stop, monkeypatch):
    from mmdd.utils.progress import Progress

    def add(self):
        raise stop

    monkeypatch.setattr(Progress, 'add', add)
    before = sorted(os.listdir(tmp_path))
    line = run('export.py', folder, '--to', target, '--out', tmp_path / 'out')
    assert ('nothing was written' if stop is KeyboardInterrupt else 'No space left') in line
    assert sorted(os.listdir(tmp_path)) == before


def spoil_image(folder):
    with open(os.path.join(folder, 'train/001__b_x/000001.png'), 'ab') as f:
        f.write(b'x')


def spoil_list(folder):
    os.unlink(os.path.join(folder, 'meta/train.txt'))
    change(folder, sha256=None)


@pytest.mark.parametrize('spoil, words', [
    (spoil_image, '000001.png is changed'),
    (spoil_list, 'meta/train.txt: cannot be read as a list'),
    (lambda folder: change(folder, images=[]), 'is damaged .IndexError'),
    (lambda folder: change(folder, classes=None), 'manifest.json is damaged'),
    (lambda folder: change(folder, images=[dict(files=['train/a.png'])]), 'is damaged'),
    (lambda folder: change(folder, images=[dict(files=['../a.png'])]), 'outside of the set'),
    (lambda folder: os.unlink(os.path.join(folder, 'manifest.json')), 'holds no manifest.json')])
def test_bad_sets(tmp_path, folder, spoil, words):
    spoil(folder)
    with pytest.raises(ValueError, match=words):
        export_set(folder, str(tmp_path / 'out'), 'hub')
    assert sorted(os.listdir(tmp_path)) == ['job']


@pytest.mark.parametrize('out, words', [('job/distilled/x', 'lies inside'),
                                        ('job/distilled/manifest.json', 'is a file')])
def test_bad_folders(tmp_path, folder, out, words):
    with pytest.raises(ValueError, match=words):
        export_set(folder, str(tmp_path / out), 'hub')


def test_unknown_target(tmp_path, folder):
    with pytest.raises(ValueError, match="'zip' is no target.*hub, webdataset, viewer"):
        export_set(folder, str(tmp_path / 'out'), 'zip')
