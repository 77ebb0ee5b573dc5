"""Preparing, training once, reusing."""
import json
import os
import os.path as osp
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import toy_student
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmdd.apis import train
from mmdd.datasets.digit_scenes import DigitScenes
from mmdd.engine.hooks import train_cost_hook
from mmdd.engine.prepare import prepare
from mmdd.engine.train_job import ensure_checkpoint, read_checkpoint
from mmdd.utils.checkpoint import local_path
from mmdd.utils.config import fingerprint
from mmdd.utils.training_record import read_record


@pytest.fixture
def job(tmp_path):
    for split, targets in (('train', [3]), ('val', [1]), ('test', [1])):
        toy_student.voc_set(tmp_path / 'real', targets, split)
    return toy_student.training(tmp_path / 'real')


def test_train_runs_the_config(job, tmp_path):
    runner = train(job, str(tmp_path / 'work'), seed=5)
    assert runner.iter == 4 and runner.seed == 5
    assert runner.model.weight.item() == 3.
    assert 'work_dir' not in job


def test_training_resumes(job, tmp_path):
    train(job, str(tmp_path / 'work'))
    job['train_cfg']['max_iters'] = 6
    runner = train(job, str(tmp_path / 'work'), resume=True)
    assert runner.iter == 6
    assert 'resumed' in ' '.join(
        open(osp.join(base, name)).read() for base, _, names in os.walk(tmp_path / 'work')
        for name in names if name.endswith('.log')) or runner._has_loaded


def test_weights_to_start_from_must_be_there(job, tmp_path):
    before = len(toy_student.BUILT)
    with pytest.raises(FileNotFoundError, match="load_from='/nope.pth': there is no such file"):
        train(dict(job, load_from='/nope.pth'), str(tmp_path / 'work'))
    assert len(toy_student.BUILT) == before and not (tmp_path / 'work').exists()


def test_a_runner_leaves_the_default_scope_alone(job, tmp_path):
    with DefaultScope.overwrite_default_scope('mmdd'):
        train(job, str(tmp_path / 'work'))
        assert DefaultScope.get_current_instance().scope_name == 'mmdd'


def test_a_checkpoint_is_trained_once_and_reused(job, tmp_path):
    path = str(tmp_path / 'weights' / 'toy.pth')
    assert ensure_checkpoint(job, path) == path
    built = len(toy_student.BUILT)
    content = torch.load(path, weights_only=True)
    assert sorted(content) == ['meta', 'state_dict']
    assert content['state_dict']['weight'].item() == 3.
    with open(tmp_path / 'weights' / 'toy.json') as f:
        sidecar = json.load(f)
    assert sidecar['metrics'] == {'toy/score': -1.}
    assert sidecar['updates'] == 4 and sidecar['fingerprint'] == fingerprint(job)
    stamp = os.stat(path).st_mtime_ns
    ensure_checkpoint(job, path)
    assert len(toy_student.BUILT) == built and os.stat(path).st_mtime_ns == stamp


