"""What dist_*.sh and slurm_*.sh start."""
import os
import os.path as osp
import subprocess

import pytest

TOOLS = osp.join(osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__)))), 'tools')


@pytest.fixture
def started(tmp_path):
    """Run a script; gives the command that it hands to srun or Python."""
    for name in ('srun', 'python'):
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\necho {name} "$@"\n')
        path.chmod(0o755)

    def run(script, *arguments, **environment):
        done = subprocess.run(
            [osp.join(TOOLS, script), *arguments], text=True, capture_output=True,
            env=dict(PATH=f'{tmp_path}:{os.environ["PATH"]}', **environment))
        return done.returncode, (done.stdout or done.stderr).split()
    return run


@pytest.mark.parametrize('tool', ['distill', 'train'])
def test_slurm_on_gpus(started, tool):
    code, words = started(f'slurm_{tool}.sh', 'part', 'name', 'c.py', '--resume', GPUS='16',
                          SRUN_ARGS='--time=5 -w n1')
    assert code == 0 and words == [
        'srun', '-p', 'part', '--job-name=name', '--ntasks=16', '--cpus-per-task=5',
        '--gres=gpu:8', '--ntasks-per-node=8', '--kill-on-bad-exit=1', '--time=5', '-w', 'n1',
        'python', '-u', f'{TOOLS}/{tool}.py', 'c.py', '--launcher', 'slurm', '--resume']
    words = started(f'slurm_{tool}.sh', 'part', 'name', 'c.py', GPUS='2')[1]
    assert {'--ntasks=2', '--gres=gpu:2', '--ntasks-per-node=2'} <= set(words)


def test_slurm_on_cpus_asks_for_no_gpus(started):
    code, words = started('slurm_distill.sh', 'part', 'name', 'c.py', GPUS='0', TASKS='4',
                          CPUS_PER_TASK='1')
    assert code == 0 and '--ntasks=4' in words and '--cpus-per-task=1' in words
    assert not any('gres' in word or 'per-node' in word for word in words)
    code, words = started('slurm_distill.sh', 'part', 'name', 'c.py', GPUS='0')
    assert code == 2 and ' '.join(words) == (
        'error: GPUS=0 needs TASKS, the number of processes')


@pytest.mark.parametrize('tool', ['distill', 'train'])
def test_processes_of_one_machine_meet_at_a_free_port(started, tool):
    code, words = started(f'dist_{tool}.sh', 'c.py', '4', '--resume')
    assert code == 0 and words == [
        'python', '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=4',
        f'{TOOLS}/{tool}.py', 'c.py', '--launcher', 'pytorch', '--resume']


@pytest.mark.parametrize('environment, meeting', [
    (dict(PORT='29511'), ['--nnodes=1', '--node_rank=0', '--master_addr=127.0.0.1',
                          '--master_port=29511']),
    (dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='n1'),
     ['--nnodes=2', '--node_rank=1', '--master_addr=n1', '--master_port=29500'])])
def test_several_machines_meet_where_they_are_told(started, environment, meeting):
    words = started('dist_distill.sh', 'c.py', '4', **environment)[1]
    assert words[3:7] == meeting


@pytest.mark.parametrize('script, least', [
    ('dist_distill.sh', 2), ('dist_train.sh', 2), ('slurm_distill.sh', 3), ('slurm_train.sh', 3)])
def test_too_few_arguments_print_the_usage(started, script, least):
    code, words = started(script, *['x'] * (least - 1))
    assert code == 2 and words[:2] == ['usage:', f'tools/{script}']


def test_the_batch_script_outside_of_slurm_prints_the_usage(started):
    code, words = started('slurm_batch.sh', 'distill', 'c.py')
    assert code == 2 and ' '.join(words).startswith('usage, in the repository: sbatch')


def test_the_batch_script_resumes_with_the_cores_of_its_job(started, tmp_path):
    (tmp_path / 'srun').write_text('#!/bin/sh\necho $SRUN_CPUS_PER_TASK "$@"\n')
    code, words = started('slurm_batch.sh', 'train', 'c.py', '--seed', '1', SLURM_JOB_ID='7',
                          SLURM_CPUS_PER_TASK='3')
    assert code == 0 and words == [
        '3', '--kill-on-bad-exit=1', 'python', '-u', 'tools/train.py', 'c.py', '--launcher',
        'slurm', '--resume', '--seed', '1']


def test_tasks_of_an_array_are_shards(started):
    task = dict(SLURM_JOB_ID='9', SLURM_ARRAY_TASK_ID='3', SLURM_ARRAY_TASK_COUNT='64')
    code, words = started('slurm_batch.sh', 'distill', 'c.py', '--work-dir', 'w', **task)
    assert code == 0 and words[-7:] == [
        '--launcher', 'slurm', '--resume', '--shard', '3/64', '--work-dir', 'w']
    again = dict(task, SLURM_ARRAY_TASK_COUNT='1', SHARDS='64')
    assert started('slurm_batch.sh', 'distill', 'c.py', **again)[1][-1] == '3/64'
    code, words = started('slurm_batch.sh', 'train', 'c.py', **task)
    assert code == 2 and ' '.join(words).startswith('error: tasks of an array job share')
