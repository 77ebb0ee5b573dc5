"""Where the weights of a diffusion model are, and whether they are whole."""
import glob
import os
import os.path as osp
from typing import Any, Mapping, Sequence

from mmdd.utils.config import resolve_path

# Seconds after which the hub counts as out of reach.
HUB_TIMEOUT = 5.
PRETRAINED = 'model.diffusion.pretrained'


def locate_weights(pretrained: str, key: str = PRETRAINED) -> str:
    """Find diffusion weights.

    Args:
        pretrained: Local folder, ``mmdd::`` path or hub id.
        key: Setting that names it, for the message.

    Returns:
        str: An existing folder; a hub id where the hub can be reached.

    Raises:
        ValueError: If there is no such folder, and no such model in the local
            cache or on the hub.
    """
    looks_like_hub_id = pretrained.count('/') == 1 and not pretrained.startswith(
        ('.', '/', '~', 'mmdd::'))
    try:
        path = resolve_path(pretrained)
    except FileNotFoundError:
        path = None
    if path is not None and osp.isdir(path):
        return path
    if looks_like_hub_id:
        return locate_on_hub(pretrained, key)
    raise ValueError(
        f'no diffusion weights at {pretrained!r}: give {key} a folder in diffusers layout '
        f'or a hub id')


def locate_on_hub(name: str, key: str = PRETRAINED) -> str:
    """The hub id where the hub answers, else the folder of the local cache.

    One short request decides: diffusers would repeat each of its own for half a
    minute before it gives up.

    Raises:
        ValueError: If neither is there.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    try:
        HfApi().repo_info(name, timeout=HUB_TIMEOUT)
        return name
    except Exception as e:  # of the HTTP library, of the hub, offline mode, timeouts
        reason = type(e).__name__
    for file in ('model_index.json', 'config.json'):
        cached = try_to_load_from_cache(name, file)
        if isinstance(cached, str):
            return osp.dirname(cached)
    raise ValueError(
        f'no diffusion weights at {name!r}: not in the local cache, and the hub cannot be '
        f'reached or does not have it ({reason}); give {key} a local folder')


def check_separate(cfg: Mapping[str, Any], *names: str) -> None:
    """Check the parts of an adapter's config that have a folder of their own.

    Raises:
        ValueError: If weights are missing, truncated or corrupt.
    """
    for name in names:
        if isinstance(cfg.get(name), str):
            key = f'model.diffusion.{name}'
            check_folder(locate_weights(cfg[name], key), ('', ), key=key)


def check_folder(folder: str, networks: Sequence[str], others: Sequence[str] = (),
                 key: str = PRETRAINED) -> None:
    """Check that a diffusers folder is complete, without loading it.

    Args:
        folder: Local folder; anything else, such as a hub id, passes.
        networks: Subfolders that must hold whole safetensors files.
        others: Subfolders that must not be empty.
        key: Setting that names the folder, for the message.

    Raises:
        ValueError: If something is missing or a file is truncated or corrupt.
    """
    from safetensors import SafetensorError, safe_open
    if not osp.isdir(folder):
        return
    for name in others:
        if not osp.isdir(osp.join(folder, name)) or not os.listdir(osp.join(folder, name)):
            raise ValueError(f'{folder} has no {name!r}; give {key} a complete diffusers folder')
    for name in networks:
        files = sorted(glob.glob(osp.join(glob.escape(osp.join(folder, name)), '*.safetensors')))
        if not files:
            raise ValueError(f'{osp.join(folder, name)} has no safetensors file; give '
                             f'{key} a complete diffusers folder')
        for file in files:
            try:
                with safe_open(file, 'pt') as weights:
                    weights.keys()
            except (SafetensorError, OSError) as e:
                raise ValueError(f'{file}: cannot be read as safetensors ({e}); copy or download '
                                 f'it again') from None
