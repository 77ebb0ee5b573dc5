"""Students whose files were damaged, and sets that are not what their manifest says."""
import json
import os
import os.path as osp
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soft_sets
import toy_student
from test_resume import Killer, by_updates, outcome, run_of

from mmdd.datasets.manifest import check_set_files
from mmdd.engine.hooks import resume_hook
from mmdd.models.students.soft_label_classifier import SoftLabelClassifier  # noqa: F401
from mmdd.protocols.protocol import read_protocol
from mmdd.protocols.student import evaluate_sets, plan_runs
from mmdd.protocols.training import train_student
from mmdd.utils.io import sha256

NOISE = np.random.default_rng(0).bytes(200)


@pytest.fixture
def real(tmp_path):
    return toy_student.protocol(tmp_path / 'real')


@pytest.fixture
def told(monkeypatch):
    """The warnings of damage so far."""
    lines = []
    monkeypatch.setattr('mmdd.utils.state.print_log',
                        lambda line, logger, level: lines.append(line))
    return lines


def test_damaged_results_are_trained_again(real, tmp_path, told):
    sets = dict(a=toy_student.voc_set(tmp_path / 'a', [1]))
    work_dir = str(tmp_path / 'work')

    def measure():
        rows = evaluate_sets(sets, real, work_dir, seeds=(0, ), jobs=0)
        return [replace(row, seconds=0., total_seconds=None) for row in rows]
    first = measure()
    run, = plan_runs(sets, real, work_dir, [0])
    with open(run.result_file, 'rb') as f:
        content = f.read()
    for spoilt in (b'', content[:50], NOISE, b'[]', b'{"last": {"score": 1}}',
                   content.replace(b'100.0', b'200.0')):
        with open(run.result_file, 'wb') as f:
            f.write(spoilt)
        built = len(toy_student.BUILT)
        assert measure() == first and len(toy_student.BUILT) > built
        assert told.pop().startswith(f'{run.result_file} is damaged (') and not told
    built = len(toy_student.BUILT)
    assert measure() == first and len(toy_student.BUILT) == built
    # One of an earlier version, without a checksum.
    result = json.loads(content)
    del result['checksum']
    with open(run.result_file, 'w') as f:
        json.dump(result, f)
    assert measure() == first and len(toy_student.BUILT) == built


@pytest.mark.parametrize('spoil', ['cut', 'flip', 'noise', 'empty'])
def test_a_damaged_resume_file_starts_the_student_again(real, tmp_path, told, spoil):
    run, = plan_runs(dict(a=toy_student.voc_set(tmp_path / 'a', [1])), real,
                     str(tmp_path / 'work'), [0])
    os.makedirs(run.work_dir)
    import torch
    torch.save(dict(state_dict=dict(weight=torch.zeros(999))), run.resume_file)
    with open(run.resume_file, 'rb') as f:
        content = f.read()
    with open(run.resume_file, 'wb') as f:
        f.write(dict(cut=content[:700], noise=NOISE, empty=b'', flip=content[:900] + bytes(
            [content[900] ^ 1]) + content[901:])[spoil])
    assert train_student(run)['last'] == dict(score=100.)
    assert len(told) == 1 and told[0].startswith(f'{run.resume_file} is damaged (')
    assert osp.isfile(f'{run.resume_file}.damaged')


def test_a_student_that_lost_its_resume_file_ends_the_same(digits, tmp_path, monkeypatch, told):
    monkeypatch.setattr(resume_hook, 'EVERY', 0.)
    folder = soft_sets.digit_set(digits, tmp_path / 'ten')
    whole, weights = outcome(run_of(by_updates(digits), folder, tmp_path / 'whole', 11))
    run = run_of(by_updates(digits), folder, tmp_path / 'part', 11)
    monkeypatch.setattr(Killer, 'armed', True)
    with pytest.raises(KeyboardInterrupt):
        train_student(run)
    monkeypatch.setattr(Killer, 'armed', False)
    with open(run.resume_file, 'r+b') as f:
        f.truncate(osp.getsize(run.resume_file) - 100)
    again, same = outcome(run)
    assert again == whole and len(told) == 1
    assert all((weights[key] == same[key]).all() for key in weights)


def with_manifest(folder):
    """Give a set a manifest with the digests of its files."""
    files = [osp.relpath(osp.join(base, name), folder)
             for base, _, names in os.walk(folder) for name in names]
    with open(osp.join(folder, 'manifest.json'), 'w') as f:
        json.dump(dict(sha256={file: sha256(osp.join(folder, file)) for file in files}), f)
    return folder


def test_a_set_is_compared_with_its_manifest_before_training(real, tmp_path):
    folder = with_manifest(toy_student.voc_set(tmp_path / 'a', [1, 2, 3, 4]))
    images = osp.join(folder, 'VOC2007/JPEGImages')

    def measure():
        return evaluate_sets(dict(a=folder), real, str(tmp_path / 'work'), seeds=(0, ), jobs=0)
    assert measure()[0].images == 4
    # What is no image, or of the job, is no part of the set.
    for name in ('notes.txt', '.tmp_half.jpg', '../../_job/attempts/0.png'):
        os.makedirs(osp.dirname(osp.join(images, name)), exist_ok=True)
        with open(osp.join(images, name), 'w') as f:
            f.write('x')
    assert measure()[0].images == 4
    shutil.copy(osp.join(images, 'x1.jpg'), osp.join(images, 'new.jpg'))
    with pytest.raises(ValueError) as caught:
        measure()
    assert str(caught.value).startswith(
        f'{folder}: 1 file(s) are not as manifest.json says: VOC2007/JPEGImages/new.jpg is not in '
        f'it; ')
    os.unlink(osp.join(images, 'x2.jpg'))
    for name in ('x1.jpg', 'x3.jpg'):
        with open(osp.join(images, name), 'a') as f:
            f.write('more')
    built = len(toy_student.BUILT)
    with pytest.raises(ValueError) as caught:
        measure()
    assert len(toy_student.BUILT) == built
    assert str(caught.value).startswith(
        f'{folder}: 4 file(s) are not as manifest.json says: VOC2007/JPEGImages/x1.jpg is '
        f'changed, VOC2007/JPEGImages/x2.jpg is missing, VOC2007/JPEGImages/x3.jpg is changed, '
        f'...; ')
    assert '\n' not in str(caught.value)


def test_sets_without_digests_pass(real, tmp_path):
    folder = toy_student.voc_set(tmp_path / 'a', [1])
    for content in ({}, dict(method='UniDD'), dict(sha256=None)):
        check_set_files(folder, content)
    assert plan_runs(dict(a=folder), read_protocol(real), str(tmp_path / 'w'), [0])


def test_files_are_read_once(real, tmp_path, monkeypatch):
    folder = with_manifest(toy_student.voc_set(tmp_path / 'a', [1, 2]))
    read = []
    monkeypatch.setattr('mmdd.utils.io.sha256', lambda path: (read.append(path), sha256(path))[1])
    for _ in range(3):
        plan_runs(dict(a=folder), real, str(tmp_path / 'w'), [0, 1])
    mine = [path for path in read if path.startswith(folder)]
    assert len(mine) == len(set(mine)) == 5
