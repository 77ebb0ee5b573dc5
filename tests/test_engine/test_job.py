"""What identifies a job: by what its files say, not by where they lie."""
import shutil

import pytest
import tiny
from mmengine.config import Config

from mmdd.engine.job import describe_parts


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
