"""The record of a distillation job: what was planned and what is finished.

Everything lies in one folder, ``_job`` inside the distilled set:

    job.json                 fingerprint of the job
    plan.jsonl               one slot a line
    attempts/000012_r0.json  what came out for slot 12 in round 0
    attempts/000012_r0.png   its image, lossless (synthetic images only)

A mask is part of the JSON, as the text of a PNG. An attempt that failed has its reason,
``failure``, in the JSON, and no image.

Each file is written atomically, the JSON after the image, so a job that is
killed at any moment finds every finished attempt again.
"""
import json
import os
import os.path as osp
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from mmdd.structures import DistilledSample, DistillSlot
from mmdd.structures.mask import mask_from_text, mask_to_text
from mmdd.utils.io import (
    UNFINISHED,
    atomic_save_image,
    atomic_write_json,
    atomic_write_text,
    strict_json,
    without_non_finite,
)
from mmdd.utils.photograph import read_array

Key = Tuple[int, int]


class Journal:
    """Keeps the finished attempts of a job on disk.

    Args:
        out_dir: Folder of the distilled set.
    """

    def __init__(self, out_dir: str) -> None:
        self.out_dir = out_dir
        self.folder = osp.join(out_dir, '_job')
        self.attempts = osp.join(self.folder, 'attempts')

    def check(self, job: Dict[str, Any], resume: bool) -> bool:
        """Check that a job may use the folder; writes nothing.

        Args:
            job: Description of the job or of some of its parts.
            resume: Whether finished attempts may be taken over.

        Returns:
            bool: Whether the folder holds this job already.

        Raises:
            ValueError: If the folder belongs to something else, or holds this
                job and ``resume`` is not set.
        """
        found = self._read_job()
        if found is None:
            if osp.exists(self.out_dir) and not osp.isdir(self.out_dir):
                raise ValueError(f'{self.out_dir} is a file; give another --work-dir')
            if holds_files(self.out_dir):
                raise ValueError(
                    f'{self.out_dir} holds files of something else; nothing was changed: give '
                    f'another --work-dir')
        elif any(found.get(part) != job[part] for part in job):
            raise ValueError(
                f'{self.out_dir} holds a distilled set of another config '
                f'({describe_difference(found, job)}); nothing was changed: give another '
                f'--work-dir')
        elif not resume:
            raise ValueError(
                f'{self.out_dir} already holds this job with {sum(1 for _ in self.keys())} '
                f'finished attempts: add --resume to go on, or give another --work-dir')
        return found is not None

    def open(self, job: Dict[str, Any], resume: bool) -> None:
        """Start a job in the folder, or go on with the one that is there.

        Args:
            job: Description of the job; ``job['fingerprint']`` identifies it.
            resume: Whether finished attempts may be taken over.

        Raises:
            ValueError: As :meth:`check`, or if the folder cannot be written.
        """
        exists = self.check(job, resume)
        try:
            os.makedirs(self.attempts, exist_ok=True)
            if not exists:
                atomic_write_json(osp.join(self.folder, 'job.json'), job)
        except OSError as e:
            raise ValueError(
                f'{self.out_dir} cannot be written ({e.strerror}); give another --work-dir'
            ) from None

    def _read_job(self) -> Optional[dict]:
        path = osp.join(self.folder, 'job.json')
        if not osp.isfile(path):
            return None
        try:
            with open(path, encoding='utf-8') as f:
                return dict(json.load(f))
        except (ValueError, TypeError):
            raise ValueError(f'{path} is damaged; give another --work-dir') from None

    def store_plan(self, slots: List[DistillSlot]) -> None:
        """Write the plan, or check it against the one that is there.

        As long as no image is made the prompts may change.

        Raises:
            ValueError: If another plan is there: real set or prompts changed.
        """
        path = osp.join(self.folder, 'plan.jsonl')
        text = ''.join(strict_json(slot.to_dict(), sort_keys=True) + '\n' for slot in slots)
        if not osp.isfile(path):
            atomic_write_text(path, text)
            return
        with open(path, encoding='utf-8') as f:
            before = f.read()
        if before != text:
            if _without_prompts(before) == _without_prompts(text) and not any(self.keys()):
                atomic_write_text(path, text)
            else:
                raise ValueError(
                    f'{self.out_dir}: the plan changed since the job was started (other real '
                    f'images, annotations or prompts); give another --work-dir')

    def read_plan(self) -> List[dict]:
        """The slots of the stored plan as dicts."""
        with open(osp.join(self.folder, 'plan.jsonl'), encoding='utf-8') as f:
            return [json.loads(line) for line in f]

    def _path(self, key: Key, suffix: str) -> str:
        return osp.join(self.attempts, f'{key[0]:06d}_r{key[1]}{suffix}')

    def keys(self) -> Iterator[Key]:
        """(slot id, round) of every finished attempt, in order."""
        if not osp.isdir(self.attempts):
            return
        for name in sorted(os.listdir(self.attempts)):
            stem, suffix = osp.splitext(name)
            if suffix == '.json' and not name.startswith('.'):
                slot, round = stem.split('_r')
                yield int(slot), int(round)

    def __contains__(self, key: Key) -> bool:
        return osp.isfile(self._path(key, '.json'))

    def write(self, sample: DistilledSample) -> None:
        """Store a finished attempt."""
        key = (sample.slot.id, sample.slot.round)
        if sample.image is not None:
            atomic_save_image(self._path(key, '.png'), sample.image)
        atomic_write_json(self._path(key, '.json'), sample_record(sample))

    def read(self, key: Key) -> dict:
        """The record of a finished attempt."""
        with open(self._path(key, '.json'), encoding='utf-8') as f:
            return json.load(f)

    def read_image(self, key: Key) -> np.ndarray:
        """The image of a finished attempt, (H, W, 3) uint8 RGB."""
        with Image.open(self._path(key, '.png')) as image:
            return np.asarray(image.convert('RGB'))

    def load_sample(self, slot: DistillSlot, key: Key, image: bool = True) -> DistilledSample:
        """A finished attempt as a sample.

        Args:
            slot: Its slot.
            key: Slot id and round.
            image: Whether to read a synthetic image too.
        """
        record = self.read(key)
        bboxes, failure = record['bboxes'], record.get('failure', '')
        return DistilledSample(
            slot=slot,
            image=self.read_image(key) if image and not record['path'] and not failure else None,
            path=record['path'],
            labels=np.array(record['labels'], np.int64),
            bboxes=None if bboxes is None else np.array(bboxes, np.float32).reshape(-1, 4),
            mask=mask_from_text(record['mask']),
            score=record['score'], judge_score=record.get('judge_score'),
            rank=record.get('rank'), accepted=record['accepted'],
            label_source=record['label_source'], seconds=record['seconds'],
            stats=record['stats'], failure=failure)


