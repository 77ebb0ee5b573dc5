"""A picture of what a distillation job is making."""
import os.path as osp
from typing import List

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmdd.registry import HOOKS
from mmdd.structures import DistilledSample
from mmdd.utils.picture import Tile, save_contact_sheet


@HOOKS.register_module()
class ContactSheetHook(Hook):
    """Keeps ``<work_dir>/progress.png`` up to date: the latest samples with boxes.

    White boxes were asked for; coloured ones are the labels that are kept.

    Args:
        num: How many samples the sheet shows.
    """

    priority = 'VERY_LOW'

    def __init__(self, num: int = 32) -> None:
        self.num = num
        self.tiles: List[Tile] = []

    def after_distill_iter(self, runner, samples: List[DistilledSample]) -> None:
        """Add the samples of a batch and rewrite the sheet."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.tiles += [sample_tile(s) for s in samples if s.image is not None]
        self.tiles = self.tiles[-self.num:]
        if self.tiles and get_rank() == 0:
            save_contact_sheet(osp.join(runner.work_dir, 'progress.png'), self.tiles,
                               model.classes)


def sample_tile(sample: DistilledSample) -> Tile:
    """A tile with the boxes that were asked for and those that are kept."""
    score = '' if sample.score is None else f' {sample.score:.2f}'
    mark = '' if sample.accepted else ' rejected'
    return Tile(sample.image, sample.bboxes, sample.labels, asked=sample.slot.bboxes,
                caption=f'{sample.slot.id}{score}{mark}')
