"""A Slurm cluster of this machine alone: munged, slurmctld and slurmd on the loopback."""
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager

DAEMONS = ('munged', 'slurmctld', 'slurmd', 'srun', 'sbatch', 'scancel', 'scontrol')
CPUS = 8

CONFIG = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SchedulerParameters=sched_interval=1,batch_sched_delay=0,requeue_setup_env_fail
KillWait=5
ReturnToService=2
NodeName=loopback0 NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=cpu Nodes=loopback0 Default=YES MaxTime=INFINITE State=UP
"""


def find(program):
    """Path of a program, daemons included, or None."""
    return shutil.which(program, path=os.environ.get('PATH', '') + ':/usr/sbin:/usr/local/sbin')


def missing():
    """Why no cluster can be started here; '' where one can."""
    absent = [program for program in DAEMONS if find(program) is None]
    if absent:
        return f'{", ".join(absent)} not found: apt-get install slurm-wlm munge'
    return '' if os.geteuid() == 0 else 'slurmd needs root'


@contextmanager
def cluster(folder):
    """Environment of the commands of a running cluster with one node and one partition 'cpu'.

    Args:
        folder: Where its keys, logs and state go; a short path, since it holds a socket.
    """
    folder, daemons = str(folder), []
    for name in ('state', 'spool'):
        os.makedirs(os.path.join(folder, name))
    with open(os.path.join(folder, 'slurm.conf'), 'w') as f:
        f.write(CONFIG.format(folder=folder, host=socket.gethostname(), ports=free_ports(2),
                              user='root', cpus=CPUS))
    key = os.path.join(folder, 'munge.key')
    with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o400), 'wb') as f:
        f.write(os.urandom(1024))
    environment = dict(os.environ, SLURM_CONF=os.path.join(folder, 'slurm.conf'))
    try:
        daemons.append(subprocess.Popen([
            find('munged'), '--foreground', '--force', f'--key-file={key}',
            *(f'--{what}={folder}/munge.{suffix}' for what, suffix in (
                ('socket', 'socket'), ('pid-file', 'pid'), ('log-file', 'log'),
                ('seed-file', 'seed')))], stderr=subprocess.DEVNULL))
        wait_for(lambda: os.path.exists(f'{folder}/munge.socket'), 'munged', folder)
        for command in (['slurmctld', '-D'], ['slurmd', '-D', '-N', 'loopback0']):
            daemons.append(subprocess.Popen(
                [find(command[0]), *command[1:]], env=environment, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL))
        wait_for(lambda: 'idle' in subprocess.run(
            ['sinfo', '-h', '-o', '%T'], env=environment, capture_output=True, text=True).stdout,
            'slurmd', folder)
        yield environment
    finally:
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)


def wait_for(condition, what, folder, seconds=60):
    """Wait until a condition holds."""
    deadline = time.time() + seconds
    while not condition():
        if time.time() > deadline:
            raise TimeoutError(f'{what} is not up after {seconds} s; its log is in {folder}')
        time.sleep(.1)


def free_ports(number):
    """TCP ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(('127.0.0.1', 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
