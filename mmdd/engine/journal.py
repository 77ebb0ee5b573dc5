"""The record of a distillation job: what was planned and what is finished.

Everything lies in one folder, ``_job`` inside the distilled set:

    job.json                 fingerprint of the job
    plan.jsonl               one slot a line, below their checksum
    batch_size.json          images of a batch, where the job found it by itself
    attempts/000012_r0.json  what came out for slot 12 in round 0
    attempts/000012_r0.png   its image, lossless (synthetic images only)

A mask is part of the JSON, as the text of a PNG. An attempt that failed has its reason,
``failure``, in the JSON, and no image.

Each file is written atomically, the JSON after the image, so a job that is
killed at any moment finds every finished attempt again. All have checksums: what is
damaged is set aside when the job is resumed, and made again.
"""
import json
import os
import os.path as osp
import re
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

import numpy as np
from mmengine.logging import print_log
from PIL import Image

from mmdd.datasets.manifest import MANIFEST
from mmdd.structures import DistilledSample, DistillSlot, load_target
from mmdd.utils.io import UNFINISHED, atomic_save_image, sha256, strict_json, without_non_finite
from mmdd.utils.state import DAMAGED, Damaged, free_name, load_state, set_aside, write_state
from .plan_file import plan_mark, read_plan, write_plan

