"""Measure guided sampling on one GPU in a few minutes, beside what was planned.

    python tools/analysis_tools/gpu_report.py --minutes 8 --out gpu_report.md
    python tools/analysis_tools/gpu_report.py --tiny

SD 1.5 with random weights, a Faster R-CNN R50 as the proxy, bf16, at 256 and 512 pixels:
seconds of a step, guided beside unguided, and the peak memory beside that of
memory_plan.py. The file is written after every row, so that a run that is cut short leaves
what it measured; rows that the minutes do not suffice for are named at its end. --tiny takes
tiny networks, on any machine. gpu_report.sh brings along wheels that a machine lacks.
"""
import argparse
import time
from typing import List, Optional, Sequence, Tuple

from mmdd.utils.arguments import ToolParser, whole
from mmdd.utils.cli import run_cli

COLUMNS = ('prior', 'size', 'dtype', 'gradient', 'decoder', 'checkpointing', 'batch', 's / step',
           'x unguided', 'peak GB', 'planned GB', 'peak / planned')
# Gradient, decoder and checkpointing of the rows, the unguided one first.
RECIPES = (('', 'full', False), ('latent', 'full', False), ('latent', 'full', True),
           ('latent', 'small', False), ('denoised', 'full', False), ('denoised', 'small', False))


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=whole(1), default=8,
                        help='no row begins later than 0.9 of it')
    parser.add_argument('--steps', type=whole(1), default=5, help='denoising steps of a row')
    parser.add_argument('--batch-sizes', type=whole(1), nargs='+', default=[1, 4])
    parser.add_argument('--tiny', action='store_true', help='a tiny prior, to try the tool')
    parser.add_argument('--out', default='gpu_report.md', help='Markdown file')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before what takes seconds to import

import torch
from probes.guidance_cost import measure_sampling, random_slots
from probes.memory_plan import GB, Recipe, networks_of, plan_recipe

from mmdd.engine import TaskGuidanceHook
from mmdd.utils.compat import setup
from mmdd.utils.io import atomic_write_text
from mmdd.utils.machine import commit
from mmdd.utils.table import markdown_table


def cases(tiny: bool, batches: Sequence[int]) -> List[Tuple[Recipe, int]]:
    """(recipe, batch) of each row."""
    arch, sizes, dtype = ('tiny', (64, ), 'fp32') if tiny else ('sd15', (512, 256), 'bf16')
    return [(Recipe(arch, size, wrt, decoder, checkpointing, dtype), batch) for size in sizes
            for batch in batches for wrt, decoder, checkpointing in RECIPES]


class Report:
    """Measures row by row, and keeps the file up to date.

    Args:
        args: The command line.
    """

    def __init__(self, args) -> None:
        self.args = args
        self.device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self.begin = time.monotonic()
        self.rows: List[Tuple[str, ...]] = []
        self.left_out: List[str] = []
        self.free: Optional[float] = None

    def run(self) -> None:
        """Measure every case that the minutes suffice for."""
        for recipe, batch in cases(self.args.tiny, self.args.batch_sizes):
            name = ' '.join((*recipe.cells(), f'batch {batch}'))
            if time.monotonic() - self.begin > 54 * self.args.minutes:
                self.left_out.append(name)
            else:
                self.rows.append(self.row(recipe, batch))
                print(f'{time.monotonic() - self.begin:.0f} s: {" ".join(self.rows[-1])}')
            self.write()

    def row(self, recipe: Recipe, batch: int) -> Tuple[str, ...]:
        """Measure one case."""
        parts = networks_of(recipe, self.device)
        hook = TaskGuidanceHook(scale=1., wrt=recipe.wrt) if recipe.wrt else None
        planned = plan_recipe(recipe, batch).peak / GB
        head = (*recipe.cells(), str(batch))
        if not recipe.wrt:
            self.free = None
        try:
            cost = measure_sampling(parts.diffusion, random_slots(batch, recipe.size, 10), hook,
                                    parts.proxy, self.args.steps)
        except torch.cuda.OutOfMemoryError:
            return (*head, 'out of memory', '-', '-', f'{planned:.2f}', '-')
        if not recipe.wrt:
            self.free = cost.step
        peak = cost.memory * 2**20 / GB
        return (*head, f'{cost.step:.4f}', f'{cost.step / self.free:.2f}' if self.free else '-',
                f'{peak:.2f}', f'{planned:.2f}', f'{peak / planned:.2f}')

    def write(self) -> None:
        """Write the file."""
        gpu = torch.cuda.get_device_name() if self.device == 'cuda' else \
            'no GPU: peaks are those of the whole process'
        text = (f'# Guided sampling on one machine\n\n{gpu}, torch {torch.__version__}, commit '
                f'{commit() or "unknown"}, {self.args.steps} steps per row, median; GB of 10^9 '
                f'bytes.\n\n'
                f'{markdown_table(COLUMNS, self.rows)}')
        if self.left_out:
            text += '\nNot measured for want of time:\n\n' + ''.join(
                f'- {name}\n' for name in self.left_out)
        atomic_write_text(self.args.out, text)


def main():
    args = parse_args()
    setup()
    Report(args).run()
    print(f'report: {args.out}')


if __name__ == '__main__':
    run_cli(main)
