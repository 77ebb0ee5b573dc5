"""Unrefined samples of a finished job, for a job that differs in refinement alone."""
from typing import Dict, List, Optional, Sequence

from mmengine.logging import print_log

from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.state import Damaged
from .journal import Journal


class RawSamples:
    """Looks up what another job sampled, so that no image is denoised twice.

    The methods of an ablation often differ in their refiners only: slots, seeds,
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
        try:
            job = self.journal.job()
        except FileNotFoundError:
            raise ValueError(f'train_cfg.reuse: {folder} holds no distillation job; correct it or '
                             f'leave it out') from None
        except ValueError as error:
            raise ValueError(f'train_cfg.reuse: {error}') from None
        if job.get('raw_samples') != raw_samples or job.get('refined', True):
            raise ValueError(
                f'train_cfg.reuse: {folder} holds images of another kind (other settings than '
                f'those of refinement, or refined ones); correct it or leave it out')
        self._plan = self._read_plan()

    def _read_plan(self) -> Dict[int, dict]:
        try:
            return {entry['id']: entry for entry in self.journal.read_plan()}
        except (FileNotFoundError, Damaged) as error:
            print_log(f'train_cfg.reuse: {error}; all images are made anew', 'current', level=30)
            return {}

    def find(self, slots: Sequence[DistillSlot]) -> Optional[List[DistilledSample]]:
        """The samples of a batch before refinement, or None where one is missing or damaged."""
        samples = []
        for slot in slots:
            key = (slot.id, slot.round)
            planned = dict(self._plan.get(slot.id, {}), seed=slot.seed, round=slot.round)
            if key not in self.journal or planned != slot.to_dict():
                return None
            fault = self.journal.fault(key)
            if fault:
                print_log(f'train_cfg.reuse: attempt {key} of {self.journal.out_dir} is damaged '
                          f'({fault}) and made anew', 'current', level=30)
                return None
            record = self.journal.read(key)
            failure = record.get('failure', '')
            samples.append(DistilledSample(
                slot, image=None if failure else self.journal.read_image(key),
                target=slot.target, failure=failure,
                seconds=record['seconds'], stats=dict(record['stats'], reused=1)))
        return samples
