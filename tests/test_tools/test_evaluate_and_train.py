"""Command lines of evaluation and training: a run each, and errors of one line."""
import json
import os.path as osp
import re
from importlib import import_module

import pytest
import toy_student
from mmengine.config import Config
from run_tool import run


@pytest.fixture
def protocol(tmp_path):
    path = tmp_path / 'toy_protocol.py'
    Config(toy_student.protocol(tmp_path / 'real')).dump(str(path))
    return path


def test_evaluate(protocol, tmp_path, capsys):
    folder = toy_student.voc_set(tmp_path / 'a', [1])
    assert run('evaluate.py', protocol, '--sets', f'a={folder}', '--full', '--seeds', 0, 1,
               '--jobs', 0, '--work-dir', tmp_path / 'w') is None
    table = (tmp_path / 'w' / 'results.md').read_text()
    assert '| a | 1 | 4 | 0 | 2 | 100.0 ± 0.0 | 100.0 ± 0.0 |' in table
    assert '| Full * | 3 | 6 |' in table
    out = capsys.readouterr().out
    for line in ('optimizer: SGD lr 1', 'No baseline of random real images: a protocol alone'):
        assert line in out and line in table
    assert 'a: 1 images, 4 updates, length 4 updates' in out
    assert 'Full: 3 images, 6 updates, length 6 updates' in out


def test_sets_are_looked_at_before_anything_is_prepared(protocol, tmp_path, monkeypatch):
    """A teacher may take hours; a name is mistyped in seconds."""
    monkeypatch.setattr(import_module('mmdd.benchmark.evaluate'), 'prepare',
                        lambda cfg: pytest.fail('too early'))
    folder = toy_student.voc_set(tmp_path / 'a', [1])
    error = run('evaluate.py', protocol, '--sets', f'a={folder}', f'b={tmp_path / "nowhere"}',
                '--jobs', 0, '--work-dir', tmp_path / 'w')
    assert error.startswith(f'error: set folder {tmp_path / "nowhere"} not found')


def test_evaluate_several_sets_and_rates(protocol, tmp_path, capsys):
    a, b = (toy_student.voc_set(tmp_path / name, [1]) for name in 'ab')
    assert run('evaluate.py', protocol, '--sets', f'x={a},{b}', '--seeds', 0, '--jobs', 0,
               '--no-random', '--lr-grid', 0.5, 1, '--work-dir', tmp_path / 'w') is None
    assert re.search(r'\| x \| 1 \| 4 \| \d+ \| 2 on 2 sets \| 1 \| 100\.0 ± 0\.0 \|',
                     (tmp_path / 'w' / 'results.md').read_text())
    out = capsys.readouterr().out
    assert 'picked by score on the validation split, 2 rates for each of 1 methods' in out
    assert 'x: lr 1\n' in out and 'No baseline of random' not in out


@pytest.mark.slow
def test_evaluate_adds_a_random_baseline(digits, tmp_path, capsys):
    """Made from the distillation config at the size of the sets, IPC where they are."""
    import tiny
    loader = dict(batch_size=5, num_workers=0, dataset=tiny.class_folders(digits),
                  sampler=dict(type='DefaultSampler', shuffle=False))
    student = dict(
        tiny.classifier_job(digits, max_iters=1), test_dataloader=loader, test_cfg=dict(),
        test_evaluator=dict(type='Accuracy', topk=(1, )),
        protocol=dict(task='classification', metrics=dict(top1='accuracy/top1'), scale=1.))
    job = tiny.coreset_job(digits, dict(type='UniformCoreset'))
    job['train_dataloader']['dataset'] = tiny.class_folders(digits, images=False)
    job['train_cfg'].update(writer=dict(type='ClassFolderWriter'),
                            budget=dict(type='IPC', n=1))
    job['evaluation'] = dict(protocol=student)
    Config(job).dump(str(tmp_path / 'job.py'))
    from mmdd.apis import distill
    folder = distill(job, work_dir=str(tmp_path / 'mine'))
    arguments = (tmp_path / 'job.py', '--sets', f'mine={folder}', '--seeds', 0, '--jobs', 0,
                 '--work-dir', tmp_path / 'w')
    assert run('evaluate.py', *arguments) is None
    out = capsys.readouterr().out
    assert 'Random: 10 real images drawn at random (IPC 1), added beside mine.' in out
    made = json.loads((tmp_path / 'w/random/ipc1_seed0/distilled/manifest.json').read_text())
    assert made['method'] == 'RandomCoreset' and made['budget'] == 'IPC(n=1)'
    assert sorted(entry['classes'][0] for entry in made['images']) == list('0123456789')
    rows = {row['method']: row for row in json.loads(
        (tmp_path / 'w/results.json').read_text())['methods']}
    assert rows['mine']['images'] == rows['Random']['images'] == 10
    # Again: nothing is made or trained twice.
    assert run('evaluate.py', *arguments) is None
    assert '2 of 2 runs are finished already' in capsys.readouterr().out


@pytest.mark.parametrize('arguments, message', [
    ([], 'nothing to evaluate'),
    (['--sets', 'folder'], '--sets folder: write NAME=FOLDER'),
    (['--sets', 'a=x', 'a=y'], "the name 'a' is given twice"),
    (['--sets', 'a=nowhere'], 'set folder nowhere not found'),
    (['--sets', 'a=,'], '--sets a=,: write NAME=FOLDER'),
])
def test_evaluate_with_bad_input(protocol, tmp_path, arguments, message):
    error = run('evaluate.py', protocol, *arguments, '--work-dir', tmp_path / 'w')
    assert isinstance(error, str) and message in error and '\n' not in error


def test_a_student_that_cannot_be_stops_all(protocol, tmp_path):
    """Once, before the first begins."""
    folder = toy_student.voc_set(tmp_path / 'a', [1])
    error = run('evaluate.py', protocol, '--sets', f'a={folder}', '--full', '--jobs', 2,
                '--work-dir', tmp_path / 'w', '--cfg-options', 'model.weight=1')
    assert error.startswith('error: no student can be trained: its network cannot be built')
    assert '\n' not in error and not (tmp_path / 'w').exists()


def test_evaluate_without_a_protocol():
    error = run('evaluate.py', 'configs/_base_/proxies/faster-rcnn_digits.py', '--full')
    assert 'has neither a field protocol' in error and '\n' not in error
    assert 'nowhere.py not found' in run('evaluate.py', 'nowhere.py', '--full')


def test_train(tmp_path, protocol):
    work_dir = tmp_path / 'w'
    assert run('train.py', protocol, '--work-dir', work_dir, '--cfg-options',
               'train_cfg.max_iters=2') is None
    assert osp.isfile(work_dir / 'iter_2.pth')
    assert run('train.py', protocol, '--work-dir', work_dir, '--resume') is None
    assert osp.isfile(work_dir / 'iter_4.pth')


def test_train_with_bad_input(tmp_path, protocol):
    assert 'nowhere.py not found' in run('train.py', 'nowhere.py')
    error = run('train.py', protocol, '--work-dir', tmp_path / 'w', '--resume', 'lost.pth')
    assert 'cannot resume: lost.pth not found' in error and '\n' not in error
