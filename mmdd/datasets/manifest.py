"""manifest.json: where every image of a distilled set comes from."""
import importlib.metadata
import json
import os
import os.path as osp
import platform
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence

from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.io import atomic_write_json, sha256, sha256_once
from mmdd.version import __version__

MANIFEST = 'manifest.json'
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif')


def image_entry(sample: DistilledSample, files: List[str], classes: Sequence[str],
                rounds: int) -> Dict[str, Any]:
    """What the manifest says of one image.

    Args:
        sample: The sample.
        files: Its files relative to the set, image first.
        classes: Class names by index.
        rounds: How often the slot was tried.
    """
    slot = sample.slot
    optional = dict(prototype=slot.prototype or None,
                    stats=sample.stats or None, judge_score=sample.judge_score,
                    original=_original(slot))
    return dict(
        files=files, slot=slot.id, seed=slot.seed, round=slot.round, rounds=rounds,
        classes=[classes[i] for i in sample.labels], prompt=slot.prompt, source=slot.source,
        sources=list(slot.sources), score=sample.score, accepted=bool(sample.accepted),
        label_source=sample.label_source, seconds=round(sample.seconds, 4),
        **{key: value for key, value in optional.items() if value is not None})


def is_reduced(manifest: Dict[str, Any]) -> bool:
    """Whether the masks of a set are stored for mmseg's ``reduce_zero_label``."""
    return bool((manifest.get('format') or {}).get('reduce_zero_label'))


def _original(slot: DistillSlot) -> Optional[Dict[str, Any]]:
    """Id and file name in the real set of an image that is taken over."""
    return slot.original and {key: slot.original[key] for key in ('id', 'file_name')}


def versions() -> Dict[str, str]:
    """Versions of mmdd and of what the images depend on."""
    found = dict(mmdd=__version__, python=platform.python_version())
    for name in ('torch', 'diffusers', 'transformers', 'mmengine', 'mmcv', 'mmdet', 'mmpretrain',
                 'mmsegmentation', 'numpy', 'albumentations'):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def write_manifest(out_dir: str, images: List[Dict[str, Any]], set_files: List[str],
                   **summary: Any) -> str:
    """Write ``manifest.json`` with the SHA-256 of every file.

    Args:
        out_dir: Folder of the distilled set.
        images: Entries of :func:`image_entry`.
        set_files: Files of the whole set, relative to ``out_dir``.
        summary: What is said of the set as a whole.

    Returns:
        str: Path of the manifest.
    """
    files = [file for entry in images for file in entry['files']] + set_files
    path = osp.join(out_dir, MANIFEST)
    atomic_write_json(path, dict(
        **summary, versions=versions(), images=images,
        sha256={file: sha256(osp.join(out_dir, file)) for file in files}))
    return path


def read_manifest(folder: str, images: bool = False) -> Dict[str, Any]:
    """The manifest of a set; empty where there is none.

    Args:
        folder: Folder of the set.
        images: Whether it must list images, each with its files.

    Raises:
        ValueError: If it is damaged.
    """
    path = osp.join(folder, MANIFEST)
    if not osp.isfile(path):
        return {}
    try:
        with open(path, encoding='utf-8') as f:
            content = dict(json.load(f))
        if images:
            content['images'][0], [entry['files'][0] for entry in content['images']]
        return content
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f'{path} is damaged ({type(error).__name__}: {error}); distill the set '
                         f'again') from None


def check_set_files(folder: str, manifest: Mapping[str, Any]) -> None:
    """Compare the files of a set with what its manifest says of them.

    Args:
        folder: Folder of the set.
        manifest: Content of its manifest; one without ``sha256`` passes.

    Raises:
        ValueError: If files are missing or changed, or there are images beside them that are
            not of the set; the message names the first three.
    """
    expected = manifest.get('sha256')
    if not isinstance(expected, Mapping):
        return
    wrong = []
    for file, digest in sorted(expected.items()):
        path = osp.join(folder, file)
        if not osp.isfile(path):
            wrong.append(f'{file} is missing')
        elif sha256_once(path) != digest:
            wrong.append(f'{file} is changed')
    wrong += [f'{file} is not in it' for file in _images(folder, expected)
              if file not in expected]
    if wrong:
        raise ValueError(
            f'{folder}: {len(wrong)} file(s) are not as {MANIFEST} says: {", ".join(wrong[:3])}'
            f'{", ..." if len(wrong) > 3 else ""}; distill the set again with --resume and remove '
            f'what is not in it, or remove {MANIFEST} to use the set as it is')


def _images(folder: str, files: Iterable[str]) -> Iterator[str]:
    """Images below the top folders of the files of a set, relative to ``folder``."""
    for top in sorted({file.split('/')[0] for file in files if '/' in file}):
        for base, _, names in os.walk(osp.join(folder, top)):
            for name in sorted(names):
                if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith('.'):
                    yield osp.relpath(osp.join(base, name), folder).replace(osp.sep, '/')
