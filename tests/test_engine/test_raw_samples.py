"""A job that only refines the images of another one takes them over."""
import json
import os
import os.path as osp
import shutil

import pytest
import tiny

from mmdd.apis import distill
from mmdd.benchmark.set_jobs import plan_sets
from mmdd.benchmark.suite import load_groups
from mmdd.engine.raw_samples import RawSamples
from mmdd.structures import DistillSlot
from mmdd.utils.state import load_state, write_state


@pytest.fixture(scope='module')
def methods(digits, detector_checkpoint, tmp_path_factory):
    """Configs without and with refinement, and the finished set of the first."""
    refined = tiny.distill_job(digits, detector_checkpoint, total=3, threshold=0.6, max_rounds=2)
    plain = tiny.distill_job(digits, detector_checkpoint, total=3)
    plain['model']['refiners'] = []
    for config in (plain, refined):  # proposals of a barely trained detector flip by round-off
        config['model']['proxy']['terms'] = dict(rpn_cls=1., rpn_bbox=1.)
    folder = distill(plain, str(tmp_path_factory.mktemp('raw') / 'plain'))
    return plain, refined, folder


def read(folder):
    with open(osp.join(folder, 'manifest.json')) as f:
        return json.load(f)


def test_the_same_set_without_denoising_twice(methods, tmp_path, monkeypatch):
    _, refined, folder = methods
    expected = read(distill(refined, str(tmp_path / 'anew')))
    batches = []
    sample = 'mmdd.models.diffusions.base.BaseDiffusion.sample'
    from mmdd.models.diffusions.base import BaseDiffusion
    original = BaseDiffusion.sample
    monkeypatch.setattr(sample, lambda self, slots, **kwargs: (
        batches.append([(slot.id, slot.round) for slot in slots]),
        original(self, slots, **kwargs))[1])
    found = read(distill(refined, str(tmp_path / 'reused'),
                         cfg_options={'train_cfg.reuse': folder}))
    assert found['sha256'] == expected['sha256']
    assert [e['score'] for e in found['images']] == [e['score'] for e in expected['images']]
    # What is new are the second attempts alone.
    assert all(round == 1 for batch in batches for _, round in batch)
    first = [entry for entry in found['images'] if entry['round'] == 0]
    assert all(entry['stats']['reused'] == 1 for entry in first)


def test_damaged_images_are_made_anew(methods, tmp_path, monkeypatch):
    """And left where they are: they belong to another job, which may run."""
    _, refined, folder = methods
    expected = read(distill(refined, str(tmp_path / 'whole'),
                            cfg_options={'train_cfg.reuse': folder}))
    folder = shutil.copytree(folder, tmp_path / 'copy')
    (folder / '_job/attempts/000001_r0.png').write_bytes(b'half')
    before = sorted(os.listdir(folder / '_job/attempts'))
    found = read(distill(refined, str(tmp_path / 'part'),
                         cfg_options={'train_cfg.reuse': str(folder)}))
    assert found['sha256'] == expected['sha256']
    assert sorted(os.listdir(folder / '_job/attempts')) == before
    (folder / '_job/plan.jsonl').write_bytes(b'')
    found = read(distill(refined, str(tmp_path / 'none'),
                         cfg_options={'train_cfg.reuse': str(folder)}))
    assert found['sha256'] == expected['sha256']
    assert not any('reused' in entry.get('stats', {}) for entry in found['images'])


@pytest.mark.parametrize('spoil', ['guidance', 'refined', 'nothing there'])
def test_other_images_are_refused(methods, digits, tmp_path, spoil):
    _, refined, folder = methods
    if spoil == 'guidance':
        refined = dict(refined, custom_hooks=[dict(type='TaskGuidanceHook', scale=6.)])
    elif spoil == 'nothing there':
        folder = str(tmp_path / 'nothing')
    else:
        folder = shutil.copytree(folder, tmp_path / 'copy')
        path = osp.join(folder, '_job', 'job.json')
        write_state(path, dict(load_state(path), refined=True))
    with pytest.raises(ValueError, match='train_cfg.reuse: '):
        distill(refined, str(tmp_path / 'work'), cfg_options={'train_cfg.reuse': str(folder)})


def test_a_benchmark_finds_the_methods(methods, tmp_path):
    plain, refined, _ = methods
    other = dict(refined, custom_hooks=[dict(type='TaskGuidanceHook', scale=6.)])
    configs = {}
    for name, config in (('context', plain), ('unidd', refined), ('strong', other)):
        configs[name] = str(tmp_path / f'{name}.py')
        config = dict(config, evaluation=dict(protocol='configs/_base_/protocols/det_digits.py'))
        with open(configs[name], 'w') as f:
            f.writelines(f'{key} = {value!r}\n' for key, value in config.items())
    (_, jobs), = plan_sets(load_groups(configs), str(tmp_path / 'work'), 1)
    bases = {job.method.name: job.base and job.base.method.name for job in jobs}
    assert bases == dict(context=None, unidd='context', strong=None)


def test_failed_attempts_are_taken_over_as_such(methods, tmp_path):
    folder = shutil.copytree(methods[2], tmp_path / 'copy')
    raw = RawSamples(str(folder), read(folder)['job']['raw_samples'])
    slots = [DistillSlot.from_dict(entry) for entry in raw.journal.read_plan()]
    failed = raw.journal.load_sample(slots[1], (1, 0))
    failed.fail('black')
    raw.journal.write(failed)
    os.unlink(folder / '_job/attempts/000001_r0.png')
    found = raw.find(slots)
    assert [sample.failure for sample in found] == ['', 'black', '']
    assert [sample.image is None for sample in found] == [False, True, False]
