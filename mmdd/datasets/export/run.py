"""One export from its set to its folder."""
import os.path as osp

from .content import read_content
from .folder import check_new_folder, new_folder
from .hub import write_hub
from .shards import DEFAULT_SIZE, read_shard_size, write_shards
from .viewer import write_viewer

TARGETS = ('hub', 'webdataset', 'viewer')


def export_set(folder: str, out: str, target: str, shard_size: str = DEFAULT_SIZE) -> int:
    """Write a distilled set in another form; its images are copied byte for byte.

    The files of the set are compared with its manifest first. ``out`` appears when the export
    is whole, never before.

    Args:
        folder: A distilled set or its work dir.
        out: Folder to make; it may be there if it is empty.
        target: 'hub', a dataset of the Hugging Face Hub; 'webdataset', tar files; 'viewer', a
            page to look at the set.
        shard_size: Of a tar file, see :func:`read_shard_size`.

    Returns:
        int: Number of images.

    Raises:
        ValueError: If ``folder`` is no distilled set or not as its manifest says, or ``out`` is
            not empty or inside the set.
    """
    if target not in TARGETS:
        raise ValueError(f'{target!r} is no target of an export; choose {", ".join(TARGETS)}')
    size = read_shard_size(shard_size)
    check_new_folder(out, folder)
    content = read_content(folder)
    with new_folder(out) as tmp:
        if target == 'hub':
            write_hub(content, tmp, osp.basename(osp.abspath(out)))
        elif target == 'webdataset':
            write_shards(content, tmp, osp.basename(osp.abspath(out)), size)
        else:
            write_viewer(content, tmp)
    return len(content.images)
