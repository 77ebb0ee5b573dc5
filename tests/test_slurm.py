"""A distillation on a real Slurm: two tasks, cancelled or requeued in the middle, resumed."""
import os.path as osp
import shutil
import subprocess
import sys
import tempfile
import time

import pytest
import slurm_cluster
import tiny
import torch
from distilled import files, manifest
from mmengine.config import Config
from torch.testing import assert_close

from mmdd.apis import distill

pytestmark = [
    pytest.mark.slurm, pytest.mark.slow,
    pytest.mark.skipif(bool(slurm_cluster.missing()), reason=slurm_cluster.missing())]

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
NUM = 12
PAUSE = '''
import time

from mmengine.hooks import Hook

from mmdd.registry import HOOKS


@HOOKS.register_module()
class Pause(Hook):
    """Gives Slurm the time to cancel a job that would take no time."""

    def after_distill_iter(self, runner, samples):
        time.sleep(2)
'''


@pytest.fixture(scope='module')
def slurm():
    """Environment of commands that talk to the cluster."""
    folder = tempfile.mkdtemp(prefix='slurm')
    try:
        with slurm_cluster.cluster(folder) as environment:
            yield dict(environment, PYTHON=sys.executable, PYTHONPATH=ROOT, OMP_NUM_THREADS='1',
                       GPUS='0', TASKS='2', CPUS_PER_TASK='1')
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope='module')
def config(digits, tmp_path_factory):
    """A job that trains its proxy first."""
    folder = tmp_path_factory.mktemp('config')
    (folder / 'slurm_pause.py').write_text(PAUSE)
    cfg = tiny.distill_job(digits, total=NUM)
    cfg['custom_hooks'] += [dict(type='Pause')]
    cfg['custom_imports'] = dict(imports='slurm_pause')
    Config(cfg).dump(str(folder / 'job.py'))
    return str(folder / 'job.py')


@pytest.fixture(scope='module')
def whole(config, tmp_path_factory):
    """The set that one process makes, without Slurm."""
    return distill(config, str(tmp_path_factory.mktemp('whole')))


def contents(folder):
    """Bytes of the files of a set, and what its manifest says of the images but for seconds."""
    told = manifest(folder)
    for entry in told['images']:
        entry.pop('seconds')
    assert len(told['images']) == NUM
    return files(folder), told['images'], told['sha256']


def proxy(folder):
    """Weights of the proxy that was trained for a set."""
    path = osp.join(osp.dirname(folder), 'proxy.pth')
    return torch.load(path, weights_only=True)['state_dict']


def attempts(work_dir):
    """Modification times of the finished attempts of a job."""
    folder = work_dir / 'distilled/_job/attempts'
    return {path.name: path.stat().st_mtime_ns for path in folder.glob('*.json')}


def wait_for(condition, seconds=600):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline
        time.sleep(.1)


def test_cancelled_and_resumed(slurm, config, whole, tmp_path):
    command = [osp.join(ROOT, 'tools/slurm_distill.sh'), 'cpu', 'mine', config, '--work-dir',
               str(tmp_path)]
    job = subprocess.Popen(command, cwd=ROOT, env=slurm, text=True, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
    wait_for(lambda: attempts(tmp_path) or job.poll() is not None)
    subprocess.run(['scancel', '--name=mine'], env=slurm, check=True)
    out, _ = job.communicate(timeout=600)
    kept = attempts(tmp_path)
    assert job.returncode != 0 and 0 < len(kept) < NUM, out[-2000:]
    assert out.count('terminated: what is finished is on disk, add --resume to resume it') == 1
    done = subprocess.run([*command, '--resume'], cwd=ROOT, env=slurm, text=True, timeout=600,
                          capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert contents(tmp_path / 'distilled') == contents(whole)
    assert_close(proxy(tmp_path / 'distilled'), proxy(whole), rtol=0, atol=0)


def test_a_batch_job_resumes_when_it_is_requeued(slurm, config, whole, tmp_path):
    job = subprocess.run(
        ['sbatch', '--parsable', '-p', 'cpu', '-n', '2', '-o', str(tmp_path / 'out.log'),
         osp.join(ROOT, 'tools/slurm_batch.sh'), 'distill', config, '--work-dir', str(tmp_path)],
        cwd=ROOT, env=slurm, text=True, capture_output=True, check=True).stdout.strip()

    def state():
        return subprocess.run(['squeue', '-h', '-t', 'all', '-j', job, '-o', '%T'], env=slurm,
                              text=True, capture_output=True).stdout.strip()

    wait_for(lambda: attempts(tmp_path) or state() not in ('PENDING', 'RUNNING'))
    subprocess.run(['scancel', '--batch', '--signal=USR1', job], env=slurm, check=True)
    wait_for(lambda: state() not in ('RUNNING', 'COMPLETING'))
    kept = attempts(tmp_path)
    assert 0 < len(kept) < NUM and state() in ('PENDING', 'REQUEUED')
    wait_for(lambda: state() in ('COMPLETED', 'FAILED', 'CANCELLED', ''))
    assert state() == 'COMPLETED', (tmp_path / 'out.log').read_text()[-2000:]
    assert contents(tmp_path / 'distilled') == contents(whole)
