"""A small picture of the latest images in the terminal."""
import sys
import time
from typing import List

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from rich.console import Console

from mmdd.registry import HOOKS
from mmdd.structures import DistilledSample
from mmdd.utils.console import LIVE
from mmdd.utils.half_blocks import half_blocks, side_by_side


@HOOKS.register_module()
class TerminalPreviewHook(Hook):
    """Shows the first images of a batch in the terminal, in half blocks of two pixels each.

    Only rank 0 does, and only where the standard output is a terminal with colours. Nothing of it
    goes to a log, and no image is changed.

    Args:
        height: Of the pictures, in pixels, two to a line of the terminal.
        every: Least seconds between two previews.

    Raises:
        ValueError: If ``height`` is below 2 or ``every`` is negative.
    """

    priority = 'VERY_LOW'
    limits = dict(height=dict(low=2), every=dict(low=0))

    def __init__(self, height: int = 24, every: float = 20.) -> None:
        if height < 2 or every < 0:
            raise ValueError(f'TerminalPreviewHook: height must be at least 2 and every at least '
                             f'0, got {height} and {every}')
        self.height = height
        self.every = every
        self.last = float('-inf')

    def after_distill_iter(self, runner, samples: List[DistilledSample]) -> None:
        """Show the images of a batch, unless others were shown a moment ago."""
        images = [sample.image for sample in samples if sample.image is not None]
        if not images or get_rank() != 0 or not sys.stdout.isatty():
            return
        console = Console(file=sys.stdout)
        colourless = console.color_system is None or console.no_color
        if colourless or time.monotonic() - self.last < self.every:
            return
        self.last = time.monotonic()
        LIVE.clear()
        console.print(half_blocks(side_by_side(images, self.height, console.width)), end='')
