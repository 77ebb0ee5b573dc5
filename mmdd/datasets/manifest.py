"""manifest.json: where every image of a distilled set comes from."""
import importlib.metadata
import os.path as osp
import platform
from typing import Any, Dict, List, Optional, Sequence

from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.io import atomic_write_json, sha256
from mmdd.version import __version__

MANIFEST = 'manifest.json'


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
    optional = dict(prototype=slot.prototype or None, region_prompts=slot.region_prompts or None,
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