Key = Tuple[int, int]
# What the record of an attempt holds at least.
RECORD = {'slot', 'round', 'seed', 'path', 'labels', 'bboxes', 'mask', 'score', 'accepted',
          'label_source', 'seconds', 'stats'}


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
        if osp.exists(self.out_dir) and not osp.isdir(self.out_dir):
            raise ValueError(f'{self.out_dir} is a file; give another --work-dir')
        if not osp.lexists(self._job_file):
            if holds_files(self.out_dir, but='_job.earlier'):
                raise ValueError(
                    f'{self.out_dir} holds files of something else; nothing was changed: give '
                    f'another --work-dir')
            return False
        if not self.has_made_something():
            return self._is(job)
        found = self.job()
        if any(found.get(part) != job[part] for part in job):
            raise ValueError(
                f'{self.out_dir} holds a distilled set of another config '
                f'({describe_difference(found, job)}); nothing was changed: give another '
                f'--work-dir')
        if not resume:
            raise ValueError(
                f'{self.out_dir} already holds this job with {sum(1 for _ in self.keys())} '
                f'finished attempts: add --resume to resume it, or give another --work-dir')
        return True

    def open(self, job: Dict[str, Any], resume: bool,
             owns: Callable[[int], bool] = lambda slot: True) -> None:
        """Start a job in the folder, or resume the one that is there.

        Damaged attempts of the job are set aside. What a job of another config left that had
        made nothing yet is kept beside, as ``_job.earlier``.

        Args:
            job: Description of the job; ``job['fingerprint']`` identifies it.
            resume: Whether finished attempts may be taken over.
            owns: Says which slots' attempts are looked at: other processes may be writing others.

        Raises:
            ValueError: As :meth:`check`, or if the folder cannot be written.
        """
        exists = self.check(job, resume)
        try:
            if not exists and holds_files(self.folder):
                earlier = free_name(f'{self.folder}.earlier')
                os.rename(self.folder, earlier)
                print_log(f'{self.out_dir} held another job, which had made no image: this one '
                          f'takes its place, what was prepared is kept in {earlier}', 'current')
            os.makedirs(self.attempts, exist_ok=True)
            if not exists:
                write_state(self._job_file, job)
            else:
                self.heal(job, owns)
        except OSError as e:
            raise ValueError(
                f'{self.out_dir} cannot be written ({e.strerror}); give another --work-dir'
            ) from None

    def heal(self, job: Dict[str, Any], owns: Callable[[int], bool] = lambda slot: True) -> None:
        """Set aside what is damaged, and name what does not belong here, as :meth:`open` does."""
        try:
            load_state(self._job_file, is_job)
        except Damaged as error:
            set_aside(self._job_file, error.why, 'it is written again as the manifest has it')
            write_state(self._job_file, job)
        strays = [name for name in sorted(os.listdir(self.attempts))
                  if not re.fullmatch(r'\d{6,}_r\d+\.(json|png)', name)
                  and not name.startswith(UNFINISHED) and DAMAGED not in name]
        if strays:
            print_log(f'{self.attempts}: {len(strays)} file(s) that are no attempts are ignored: '
                      f'{", ".join(strays[:3])}', 'current', level=30)
        for key in [key for key in self.keys() if owns(key[0])]:
            why = self.fault(key)
            if why:
                set_aside(self._path(key, '.json'), why, 'the attempt is made again',
                          along=[self._path(key, '.png')])

    @property
    def _job_file(self) -> str:
        return osp.join(self.folder, 'job.json')

    def has_made_something(self) -> bool:
        """Whether there are finished attempts, or files of a set."""
        return any(self.keys()) or holds_files(self.out_dir, but='_job')

    def job(self) -> Dict[str, Any]:
        """The description of the job in the folder; from the manifest where the own is damaged.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If nothing tells.
        """
        try:
            return load_state(self._job_file, is_job)
        except Damaged as error:
            try:
                return load_state(osp.join(self.out_dir, MANIFEST), lambda content: is_job(
                    content['job']))['job']
            except (Damaged, FileNotFoundError):
                raise ValueError(
                    f'{self._job_file} is damaged ({error.why}) and nothing else tells which job '
                    f'the finished attempts belong to; put a copy of it back, or move '
                    f'{self.out_dir} away to make the set again') from None

    def _is(self, job: Dict[str, Any]) -> bool:
        try:
            found = self.job()
        except ValueError:
            return False
        return all(found.get(part) == job[part] for part in job)

    @property
    def plan_file(self) -> str:
        """Path of the stored plan."""
        return osp.join(self.folder, 'plan.jsonl')

    def store_plan(self, slots: List[DistillSlot], may_change: bool = True) -> None:
        """Write the plan, or check it against the one that is there.

        As long as no image is made the plan may change. One that is damaged is replaced if the
        finished attempts are of the same slots.

        Args:
            slots: The slots.
            may_change: Whether no other process can have begun with the plan that is there.

        Raises:
            ValueError: If another plan is there: real set or prompts changed.
        """
        entries = json.loads(strict_json([slot.to_dict() for slot in slots]))
        change = 'the plan changed since the job was started'
        try:
            if read_plan(self.plan_file) == entries:
                return
            fits = may_change and not any(self.keys())
        except FileNotFoundError:
            fits = self._fits(entries)
        except Damaged as error:
            fits = self._fits(entries)
            change = f'{self.plan_file} is damaged ({error.why}), and the plan changed'
            if fits:
                set_aside(self.plan_file, error.why)
        if not fits:
            raise ValueError(f'{self.out_dir}: {change} (other real images, annotations or '
                             f'prompts); give another --work-dir')
        write_plan(self.plan_file, entries)

    def _fits(self, entries: List[dict]) -> bool:
        """Whether all finished attempts are of these slots."""
        marks = {entry['id']: plan_mark(entry) for entry in entries}
        return all(slot in marks and self.read((slot, round)).get('planned', marks[slot])
                   == marks[slot] for slot, round in self.keys())

    def read_plan(self) -> List[dict]:
        """The slots of the stored plan as dicts.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is damaged.
        """
        return read_plan(self.plan_file)

    def _path(self, key: Key, suffix: str) -> str:
        return osp.join(self.attempts, f'{key[0]:06d}_r{key[1]}{suffix}')

    def keys(self) -> Iterator[Key]:
        """(slot id, round) of every finished attempt, in order."""
        if not osp.isdir(self.attempts):
            return
        for name in sorted(os.listdir(self.attempts)):
            found = re.fullmatch(r'(\d{6,})_r(\d+)\.json', name)
            if found:
                yield int(found[1]), int(found[2])

    def require(self, slots: Iterable[DistillSlot]) -> None:
        """Check that there is an attempt at every slot.

        Raises:
            ValueError: If some vanished.
        """
        made = {slot for slot, _ in self.keys()}
        gone = [slot.id for slot in slots if slot.id not in made]
        if gone:
            raise ValueError(f'{self.attempts}: {len(gone)} finished attempts vanished, the first '
                             f'of slot {gone[0]}; run the job again with --resume')

    def __contains__(self, key: Key) -> bool:
        return osp.isfile(self._path(key, '.json'))

    def write(self, sample: DistilledSample) -> None:
        """Store a finished attempt."""
        key = (sample.slot.id, sample.slot.round)
        record = dict(sample_record(sample), planned=plan_mark(sample.slot.to_dict()), image=None)
        if sample.image is not None:
            atomic_save_image(self._path(key, '.png'), sample.image)
            record['image'] = sha256(self._path(key, '.png'))
        write_state(self._path(key, '.json'), record)

    def read(self, key: Key) -> dict:
        """The record of a finished attempt.

        Raises:
            ValueError: If it is damaged.
        """
        return load_state(self._path(key, '.json'), lambda record: (
            (record['slot'], record['round']) == key and RECORD <= set(record)))

    def fault(self, key: Key) -> Optional[str]:
        """What is wrong with the files of a finished attempt; None if nothing is."""
        try:
            record = self.read(key)
        except Damaged as error:
            return error.why
        expected = record.get('image', '')
        if expected is None or record['path']:
            return None
        try:
            if expected:
                whole = sha256(self._path(key, '.png')) == expected
            else:  # of a version that kept no checksum
                whole = self.read_image(key) is not None
        except FileNotFoundError:
            return 'its image is missing'
        except (OSError, ValueError, SyntaxError):
            whole = False
        return None if whole else 'its image is another one, or damaged'

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
        failure = record.get('failure', '')
        return DistilledSample(
            slot=slot,
            image=self.read_image(key) if image and not record['path'] and not failure else None,
            path=record['path'],
            target=load_target(record),
            score=record['score'], judge_score=record.get('judge_score'),
            rank=record.get('rank'), accepted=record['accepted'],
            label_source=record['label_source'], seconds=record['seconds'],
            stats=record['stats'], failure=failure)


