"""Tools and scripts in processes of their own.

They are forked from the server of :mod:`mmdd.utils.pool`, which has imported what jobs need: that
takes longer than most jobs of the tests. Memory, settings, arguments, folder and crashes are
their own, as in a process that starts from nothing.
"""
import gc
import os
import os.path as osp
import runpy
import socket
import sys
import tempfile
import time

from mmdd.utils.pool import worker_context

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))


class Started:
    """A script that runs, the leader of a process group.

    Args:
        script: Its path in the repository or from the root.
        arguments: What follows on its command line.
        cwd: Its working directory.
        environment: Variables that it has besides those of this process.
    """

    def __init__(self, script, *arguments, cwd=ROOT, **environment):
        self._log = tempfile.NamedTemporaryFile()
        self.process = worker_context().Process(target=_main, args=(
            self._log.name, [osp.join(ROOT, script), *map(str, arguments)], str(cwd),
            dict(os.environ, **environment)))
        self.process.start()

    @property
    def output(self):
        """Everything that it has printed."""
        with open(self._log.name, errors='replace') as f:
            return f.read()

    def wait(self, timeout=300):
        """Its exit code, that of :mod:`subprocess`."""
        self.process.join(timeout)
        if self.process.is_alive():
            self.process.kill()
            raise AssertionError(f'not done after {timeout} s: {self.output[-2000:]}')
        return self.process.exitcode


def _main(log, argv, cwd, environment):
    os.setsid()
    out = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = argv
    import torch
    from quick_jobs import skip_layout_of_configs
    torch.set_num_threads(1)
    gc.freeze()
    skip_layout_of_configs()
    runpy.run_path(argv[0], run_name='__main__')


def finish(*started):
    """Wait for scripts that succeed; what they printed, one after the other."""
    codes = [each.wait() for each in started]
    output = '\n'.join(each.output for each in started)
    assert not any(codes), output[-2000:]
    return output


def run(script, *arguments, **kwargs):
    """Run a script that succeeds; what it printed."""
    return finish(Started(script, *arguments, **kwargs))


def is_running(pid):
    """Whether a process is there, whoever started it, and not only waited for."""
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


def ends(pid, seconds=20):
    """Whether a process, whoever started it, is gone within some seconds."""
    deadline = time.monotonic() + seconds
    while is_running(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(.05)
    return True


def start_ranks(script, *arguments, ranks=2):
    """Start a script in processes of one group, as ``torchrun`` does."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    return [
        Started(script, *arguments, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(ranks),
                MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port)) for rank in range(ranks)]


def run_ranks(script, *arguments, ranks=2):
    """Run a script that succeeds in such processes; what they printed."""
    return finish(*start_ranks(script, *arguments, ranks=ranks))


def distill_by_ranks(config, folder, plugin):
    """Distill in two ranks, into ``two`` of a folder, with a module of that folder imported."""
    config['custom_imports'] = dict(imports=[plugin], allow_failed_imports=False)
    with open(osp.join(folder, 'config.py'), 'w') as f:
        f.writelines(f'{key} = {value!r}\n' for key, value in config.items())
    run_ranks('tools/distill.py', osp.join(folder, 'config.py'), '--work-dir',
              osp.join(folder, 'two'), '--launcher', 'pytorch')
