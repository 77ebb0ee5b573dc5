"""One export from its set to its folder."""
import os.path as osp
from typing import Optional

from .content import read_content
from .folder import check_new_folder, new_folder
from .hub import write_hub
from .neighbours import FindNeighbours
from .shards import DEFAULT_SIZE, read_shard_size, write_shards
from .viewer import write_viewer

TARGETS = ('hub', 'webdataset', 'viewer')


def export_set(folder: str, out: str, target: str, shard_size: str = DEFAULT_SIZE,
               neighbours: Optional[FindNeighbours] = None) -> int:
    """Write a distilled set in another form; its images are copied byte for byte.

    The files of the set are compared with its manifest first. ``out`` appears when the export
    is whole, never before.

    Args:
        folder: A distilled set or its work dir.
        out: Folder to make; it may be there if it is empty.
        target: 'hub', a dataset of the Hugging Face Hub; 'webdataset', tar files; 'viewer', a
            page to look at the set.
        shard_size: Of a tar file, see :func:`read_shard_size`.
        neighbours: Gives the real images that the page shows below each image.

    Returns:
        int: Number of images.

    Raises:
        ValueError: If ``folder`` is no distilled set or not as its manifest says, ``out`` is
            not empty or inside the set, or ``neighbours`` are asked for elsewhere than on a page.
    """
    if target not in TARGETS:
        raise ValueError(f'{target!r} is no target of an export; choose {", ".join(TARGETS)}')
    if neighbours is not None and target != 'viewer':
        raise ValueError(f'neighbours are shown on a page; an export to {target!r} has none')
    size = read_shard_size(shard_size)
    check_new_folder(out, folder)
    content = read_content(folder)
    with new_folder(out) as tmp:
        if target == 'hub':
            write_hub(content, tmp, osp.basename(osp.abspath(out)))
        elif target == 'webdataset':
            write_shards(content, tmp, osp.basename(osp.abspath(out)), size)
        else:
            write_viewer(content, tmp, {} if neighbours is None else neighbours(content))
    return len(content.images)
