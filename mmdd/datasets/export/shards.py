"""A distilled set as tar files that ``webdataset`` reads."""
import io
import os
import os.path as osp
import re
import tarfile
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from mmdd.utils.io import writing
from mmdd.utils.progress import Progress
from .card import write_card
from .content import ExportContent, ExportImage, json_line

DEFAULT_SIZE = '1000'


class ShardSize(NamedTuple):
    """The most that one tar file holds: ``images``, or bytes of files; the other is None."""
    images: Optional[int] = None
    bytes: Optional[int] = None

    def is_full(self, images: int, size: int) -> bool:
        """Whether so many images, or bytes, are more than a tar file holds."""
        return ((self.images is not None and images > self.images) or
                (self.bytes is not None and size > self.bytes))


def read_shard_size(text: str) -> ShardSize:
    """A size of shards from text: '1000' images, or '256MB'.

    Raises:
        ValueError: If it is neither.
    """
    found = re.fullmatch(r'([1-9]\d{0,8})(MB)?', text.strip(), re.I)
    if not found:
        raise ValueError(f'--shard-size {text}: write a number of images, as in 1000, or of '
                         f'megabytes, as in 256MB')
    number = int(found[1])
    return ShardSize(bytes=number * 10**6) if found[2] else ShardSize(images=number)


def write_shards(content: ExportContent, out: str, name: str, size: ShardSize) -> None:
    """Write ``000000.tar``, ``000001.tar``, ... and ``README.md``.

    A sample is ``<number>.<suffix of the image>``, ``<number>.json`` and, for segmentation,
    ``<number>.mask.png``. The same set gives the same bytes.

    Args:
        content: The set.
        out: Empty folder to write to.
        name: Name of the dataset.
        size: Of a tar file; a single image may be larger.
    """
    progress = Progress('export', len(content.images))
    for number, shard in enumerate(_shards(content, size)):
        path = osp.join(out, f'{number:06d}.tar')
        with writing(path), tarfile.open(path, 'w', format=tarfile.USTAR_FORMAT) as tar:
            for index, image, record in shard:
                for file, data in sorted(_members(content, index, image, record).items()):
                    member = tarfile.TarInfo(file)
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
                progress.add()
    write_card(content, osp.join(out, 'README.md'), name, '*.tar')


def _shards(content: ExportContent, size: ShardSize
            ) -> Iterator[List[Tuple[int, ExportImage, Dict[str, Any]]]]:
    """Images with their number and record, cut into shards."""
    shard: List[Tuple[int, ExportImage, Dict[str, Any]]] = []
    total = 0
    for index, (image, record) in enumerate(zip(content.images, content.records())):
        own = sum(os.path.getsize(content.path(file)) for file in _files(image))
        if shard and size.is_full(len(shard) + 1, total + own):
            yield shard
            shard, total = [], 0
        shard.append((index, image, record))
        total += own
    yield shard


def _files(image: ExportImage) -> List[str]:
    return [image.file, image.mask] if image.mask else [image.file]


def _members(content: ExportContent, index: int, image: ExportImage,
             record: Dict[str, Any]) -> Dict[str, bytes]:
    """The files of one sample by their name in the tar file."""
    names = [osp.splitext(image.file)[1].lower(), '.mask.png']
    members = {f'{index:06d}.json': json_line(dict(record, file=image.file)).encode()}
    for file, suffix in zip(_files(image), names):
        with open(content.path(file), 'rb') as f:
            members[f'{index:06d}{suffix}'] = f.read()
    return members
