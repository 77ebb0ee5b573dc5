"""Where a process stands among those of a launcher, in the variables that torch reads."""
import os
import re
import zlib
from typing import Dict, Mapping

# Below those that Linux hands out by itself; two jobs on one node get different ones.
FIRST_PORT, NUM_PORTS = 20000, 12000
TORCH_VARIABLES = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
MPI = 'OMPI_COMM_WORLD_'


def export_ranks(launcher: str) -> None:
    """Set RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT as ``torchrun`` does.

    MASTER_ADDR and MASTER_PORT stay as they are where they are set. LOCAL_RANK is the number
    of a GPU that this process sees: one that is bound to its GPU sees no other.

    Args:
        launcher: 'pytorch' (they are there already), 'slurm' or 'mpi'.

    Raises:
        ValueError: If the launcher is unknown or did not start this process.
    """
    if launcher == 'pytorch':
        _check(os.environ, TORCH_VARIABLES, 'pytorch',
               'start the processes with torchrun, see tools/dist_distill.sh')
        return
    if launcher not in ('slurm', 'mpi'):
        raise ValueError(f"launcher must be 'none', 'pytorch', 'slurm' or 'mpi', got {launcher!r}")
    import torch
    variables = (slurm_variables if launcher == 'slurm' else mpi_variables)(os.environ)
    gpus = torch.cuda.device_count()
    if gpus:
        variables['LOCAL_RANK'] = str(int(variables['LOCAL_RANK']) % gpus)
    for name in ('MASTER_ADDR', 'MASTER_PORT'):
        variables[name] = os.environ.get(name, variables[name])
    os.environ.update(variables)


def slurm_variables(environment: Mapping[str, str]) -> Dict[str, str]:
    """torch's variables of a task of ``srun``.

    Raises:
        ValueError: If this is no task of ``srun``: a batch script is none.
    """
    _check(environment, ('SLURM_STEP_ID', 'SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
           'slurm', 'start the processes with srun, see tools/slurm_distill.sh')
    nodes = environment.get('SLURM_STEP_NODELIST') or environment.get('SLURM_NODELIST', '')
    alone = environment.get('SLURM_STEP_NUM_NODES', environment.get('SLURM_NNODES')) == '1'
    # Steps of one job may run at once, too.
    job = 10 * int(environment['SLURM_JOB_ID']) + int(environment['SLURM_STEP_ID'])
    return dict(
        RANK=environment['SLURM_PROCID'], WORLD_SIZE=environment['SLURM_NTASKS'],
        LOCAL_RANK=environment['SLURM_LOCALID'],
        MASTER_ADDR='127.0.0.1' if alone else first_node(nodes), MASTER_PORT=str(port_of(job)))


def mpi_variables(environment: Mapping[str, str]) -> Dict[str, str]:
    """torch's variables of a process of Open MPI's ``mpirun``.

    Raises:
        ValueError: If this is none, or if MASTER_ADDR is missing on several machines.
    """
    names = [MPI + name for name in ('RANK', 'SIZE', 'LOCAL_RANK', 'LOCAL_SIZE')]
    _check(environment, names, 'mpi', 'start the processes with mpirun of Open MPI')
    rank, size, local_rank, local_size = (environment[name] for name in names)
    if size != local_size:
        _check(environment, ['MASTER_ADDR'], 'mpi',
               'on several machines set it to the name of the one with rank 0, and hand it on '
               'with mpirun -x MASTER_ADDR')
    job = environment.get('PMIX_NAMESPACE') or environment.get('OMPI_MCA_ess_base_jobid', '')
    return dict(RANK=rank, WORLD_SIZE=size, LOCAL_RANK=local_rank, MASTER_ADDR='127.0.0.1',
                MASTER_PORT=str(port_of(zlib.crc32(job.encode()))))


def first_node(nodes: str) -> str:
    """The first host of one of Slurm's lists: ``a3`` of ``a[3-5,9],b1``."""
    return re.sub(r'\[(\w+)[^]]*\]', r'\1', nodes).split(',')[0]


def port_of(job: int) -> int:
    """The TCP port where the processes of a job meet."""
    return FIRST_PORT + job % NUM_PORTS


def _check(environment: Mapping[str, str], names, launcher: str, fix: str) -> None:
    absent = [name for name in names if not environment.get(name)]
    if absent:
        raise ValueError(f'launcher {launcher!r}: {absent[0]} is not set: {fix}')
