"""The variables of Slurm and MPI as those of torch."""
import os

import processes
import pytest
import torch
from mmengine.config import Config

from mmdd.utils.launcher import (
    FIRST_PORT,
    TORCH_VARIABLES,
    export_ranks,
    first_node,
    mpi_variables,
    slurm_variables,
)
from mmdd.utils.runner import init_launcher

# As srun of Slurm 22.05 gives them to the second of two tasks on the second of two nodes.
TASK = dict(SLURM_JOB_ID='4711', SLURM_STEP_ID='0', SLURM_PROCID='3', SLURM_NTASKS='4',
            SLURM_LOCALID='1', SLURM_NODELIST='gpu[01-09]', SLURM_STEP_NODELIST='gpu[03-04]',
            SLURM_NNODES='9', SLURM_STEP_NUM_NODES='2')
PROCESS = dict(OMPI_COMM_WORLD_RANK='1', OMPI_COMM_WORLD_SIZE='2', OMPI_COMM_WORLD_LOCAL_RANK='1',
               OMPI_COMM_WORLD_LOCAL_SIZE='2', PMIX_NAMESPACE='prterun-vm-4711@1')


@pytest.fixture
def environment(monkeypatch):
    """Set variables beside which there are none of a launcher."""
    for name in list(os.environ):
        if name.startswith(('SLURM_', 'OMPI_', 'PMIX_')) or name in TORCH_VARIABLES:
            monkeypatch.delenv(name)
    for name in TORCH_VARIABLES:  # so that what a test exports is taken back
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)

    def put(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
    return put


def exported():
    return {name: os.environ.get(name) for name in TORCH_VARIABLES}


def test_a_task_of_slurm(environment):
    environment(**TASK, LOCAL_RANK='0')  # tools set it for torch.distributed.launch
    export_ranks('slurm')
    assert exported() == dict(RANK='3', WORLD_SIZE='4', LOCAL_RANK='1', MASTER_ADDR='gpu03',
                              MASTER_PORT=str(FIRST_PORT + 47110 % 12000))


def test_tasks_on_one_node_meet_on_the_loopback():
    found = slurm_variables(dict(TASK, SLURM_STEP_NUM_NODES='1'))
    assert found['MASTER_ADDR'] == '127.0.0.1'


def test_jobs_and_steps_have_ports_of_their_own():
    ports = {slurm_variables(dict(TASK, SLURM_JOB_ID=job, SLURM_STEP_ID=step))['MASTER_PORT']
             for job in ('7', '8', '1000') for step in ('0', '1')}
    assert len(ports) == 6
    huge = slurm_variables(dict(TASK, SLURM_JOB_ID='67043327', SLURM_STEP_ID='4294967291'))
    assert 20000 <= int(huge['MASTER_PORT']) < 32000
    one, two = (mpi_variables(dict(PROCESS, PMIX_NAMESPACE=f'prterun-vm-{job}@1'))['MASTER_PORT']
                for job in (1, 2))
    assert one != two


def test_address_and_port_of_the_user_stay(environment):
    environment(**TASK, MASTER_ADDR='10.0.0.3', MASTER_PORT='23456')
    export_ranks('slurm')
    assert (os.environ['MASTER_ADDR'], os.environ['MASTER_PORT']) == ('10.0.0.3', '23456')


@pytest.mark.parametrize('gpus, device', [(0, '5'), (8, '5'), (1, '0')])
def test_the_local_rank_is_a_visible_gpu(environment, monkeypatch, gpus, device):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: gpus)
    environment(**dict(TASK, SLURM_LOCALID='5'))
    export_ranks('slurm')
    assert os.environ['LOCAL_RANK'] == device


@pytest.mark.parametrize('nodes, first', [
    ('vm', 'vm'), ('a[3-5,9],b1', 'a3'), ('a[01,03]b[2-3]', 'a01b2'), ('n-x,n-y', 'n-x')])
def test_first_node(nodes, first):
    assert first_node(nodes) == first


