"""A torchvision that belongs to the torch in .venv."""
from setup_steps.commands import ask, pip
from setup_steps.common import SetupError, pins, say

NMS = 'import torch, torchvision; torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), .5)'


def match_torchvision():
    """Replace a torchvision whose operators do not load by the build of torch's kind.

    Happens where torch is a CPU build of the index that pip uses and torchvision
    came from another one, as a CUDA build.
    """
    if ask(NMS) is not None:
        return
    version = ask('import torch; print(torch.__version__)') or ''
    wanted = '+'.join(part for part in (pins()['torchvision'], version.partition('+')[2]) if part)
    try:
        pip(f'installing torchvision {wanted}', 'install', '--no-deps', '--force-reinstall',
            f'torchvision=={wanted}')
    except SetupError:
        say(f'      note: the operators of torchvision do not load beside torch {version} and pip '
            f'finds no torchvision {wanted}. mmdd works with it, but a plain import torchvision '
            f'fails in .venv; the fix: let pip use the index that torch {version} is from')
