"""What a job runs on and which version of the code it runs."""
import os
import os.path as osp
import platform
import subprocess
from typing import Any, Dict, Optional

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))


def machine_facts() -> Dict[str, Any]:
    """Processor, cores, memory and GPUs; no names of hosts, users or folders."""
    import psutil
    import torch
    facts: Dict[str, Any] = dict(
        system=f'{platform.system()} {platform.machine()}', cpu=cpu_name(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity')
        else os.cpu_count(),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1))
    if torch.cuda.is_available():
        facts['gpus'] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return facts


def cpu_name() -> str:
    """Model of the processor, as the system names it."""
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as f:
            names = [line.split(':', 1)[1].strip() for line in f if line.startswith('model name')]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def commit(folder: str = ROOT) -> Optional[str]:
    """Short hash of the checked-out commit, with ``+`` where files differ from it.

    Args:
        folder: A git work tree.

    Returns:
        str: None where the folder is not the top of a work tree, or there is no git.
    """
    if not osp.exists(osp.join(folder, '.git')):
        return None
    try:
        found = subprocess.run(['git', '-C', folder, 'describe', '--always', '--dirty=+',
                                '--exclude=*'], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
