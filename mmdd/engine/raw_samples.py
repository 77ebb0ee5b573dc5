"""Unrefined samples of a finished job, for a job that differs in refinement alone."""
import json
import os.path as osp
from typing import Dict, List, Optional, Sequence

from mmdd.datasets.journal import Journal
from mmdd.structures import DistilledSample, DistillSlot


class RawSamples:
    """Looks up what another job sampled, so that no image is denoised twice.

    The arms of an ablation often differ in their refiners only: slots, seeds,
    prompts and guidance are the same, and so are the images before refinement.

    Args:
        folder: Distilled set of the other job.
        raw_samples: What must have decided its images, see :func:`describe_job`.

    Raises:
        ValueError: If the folder holds no job, one whose images differ, or one
            that refined them.
    """

    def __init__(self, folder: str, raw_samples: str) -> None:
        self.journal = Journal(folder)
        path = osp.join(self.journal.folder, 'job.json')
        if not osp.isfile(path):
            raise ValueError(f'train_cfg.reuse: {folder} holds no distillation job; correct it or '
                             f'leave it out')
        with open(path, encoding='utf-8') as f:
            job = json.load(f)
        if job.get('raw_samples') != raw_samples or job.get('refined', True):
            raise ValueError(
                f'train_cfg.reuse: {folder} holds images of another kind (other settings than '
                f'those of refinement, or refined ones); correct it or leave it out')
        self._plan: Dict[int, dict] = {}

    def find(self, slots: Sequence[DistillSlot]) -> Optional[List[DistilledSample]]:
        """The samples of a batch before refinement, or None where one is missing."""
        if not self._plan:
            self._plan = {entry['id']: entry for entry in self.journal.read_plan()}
        samples = []
        for slot in slots:
            key = (slot.id, slot.round)
            planned = dict(self._plan.get(slot.id, {}), seed=slot.seed, round=slot.round)
            if key not in self.journal or planned != slot.to_dict():
                return None
            record = self.journal.read(key)
            failure = record.get('failure', '')
            samples.append(DistilledSample(
                slot, image=None if failure else self.journal.read_image(key),
                labels=slot.labels, bboxes=slot.bboxes, mask=slot.mask, failure=failure,
                seconds=record['seconds'], stats=dict(record['stats'], reused=1)))
        return samples
