"""A folder that is either whole or not there."""
import os
import os.path as osp
import shutil
import tempfile
from contextlib import contextmanager
from typing import Iterator

from mmdd.utils.io import UNFINISHED, writing


def check_new_folder(out: str, source: str) -> None:
    """Check that an export of ``source`` can be written to ``out``.

    Raises:
        ValueError: If ``out`` is a file, is not empty, or lies inside ``source``.
    """
    if osp.isfile(out):
        raise ValueError(f'{out} is a file; give a folder that is not there yet')
    if osp.isdir(out) and os.listdir(out):
        raise ValueError(f'{out} is not empty; give a folder that is not there yet, or empty it')
    inside = osp.join(osp.realpath(source), '')
    if osp.join(osp.realpath(out), '').startswith(inside):
        raise ValueError(f'{out} lies inside {source}; give a folder outside the set')


@contextmanager
def new_folder(out: str) -> Iterator[str]:
    """Give an empty folder beside ``out`` that becomes ``out`` when the block succeeds.

    Raises:
        CannotWrite: If the folder above cannot be written.
    """
    target = osp.realpath(out)
    parent, name = osp.split(target)
    with writing(target):
        os.makedirs(parent, exist_ok=True)
        tmp = tempfile.mkdtemp(prefix=f'{UNFINISHED}{name}_', dir=parent)
    try:
        yield tmp
        with writing(target):
            os.chmod(tmp, 0o755)
            os.rename(tmp, target)
    except BaseException:
        shutil.rmtree(tmp, ignore_errors=True)
        raise
