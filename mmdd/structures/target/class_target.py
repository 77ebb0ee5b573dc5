"""Targets of classification."""
import os.path as osp
from typing import Any, Sequence

import numpy as np

from .base import Reading, Target


class ClassTarget(Target):
    """The class of a whole image."""

    has_objects = False
    uncomposed = 'neither: an image of a classification set has one label'

    @classmethod
    def reads(cls, sample: Any) -> bool:
        """Whether it is mmpretrain's ``DataSample``."""
        return 'gt_label' in sample

    @classmethod
    def read(cls, sample: Any, classes: Sequence[str]) -> Reading:
        """Read the label; an image is named by its folder and file."""
        path = sample.img_path
        height, width = sample.get('ori_shape', (0, 0))[:2]
        labels = sample.gt_label.cpu().numpy().astype(np.int64).reshape(-1)
        return Reading(f'{osp.basename(osp.dirname(path))}/{osp.basename(path)}',
                       (int(height), int(width)), cls(labels))

    def caption(self, classes: Sequence[str]) -> str:
        """The class names."""
        return ' '.join(classes[i].split(',')[0] for i in self.labels)