class StoredSamples(Sequence):
    """Finished attempts as samples that are read when they are asked for.

    Items have no image; :meth:`image` reads one.

    Args:
        journal: Where they are kept.
        slots: Their slots, seeded for the round that counts.
    """

    def __init__(self, journal: Journal, slots: Sequence[DistillSlot]) -> None:
        self.journal = journal
        self.slots = list(slots)

    def __len__(self) -> int:
        return len(self.slots)

    def __getitem__(self, index: int) -> DistilledSample:
        slot = self.slots[index]
        return self.journal.load_sample(slot, (slot.id, slot.round), image=False)

    def image(self, index: int) -> np.ndarray:
        """The image of a sample, (H, W, 3) uint8 RGB."""
        slot = self.slots[index]
        path = self[index].path
        if path:
            return read_array(path)
        return self.journal.read_image((slot.id, slot.round))

    def subset(self, indices: Sequence[int]) -> 'StoredSamples':
        """The samples at these indices."""
        return StoredSamples(self.journal, [self.slots[i] for i in indices])


def _without_prompts(plan: str) -> List[dict]:
    """The slots of a plan but for their prompts."""
    return [dict(json.loads(line), prompt='', region_prompts=None) for line in plan.splitlines()]


def holds_files(folder: str) -> bool:
    """Whether a folder holds any file but the temporary ones of a killed writer."""
    return any(not name.startswith(UNFINISHED)
               for _, _, names in os.walk(folder) for name in names)


def sample_record(sample: DistilledSample) -> Dict[str, Any]:
    """A sample without its image, as plain numbers and text."""
    stats, non_finite = without_non_finite(sample.stats)
    if non_finite:
        stats['non_finite'] = non_finite
    optional = dict(judge_score=sample.judge_score, rank=sample.rank,
                    failure=sample.failure or None)
    return dict(
        slot=sample.slot.id, round=sample.slot.round, seed=sample.slot.seed, path=sample.path,
        labels=np.asarray(sample.labels).tolist(),
        bboxes=None if sample.bboxes is None else np.round(sample.bboxes, 3).tolist(),
        mask=mask_to_text(sample.mask), score=sample.score, accepted=bool(sample.accepted),
        label_source=sample.label_source, seconds=round(sample.seconds, 4), stats=stats,
        **{key: value for key, value in optional.items() if value is not None})


def describe_difference(found: Dict[str, Any], job: Dict[str, Any]) -> str:
    """Name the parts of two job descriptions that differ."""
    parts = [key for key in job if key != 'fingerprint' and found.get(key) != job[key]]
    return f'other {", ".join(parts)}' if parts else 'other fingerprint'
