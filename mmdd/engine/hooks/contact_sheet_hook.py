"""A picture of what a distillation job is making."""
import os.path as osp
from typing import List, Sequence

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmdd.registry import HOOKS
from mmdd.structures import DistilledSample
from mmdd.utils.picture import Tile, save_contact_sheet


@HOOKS.register_module()
class ContactSheetHook(Hook):
    """Keeps ``<work_dir>/progress.png`` up to date: the latest samples with their labels.

    White boxes and outlines were asked for; coloured boxes and masks are the
    labels that are kept. A class without either stands below the picture.

    Args:
        num: How many samples the sheet shows.
    """

    priority = 'VERY_LOW'
    limits = dict(num=dict(low=1))

    def __init__(self, num: int = 32) -> None:
        self.num = num
        self.tiles: List[Tile] = []

    def after_distill_iter(self, runner, samples: List[DistilledSample]) -> None:
        """Add the samples of a batch and rewrite the sheet."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.tiles += [sample_tile(s, model.classes) for s in samples if s.image is not None]
        self.tiles = self.tiles[-self.num:]
        if self.tiles and get_rank() == 0:
            save_contact_sheet(osp.join(runner.work_dir, 'progress.png'), self.tiles,
                               model.classes)


def sample_tile(sample: DistilledSample, classes: Sequence[str]) -> Tile:
    """A tile with the labels that were asked for and those that are kept."""
    plain = sample.bboxes is None and sample.mask is None
    names = ' '.join(classes[i].split(',')[0] for i in sample.labels) if plain else ''
    score = '' if sample.score is None else f'{sample.score:.2f}'
    judged = '' if sample.judge_score is None else f'judge {sample.judge_score:.2f}'
    mark = '' if sample.accepted else 'rejected'
    caption = '  '.join(word for word in (f'#{sample.slot.id}', names, score, judged, mark)
                        if word)
    return Tile(sample.image, sample.bboxes, sample.labels, asked=sample.slot.bboxes,
                caption=caption, mask=sample.mask, asked_mask=sample.slot.mask)
