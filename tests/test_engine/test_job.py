"""What identifies a job: by what its files say, not by where they lie."""
import shutil

import pytest
import tiny
from mmengine.config import Config

from mmdd.engine.job import describe_parts
from mmdd.engine.journal import Journal


@pytest.fixture
def job(digits, tmp_path):
    """A job whose proxy is a file that inherits from another one."""
    base = tmp_path / 'base.py'
    Config(tiny.classifier_job(digits)).dump(str(base))
    (tmp_path / 'proxy.py').write_text("_base_ = './base.py'\nmax_iters = 3\n")
    cfg = Config(tiny.distill_job(digits, 'nowhere.pth'))
    cfg.model.proxy.cfg = str(tmp_path / 'proxy.py')
    return cfg


def test_the_proxy_counts_by_the_content_of_its_config(job, tmp_path):
    before = describe_parts(job)
    folder = shutil.copytree(tmp_path, tmp_path.parent / f'{tmp_path.name}_copy')
    job.model.proxy.cfg = str(folder / 'proxy.py')
    assert describe_parts(job) == before
    with open(folder / 'base.py', 'a') as f:
        f.write('# a remark\n')
    assert describe_parts(job) == before
    with open(folder / 'base.py', 'a') as f:  # the file that the config names is the same
        f.write("train_cfg['max_iters'] = 77\n")
    after = describe_parts(job)
    assert [key for key in before if before[key] != after[key]] == ['proxy']
    job.model.proxy.cfg = str(folder / 'gone.py')
    with pytest.raises(FileNotFoundError, match='gone.py'):
        describe_parts(job)


def test_settings_of_speed_and_memory_do_not_count(job):
    before = describe_parts(job)
    job.model.diffusion.update(compile=True, gradient_checkpointing=True, channels_last=True)
    job.train_cfg.batch_size = 'auto'
    assert describe_parts(job) == before
    job.model.diffusion.steps = 7
    assert describe_parts(job)['diffusion'] != before['diffusion']


def test_how_kept_images_are_decoded_counts_in_half_precision(job, tmp_path):
    """Also where the config leaves it to the default: earlier versions had another one."""
    prior = job.model.diffusion
    prior.dtype = 'bf16'
    default = describe_parts(job)
    prior.final_dtype = 'fp32'
    assert describe_parts(job) == default
    prior.final_dtype = 'auto'
    rough = describe_parts(job)
    assert [key for key in default if default[key] != rough[key]] == ['final_dtype']
    earlier = {key: value for key, value in default.items() if key != 'final_dtype'}
    journal = Journal(str(tmp_path / 'distilled'))
    journal.open(dict(earlier, fingerprint='x'), resume=False)
    (tmp_path / 'distilled/_job/attempts/000000_r0.json').write_text('{}')
    with pytest.raises(ValueError, match='of another config .other final_dtype.'):
        journal.check(default, resume=True)


def test_how_kept_images_are_decoded_does_not_count_in_fp32(job):
    prior = job.model.diffusion
    found = []
    for settings in (dict(), dict(final_dtype='fp32'), dict(final_dtype='auto')):
        prior.update(dict(settings, dtype='fp32'))
        found.append(describe_parts(job))
    assert found[0] == found[1] == found[2] and 'final_dtype' not in found[0]


def test_a_guidance_under_default_hooks_counts(job):
    """As under custom_hooks: the Runner registers both."""
    before = describe_parts(job)
    job.default_hooks.mine = dict(type='TaskGuidanceHook', scale=7.)
    first = describe_parts(job)
    job.default_hooks.mine.scale = 8.
    second = describe_parts(job)
    assert len({parts['custom_hooks'] for parts in (before, first, second)}) == 3
    job.default_hooks.pop('mine')
    job.default_hooks.logger.interval = 77
    assert describe_parts(job) == before
