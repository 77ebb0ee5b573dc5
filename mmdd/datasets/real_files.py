"""The files of a real set, told from its dataset config: how many images, and what they are."""
import json
import os
import os.path as osp
from typing import Any, Dict, List, Tuple

from mmdd.utils.io import sha256
from .formats import SetContent
from .manifest import IMAGE_SUFFIXES
from .views import leaf_datasets


def image_folder(leaf: Dict[str, Any]) -> str:
    """Folder of the images of a plain dataset config."""
    prefix = leaf.get('data_prefix') or leaf.get('split') or ''
    if not isinstance(prefix, str):
        prefix = prefix.get('img_path') or prefix.get('img') or ''
    return osp.join(leaf.get('data_root') or '', prefix)


def full_content(dataset: Dict[str, Any]) -> SetContent:
    """The full real set of a dataset config: how many images it lists, where files tell.

    In place of files it has lines that identify them: lists by their content, folders by their
    file names and sizes.

    Raises:
        FileNotFoundError: If it is not there.
    """
    counts, lines = [], []
    for leaf in leaf_datasets(dataset):
        count, own = _listed(leaf) if leaf.get('ann_file') else _walked(image_folder(leaf))
        counts.append(count)
        lines += own
    return SetContent(sum(counts) if all(counts) else None, lines, {})


def _listed(leaf: Dict[str, Any]) -> Tuple[int, List[str]]:
    """Images that the list of a dataset config names, and a line that identifies it."""
    path = osp.join(leaf.get('data_root') or '', leaf['ann_file'])
    if not osp.isfile(path):
        raise FileNotFoundError(f'the full real set: {path} not found')
    with open(path, encoding='utf-8') as f:
        count = (len(json.load(f)['images']) if path.endswith('.json') else
                 sum(bool(line.strip()) for line in f))
    return count, [f'{path} {sha256(path)}']


def _walked(folder: str) -> Tuple[int, List[str]]:
    """Images below a folder, and a line for each of its files."""
    lines = [f'{osp.relpath(file, folder)} {osp.getsize(file)}'
             for base, _, names in sorted(os.walk(folder))
             for file in sorted(osp.join(base, name) for name in names)]
    if not lines:
        raise FileNotFoundError(f'the full real set: no files in {folder}')
    return sum(line.rsplit(' ', 1)[0].lower().endswith(IMAGE_SUFFIXES) for line in lines), lines
