"""A picture of what a distillation job is making."""
import os.path as osp
from typing import Any, Dict, List, Sequence

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmdd.registry import HOOKS
from mmdd.structures import DistilledSample
from mmdd.utils.io import atomic_save_image
from mmdd.utils.picture import Tile, contact_sheet

SHEET = 'progress.png'


@HOOKS.register_module()
class ContactSheetHook(Hook):
    """Keeps ``<work_dir>/progress.png`` up to date: the latest samples with their labels.

    White boxes and outlines were asked for; coloured boxes and masks are the
    labels that are kept. A class without either stands below the picture. The backends of the
    Runner's visualizer get the sheet as ``samples``.

    Args:
        num: How many samples the sheet shows.
        interval: Batches between two sheets for the visualizer, which also gets the last one.

    Raises:
        ValueError: If one of them is below 1.
    """

    priority = 'VERY_LOW'
    limits = dict(num=dict(low=1))

    def __init__(self, num: int = 32, interval: int = 50) -> None:
        if num < 1 or interval < 1:
            raise ValueError(f'ContactSheetHook: num and interval must be at least 1, got {num} '
                             f'and {interval}')
        self.num = num
        self.interval = interval
        self.tiles: List[Tile] = []

    def after_distill_iter(self, runner, samples: List[DistilledSample]) -> None:
        """Add the samples of a batch and rewrite the sheet."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.tiles += [sample_tile(s, model.classes) for s in samples if s.image is not None]
        self.tiles = self.tiles[-self.num:]
        if self.tiles and get_rank() == 0:
            sheet = contact_sheet(self.tiles, model.classes)
            atomic_save_image(osp.join(runner.work_dir, SHEET), sheet)
            if (runner.iter + 1) % self.interval == 0:
                runner.visualizer.add_image('samples', sheet, runner.iter + 1)

    def before_manifest(self, runner, samples: List[DistilledSample],
                        summary: Dict[str, Any]) -> None:
        """Give the last sheet to the visualizer."""
        if self.tiles and runner.iter % self.interval:
            sheet = contact_sheet(self.tiles, runner.train_loop.distiller.classes)
            runner.visualizer.add_image('samples', sheet, runner.iter)


def sample_tile(sample: DistilledSample, classes: Sequence[str]) -> Tile:
    """A tile with the labels that were asked for and those that are kept."""
    score = '' if sample.score is None else f'{sample.score:.2f}'
    judged = '' if sample.judge_score is None else f'judge {sample.judge_score:.2f}'
    mark = '' if sample.accepted else 'rejected'
    caption = '  '.join(word for word in (
        f'#{sample.slot.id}', sample.target.caption(classes), score, judged, mark) if word)
    assert sample.image is not None
    return Tile(sample.image, sample.target, sample.slot.target, caption)
