"""Reading checkpoints: weights, plain values and MMEngine's logs; nothing in them can run.

Every checkpoint comes through :func:`read_checkpoint`, those of MMEngine's Runners too, see
:func:`mmdd.utils.compat.fix_checkpoint_loading`.
"""
import os
import os.path as osp
import pickle
import pickletools
import warnings
import zipfile
from contextlib import contextmanager
from typing import IO, Any, Dict, Iterator, List, Mapping

import torch
from mmengine.config import ConfigDict
from mmengine.dist import get_rank
from mmengine.logging import HistoryBuffer

from .paths import tool_command
from .plain_types import (
    Maker,
    PlainArray,
    PlainDtype,
    Refused,
    StandIn,
    UnsafeFileError,
    plain_types,
    resolve,
)
from .rank_zero import together
from .table import one_line


class PlainLog(StandIn):
    """Stands in for a ``HistoryBuffer``, whose class takes methods from the file.

    Values, counts and the longest length are kept.
    """
    __slots__ = ('state', )

    def __setstate__(self, state: Dict[str, Any]) -> None:
        """Take the state; ``statistics_methods`` is passed over."""
        self.state = state

    def value(self) -> HistoryBuffer:
        """The log."""
        return HistoryBuffer(resolve(self.state['_log_history']),
                             resolve(self.state['_count_history']), self.state['max_length'])


def read_checkpoint(path: str, map_location: Any = 'cpu') -> Any:
    """Read a file written by ``torch.save``.

    Args:
        path: Local file.
        map_location: See :func:`torch.load`.

    Returns:
        What was saved, a dict in a checkpoint of MMEngine. A config text in ``meta.config``
        is left out, for a Runner that resumes would run it.

    Raises:
        FileNotFoundError: If there is no such file.
        UnsafeFileError: If it asks for types that could run code.
        ValueError: If it is damaged or no checkpoint.
    """
    path = osp.expanduser(path)
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path} can not be found.')
    try:
        with _only_plain_types():
            content = resolve(torch.load(path, map_location=map_location, weights_only=True))
    except (Refused, pickle.UnpicklingError) as error:
        asked = unsafe_names(path) or ([str(error)] if isinstance(error, Refused) else [])
        if not asked:
            raise ValueError(_unreadable(path, 'not what torch.save writes by default')) from None
        raise UnsafeFileError(
            f'{path}: not loaded, it asks for {", ".join(asked[:8])}, which could run code; '
            f'where you trust its source: {tool_command("convert_checkpoint")} {path} OUT --trust'
        ) from None
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a damaged file raises anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:80]
        raise ValueError(_unreadable(path, reason)) from None
    if isinstance(content, dict) and isinstance(content.get('meta'), dict):
        content['meta'].pop('config', None)
    return content


def weights_of(content: Any) -> Dict[str, torch.Tensor]:
    """The tensors of a checkpoint, out of 'state_dict' or 'model' where they lie there.

    Args:
        content: What :func:`read_checkpoint` gives.

    Returns:
        dict: Tensors by name, without the 'module.' of a wrapper; empty if there are none.
    """
    for key in ('state_dict', 'model'):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        return {}
    return {key.removeprefix('module.'): value for key, value in content.items()
            if isinstance(key, str) and isinstance(value, torch.Tensor)}


def local_path(address: str) -> str:
    """Where :func:`download` puts what is at a URL; a path as it is."""
    if '://' not in address:
        return address
    return osp.join(torch.hub.get_dir(), 'checkpoints', osp.basename(address.partition('?')[0]))


def download(url: str) -> str:
    """Download a file once, to the folder of torch.hub, and return its path.

    All ranks must call it.

    Raises:
        ValueError: If it cannot be had.
    """
    path = local_path(url)
    with together():
        if get_rank() == 0 and not osp.isfile(path):
            try:
                os.makedirs(osp.dirname(path), exist_ok=True)
                torch.hub.download_url_to_file(url, path, progress=False)
            except (OSError, ValueError) as e:  # URLError is an OSError
                raise ValueError(f'{url} cannot be downloaded ({e}); download it by hand and '
                                 f'give the file as checkpoint') from None
    return path


def unsafe_names(path: str) -> List[str]:
    """The functions and classes that a checkpoint asks for and does not get, sorted.

    Nothing is executed: the names are read off the instructions of the pickle.
    """
    asked = set()
    with open(path, 'rb') as file:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                for name in archive.namelist():
                    if name.endswith('data.pkl'):
                        with archive.open(name) as part:
                            asked |= set(_names(part))
        else:
            file.seek(0)
            asked |= set(_names(file))
    return sorted(one_line(name)[:80] for name in asked - set(_known_names()))


def _names(file: IO[bytes]) -> Iterator[str]:
    """Names in a row of pickles, up to the first byte that belongs to none."""
    texts: List[str] = []  # the texts that STACK_GLOBAL takes its module and name from
    try:
        while True:
            memo: List[str] = []
            value: Any
            for code, value, _ in pickletools.genops(file):
                if code.name == 'MEMOIZE':
                    memo.append(texts[-1] if texts else '')
                elif code.name in ('BINGET', 'LONG_BINGET') and value < len(memo):
                    texts.append(memo[value])
                elif code.name in ('GLOBAL', 'INST'):
                    yield value.replace(' ', '.', 1).replace('__builtin__.', 'builtins.', 1)
                elif code.name == 'STACK_GLOBAL':
                    yield '.'.join(texts[-2:])
                elif isinstance(value, str):
                    texts.append(value)
    except Exception:  # damaged, or what follows the last pickle
        return


def _log_method(owner: Any, name: str) -> str:
    """What ``getattr`` may do in a file: name a method of a log."""
    if owner is not PlainLog:
        raise Refused('builtins.getattr')
    return name


def _unreadable(path: str, reason: str) -> str:
    return f'{path} is not a readable checkpoint ({reason}); restore it or move it away'


def _allowed() -> Dict[str, Any]:
    """What torch may call beside its own functions, by the name in the file."""
    return {
        **plain_types(),
        'mmengine.logging.history_buffer.HistoryBuffer': PlainLog,
        'mmengine.config.config.ConfigDict': Maker(ConfigDict),
        'builtins.getattr': Maker(_log_method),
        # torch asks whether the types of what was made are allowed.
        'mmdd.utils.plain_types.PlainArray': PlainArray,
        'mmdd.utils.plain_types.PlainDtype': PlainDtype}


def _known_names() -> Iterator[str]:
    from torch._weights_only_unpickler import _get_allowed_globals
    yield from _allowed()
    yield from _get_allowed_globals()


@contextmanager
def _only_plain_types() -> Iterator[None]:
    """Let torch load these types and none that other libraries have added to its list."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals([(kind, name) for name, kind in _allowed().items()])
    try:
        with warnings.catch_warnings():  # a file that is refused needs no warning before
            warnings.filterwarnings('ignore', 'Detected pickle protocol')
            yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