def test_a_process_of_mpirun(environment):
    environment(**PROCESS)
    export_ranks('mpi')
    assert {**exported(), 'MASTER_PORT': ''} == dict(
        RANK='1', WORLD_SIZE='2', LOCAL_RANK='1', MASTER_ADDR='127.0.0.1', MASTER_PORT='')
    assert 20000 <= int(os.environ['MASTER_PORT']) < 32000


BATCH_SCRIPT = {name: TASK[name] for name in TASK if 'STEP' not in name}


@pytest.mark.parametrize('launcher, variables, line', [
    ('slurm', {}, 'SLURM_STEP_ID is not set: start the processes with srun'),
    ('slurm', BATCH_SCRIPT, 'SLURM_STEP_ID is not set: start the processes with srun'),
    ('mpi', {}, 'OMPI_COMM_WORLD_RANK is not set: start the processes with mpirun'),
    ('mpi', dict(PROCESS, OMPI_COMM_WORLD_SIZE='4'), 'MASTER_ADDR is not set: on several'),
    ('pytorch', dict(LOCAL_RANK='0'), 'RANK is not set: start the processes with torchrun'),
    ('pbs', {}, "launcher must be 'none', 'pytorch', 'slurm' or 'mpi', got 'pbs'")])
def test_a_launcher_that_did_not_start_the_process_is_one_line(
        environment, launcher, variables, line):
    environment(**variables)
    with pytest.raises(ValueError, match=line):
        init_launcher(Config(dict(launcher=launcher)))


@pytest.mark.parametrize('launcher, variables', [
    ('slurm', dict(TASK, SLURM_PROCID='0', SLURM_NTASKS='1', SLURM_STEP_NUM_NODES='1')),
    ('mpi', dict(PROCESS, OMPI_COMM_WORLD_RANK='0', OMPI_COMM_WORLD_SIZE='1',
                 OMPI_COMM_WORLD_LOCAL_SIZE='1'))])
def test_on_gpus_the_group_is_that_of_mmengine(environment, monkeypatch, launcher, variables):
    """Device and backend, seen where mmengine asks torch for them."""
    calls = {}
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    monkeypatch.setattr(torch.cuda, 'set_device', lambda i: calls.update(device=i))
    monkeypatch.setattr(torch.distributed, 'init_process_group', lambda **kwargs: calls.update(
        kwargs, rank=os.environ['RANK'], port=os.environ['MASTER_PORT']))
    environment(**variables)
    cfg = Config(dict(launcher=launcher, env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=60))))
    init_launcher(cfg)
    assert calls['device'] == 0 and calls['backend'] == 'nccl' and calls['rank'] == '0'
    assert calls['timeout'].total_seconds() == 60 and 20000 <= int(calls['port']) < 32000
    assert cfg.launcher == 'pytorch' and 'model_wrapper_cfg' not in cfg


MEET = '''
import sys

import torch
import torch.distributed as dist
from mmengine.config import Config

from mmdd.utils.runner import init_launcher

cfg = Config(dict(launcher=sys.argv[1]))
init_launcher(cfg)
total = torch.tensor(dist.get_rank() + 1)
dist.all_reduce(total)
print(dist.get_backend(), dist.get_world_size(), int(total), cfg.model_wrapper_cfg.device_ids)
'''


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='about machines without a GPU')
@pytest.mark.parametrize('launcher, common, own', [
    ('slurm', dict(SLURM_JOB_ID='1', SLURM_STEP_ID='0', SLURM_NTASKS='2', SLURM_STEP_NODELIST='n',
                   SLURM_STEP_NUM_NODES='1'), ('SLURM_PROCID', 'SLURM_LOCALID')),
    ('mpi', PROCESS, ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK'))])
def test_processes_on_cpus_meet(environment, tmp_path, launcher, common, own):
    (tmp_path / 'meet.py').write_text(MEET)
    ranks = [processes.Started(tmp_path / 'meet.py', launcher, **{
        **common, **dict.fromkeys(own, str(rank)), 'LOCAL_RANK': '0'}) for rank in range(2)]
    assert [rank.wait() for rank in ranks] == [0, 0]
    assert [rank.output.splitlines()[-1] for rank in ranks] == ['gloo 2 3 None'] * 2
