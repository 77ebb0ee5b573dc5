"""What mmdd needs of OpenMMLab, and the one line that says what is missing."""
import glob
import importlib.util
import os.path as osp
import sys
from types import TracebackType
from typing import Dict, Optional, Type

# Module: requirement; as in requirements/, mminstall.txt and runtime.txt.
REQUIREMENTS = dict(
    mmcv='mmcv>=2.0.0,<2.2.0', mmdet='mmdet>=3.3.0,<3.4', mmengine='mmengine>=0.10.7,<0.11',
    mmpretrain='mmpretrain>=1.2.0,<1.3', mmseg='mmsegmentation>=1.2.2,<1.3')
ABSENT = 'not installed'
NO_OPERATORS = 'mmcv was installed without its operators (mmcv/_ext)'
# mmcv is built against the installed torch, by build tools of its time.
BUILD = "pip install 'setuptools<82' wheel ninja psutil, then "


class MissingPackage(ImportError):
    """A package of OpenMMLab is missing; the message is one line with the fix.

    Uncaught, it is printed without a traceback.
    """


def require_openmmlab() -> None:
    """Check that the packages of OpenMMLab are installed; nothing is imported.

    Raises:
        MissingPackage: If one is missing, or mmcv was installed without its operators.
    """
    faults = missing()
    if not faults:
        return
    absent = ', '.join(module for module, fault in faults.items() if fault == ABSENT)
    texts = [f'not installed: {absent}'] * bool(absent)
    texts += [NO_OPERATORS] * (NO_OPERATORS in faults.values())
    _print_without_traceback()
    raise MissingPackage(f'{", ".join(texts)}; the fix: {_command(faults)} (docs/install.md)')


def missing() -> Dict[str, str]:
    """The modules of OpenMMLab that cannot be used, each with ABSENT or NO_OPERATORS."""
    faults = {}
    for module in REQUIREMENTS:
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            faults[module] = ABSENT
        elif module == 'mmcv' and not _has_operators(osp.dirname(spec.origin)):
            faults[module] = NO_OPERATORS
    return faults


def _command(faults: Dict[str, str]) -> str:
    """What to type."""
    packages = ' '.join(f"'{REQUIREMENTS[module]}'" for module in faults)
    if 'mmcv' not in faults:
        return f'pip install {packages}'
    build = f'{BUILD}pip install --no-build-isolation'
    if faults['mmcv'] == NO_OPERATORS:  # pip keeps the wheel that it built without them
        build = f'pip uninstall -y mmcv mmcv-lite, then {build} --no-cache-dir'
    return f'{build} {packages}'


def _has_operators(folder: str) -> bool:
    return bool(glob.glob(osp.join(glob.escape(folder), '_ext*')))


def _print_without_traceback() -> None:
    """Let an uncaught :class:`MissingPackage` end the program with its line alone."""
    original = sys.excepthook

    def hook(kind: Type[BaseException], error: BaseException,
             traceback: Optional[TracebackType]) -> None:
        if issubclass(kind, MissingPackage):
            print(f'error: {error}', file=sys.stderr)
        else:
            original(kind, error, traceback)

    sys.excepthook = hook