@pytest.fixture
def interrupted(job, tmp_path, monkeypatch):
    """A training stopped in its third update: its path, and one entry an update from then on."""
    path = str(tmp_path / 'toy.pth')
    calls = []
    step = toy_student.ToyStudent.train_step

    def stop_at_three(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(toy_student.ToyStudent, 'train_step', stop_at_three)
    with pytest.raises(KeyboardInterrupt):
        ensure_checkpoint(job, path)
    return path, calls


def test_an_interrupted_training_goes_on(job, interrupted):
    path, calls = interrupted
    assert not osp.exists(path)
    ensure_checkpoint(job, path)
    assert len(calls) == 3 + 2  # from the checkpoint after two updates


@pytest.mark.parametrize('spoil, updates', [
    ('checkpoint', 4), ('pointer', 2), ('both', 4), ('fingerprint.txt', 4)])
def test_damage_to_an_interrupted_training_heals(job, interrupted, tmp_path, spoil, updates):
    """The only checkpoint, after two updates, or what names it; both are needed to resume."""
    path, calls = interrupted
    folder = tmp_path / 'toy_train'
    if spoil in ('checkpoint', 'both'):
        os.truncate(folder / 'iter_2.pth', 300)
    if spoil in ('pointer', 'both'):
        (folder / 'last_checkpoint').write_bytes(b'\xff\0nothing')
    if spoil == 'fingerprint.txt':
        (folder / spoil).write_bytes(b'\xff\xfe')
    ensure_checkpoint(job, path)
    assert len(calls) == 3 + updates
    assert torch.load(path, weights_only=True)['state_dict']['weight'].item() == 3.
    assert (folder / 'iter_2.pth.damaged').exists() == (spoil in ('checkpoint', 'both'))
    assert (folder / 'last_checkpoint.damaged').exists() == (spoil in ('pointer', 'both'))


def test_seconds_of_a_training_add_up_over_restarts(job, tmp_path, monkeypatch):
    path, calls = str(tmp_path / 'toy.pth'), []
    step = toy_student.ToyStudent.train_step

    def slow_then_killed(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        time.sleep(2. if len(calls) == 1 else 0.)
        return step(self, *args, **kwargs)

    monkeypatch.setattr(toy_student.ToyStudent, 'train_step', slow_then_killed)
    monkeypatch.setattr(train_cost_hook, 'count_passes', lambda model: 10 * len(calls))
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        ensure_checkpoint(job, path)
    ensure_checkpoint(job, path)
    record = read_record(path)
    assert 2. < record['seconds'] < time.perf_counter() - begin and record['updates'] == 4
    # Two updates before the checkpoint, the lost third one aside two after it.
    assert record['denoiser_passes'] == 10 * 4
    assert record['peak_memory_mib']['host'] > 10
    assert read_record(str(tmp_path / 'other.pth')) is None


def test_a_training_of_another_config_is_not_resumed(job, tmp_path, monkeypatch):
    path = str(tmp_path / 'toy.pth')
    ensure_checkpoint(job, path)
    os.rename(path, tmp_path / 'old.pth')
    job['optim_wrapper']['optimizer']['lr'] = 0.5
    ensure_checkpoint(job, path)
    weight = torch.load(path, weights_only=True)['state_dict']['weight'].item()
    assert weight == pytest.approx(3 * (1 - 0.5**4))


def test_a_checkpoint_of_another_config_is_reported(job, tmp_path, capsys):
    path = str(tmp_path / 'toy.pth')
    ensure_checkpoint(job, path)
    capsys.readouterr()
    ensure_checkpoint(job, path)
    assert 'another version' not in ''.join(capsys.readouterr())
    ensure_checkpoint(job, path, {'model.start': 1.})
    assert ''.join(capsys.readouterr()).count('another version of a config dict') == 1


def test_weights_at_an_address_are_downloaded_once(job, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    path = tmp_path / 'toy.pth'
    ensure_checkpoint(job, str(path))
    found = ensure_checkpoint(job, path.as_uri())
    assert found == local_path(path.as_uri()) == str(tmp_path / 'home/hub/checkpoints/toy.pth')
    with open(found, 'rb') as copy:
        assert copy.read() == path.read_bytes()
    path.unlink()
    assert ensure_checkpoint(job, path.as_uri()) == found
    with pytest.raises(ValueError, match='gone.pth cannot be downloaded'):
        ensure_checkpoint(job, (tmp_path / 'gone.pth').as_uri())


@pytest.mark.parametrize('content', [b'', b'not a checkpoint', b'PK\x03\x04 truncated'])
def test_a_corrupt_checkpoint_is_one_line(job, tmp_path, content):
    path = tmp_path / 'toy.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='toy.pth is not a readable checkpoint') as caught:
        ensure_checkpoint(job, str(path))
    assert '\n' not in str(caught.value)
    assert path.read_bytes() == content


def test_a_checkpoint_without_weights_is_refused(tmp_path):
    torch.save([1], tmp_path / 'list.pth')
    with pytest.raises(ValueError, match='holds no weights'):
        read_checkpoint(str(tmp_path / 'list.pth'))


def test_prepare_builds_in_order(job, tmp_path):
    config = tmp_path / 'toy.py'
    Config(job).dump(str(config))
    steps = [dict(type='DigitScenes', root=str(tmp_path / 'scenes'), num_scenes=dict(train=1),
                  num_singles=dict(train=1)),
             dict(type='mmdd.TrainedCheckpoint', config=str(config),
                  checkpoint=str(tmp_path / 'toy.pth'), cfg_options={'model.start': 2.})]
    prepare(dict(prepare=steps))
    assert osp.isfile(tmp_path / 'scenes' / 'VOC2007' / 'JPEGImages' / 'train_000000.jpg')
    assert osp.isfile(tmp_path / 'toy.pth')
    prepare(dict())


def test_jobs_that_start_at_once_build_once(tmp_path, monkeypatch):
    written = []
    original = DigitScenes._write_scene

    def slow(self, split, index):
        written.append(index)
        time.sleep(0.2)
        original(self, split, index)

    monkeypatch.setattr(DigitScenes, '_write_scene', slow)
    root = tmp_path / 'scenes'
    steps = [dict(type='DigitScenes', root=str(root), num_scenes=dict(train=2),
                  num_singles=dict(train=0), size=32)]
    with ThreadPoolExecutor(2) as pool:
        for job in [pool.submit(prepare, dict(prepare=steps)) for _ in range(2)]:
            job.result()
    assert sorted(written) == [0, 1]
    assert sorted(os.listdir(root)) == ['VOC2007', 'digit_scenes.txt']


def test_a_folder_that_is_refused_is_left_as_it_was(tmp_path):
    (tmp_path / 'VOC2007').mkdir()
    with pytest.raises(ValueError, match='give another root'):
        prepare(dict(prepare=[dict(type='DigitScenes', root=str(tmp_path))]))
    assert os.listdir(tmp_path) == ['VOC2007']


def test_prepare_wants_something_to_build():
    with pytest.raises(ValueError, match=r'BalancedLabelSampler has no build\(\) method'):
        prepare(dict(prepare=[dict(type='BalancedLabelSampler')]))
