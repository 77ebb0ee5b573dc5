"""Making plain checkpoints out of trusted ones."""
import os.path as osp
import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import torch

from .checkpoint import read_checkpoint, unsafe_names, weights_of
from .config import plain
from .io import atomic_path


def convert_checkpoint(path: str, out: str, trust: bool = False,
                       rename: Sequence[Tuple[str, str]] = ()) -> List[str]:
    """Write the weights of a checkpoint and what it says about itself as plain values.

    Args:
        path: Checkpoint to read: MMEngine's, a state dict, or a whole pickled module.
        out: File to write: ``state_dict``, ``meta``, and ``ema_state_dict`` where there is one.
        trust: Whether the file may run code. Without, one that asks for it is refused.
        rename: Regular expressions and what takes their place in the names of weights, for
            weights of another library; the first that fits a name changes it.

    Returns:
        list[str]: The functions and classes that it asks for and a safe reader refuses.

    Raises:
        FileNotFoundError: If there is no file at ``path``.
        ValueError: If it cannot be read, is unsafe, holds no weights, ``out`` exists, or two
            weights get one name.
    """
    if osp.exists(out):
        raise ValueError(f'{out} is there already and is not overwritten; give another OUT')
    content = _run(path) if trust and osp.isfile(path) else read_checkpoint(path)
    if isinstance(content, torch.nn.Module):
        content = dict(state_dict=content.state_dict())
    weights = weights_of(content)
    if not weights:
        raise ValueError(f'{path} holds no weights')
    result: Dict[str, Any] = dict(state_dict=_renamed(weights, rename),
                                  meta=plain(content.get('meta') or {}))
    averaged = content.get('ema_state_dict')
    if isinstance(averaged, Mapping):
        result['ema_state_dict'] = {name: value for name, value in averaged.items()
                                    if isinstance(value, torch.Tensor)}
    with atomic_path(out) as tmp:
        torch.save(result, tmp)
        read_checkpoint(tmp)
    return unsafe_names(path)


def _renamed(weights: Mapping[str, Any], rename: Sequence[Tuple[str, str]]) -> Dict[str, Any]:
    """Weights by their new names."""
    found: Dict[str, Any] = {}
    for name, value in weights.items():
        new = next((re.sub(pattern, repl, name, count=1) for pattern, repl in rename
                    if re.search(pattern, name)), name)
        if new in found:
            raise ValueError(f'two weights would be called {new!r}; give other names to rename')
        found[new] = value
    return found


def _run(path: str) -> Any:
    """Unpickle without restriction."""
    try:
        return torch.load(path, map_location='cpu', weights_only=False)
    except Exception as error:  # the file can do anything
        reason = ' '.join(str(error).split())[:160]
        raise ValueError(f'{path} cannot be loaded ({type(error).__name__}: {reason})') from None