def is_job(content: Any) -> bool:
    """Whether a JSON object describes a job."""
    return isinstance(content['fingerprint'], str)


def holds_files(folder: str, but: str = '.') -> bool:
    """Whether a folder holds any file but the temporary ones of a killed writer.

    Folders in it whose names begin with ``but`` are not looked at.
    """
    for base, folders, names in os.walk(folder):
        if any(not name.startswith(UNFINISHED) for name in names):
            return True
        if base == folder:
            folders[:] = [name for name in folders if not name.startswith(but)]
    return False


def sample_record(sample: DistilledSample) -> Dict[str, Any]:
    """A sample without its image, as plain numbers and text."""
    stats, non_finite = without_non_finite(sample.stats)
    if non_finite:
        stats['non_finite'] = non_finite
    optional = dict(judge_score=sample.judge_score, rank=sample.rank,
                    failure=sample.failure or None)
    return dict(
        slot=sample.slot.id, round=sample.slot.round, seed=sample.slot.seed, path=sample.path,
        **sample.target.to_dict(), score=sample.score, accepted=bool(sample.accepted),
        label_source=sample.label_source, seconds=round(sample.seconds, 4), stats=stats,
        **{key: value for key, value in optional.items() if value is not None})


def describe_difference(found: Dict[str, Any], job: Dict[str, Any]) -> str:
    """Name the parts of two job descriptions that differ."""
    parts = [key for key in job if key != 'fingerprint' and found.get(key) != job[key]]
    return f'other {", ".join(parts)}' if parts else 'other fingerprint'
