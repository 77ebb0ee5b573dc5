"""Measure what guidance costs: time per step, time per image, peak memory.

    python tools/analysis_tools/benchmark_guidance.py
    python tools/analysis_tools/benchmark_guidance.py --arch sd15 --dtype bf16 \\
        --decoders full small --out guidance_cost.md
    python tools/analysis_tools/benchmark_guidance.py \\
        --config configs/unidd/faster-rcnn_digits_5pct.py --batch-size 8 --quality 50

With --config: what the whole recipe of a config costs, its hooks with their windows, views
and decoders as they are, beside its own unguided sampling. Both run by turns on the config's
slots; on a CPU the seconds are those of the process, which other processes do not lengthen.
The parts of one guided step follow, with what each would add if it came in every step; and
with --quality the AP50 (of other tasks the mean score) of raw images by ``model.judge``, or
by the proxy where there is no judge.

Without: runs unguided sampling, guidance through the denoiser (wrt='latent') and guidance
around it (wrt='denoised') in one process, through the same adapter, hook and
proxy as a distillation. The detector has random weights: they do not change the
cost. The last column compares the images per second with those of the plain loop:
batch size 1, fp32, guidance through denoiser and full decoder.
"""
import argparse
import statistics
from typing import Optional, Sequence

from mmdd.utils.arguments import CfgOptions, ToolParser, whole
from mmdd.utils.cli import run_cli

ARCHS = dict(
    digits=dict(
        diffusion='configs/_base_/diffusions/digits_sd.py',
        proxy='configs/_base_/proxies/faster-rcnn_digits.py', size=64,
        small='mmdd::priors/digits-sd/small_decoder'),
    sd15=dict(
        diffusion='configs/_base_/diffusions/sd15_random.py',
        proxy='mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py', size=256, small=dict()))
COLUMNS = ('guidance', 'decoder', 'batch', 'ms / step', 'x unguided', 's / image', 'peak MiB',
           'x plain loop')
RECIPE_COLUMNS = ('sampling', 's / batch', 'x unguided')


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', help='distillation config whose whole recipe is measured')
    parser.add_argument('--batch-size', type=whole(1), default=8, help='of --config')
    parser.add_argument('--repeats', type=whole(1), default=3, help='turns of --config')
    parser.add_argument('--quality', type=whole(0), default=0, metavar='N',
                        help='score N raw images of --config, guided and unguided')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions,
                        help='settings of --config to replace: key=value')
    parser.add_argument('--work-dir', default='work_dirs/guidance_cost',
                        help='where --config trains a proxy that has no checkpoint')
    parser.add_argument('--arch', choices=sorted(ARCHS), default='digits',
                        help='digits: the embedded prior; sd15: random weights of SD 1.5 size')
    parser.add_argument('--pretrained', help='folder of diffusion weights to use instead')
    parser.add_argument('--size', type=whole(1), help='side of the images (digits 64, sd15 256)')
    parser.add_argument('--batch-sizes', type=whole(1), nargs='+', default=[1, 8, 32])
    parser.add_argument('--decoders', nargs='+', choices=['full', 'small'], default=['full'],
                        help='what decodes the clean estimate for the energy')
    parser.add_argument('--steps', type=whole(1), default=5, help='steps that are measured')
    parser.add_argument('--warmup', type=whole(0), default=1, help='steps before them')
    parser.add_argument('--dtype', choices=['auto', 'fp32', 'bf16', 'fp16'], default='auto')
    parser.add_argument('--compile', action='store_true', help='torch.compile the denoiser')
    parser.add_argument('--channels-last', action='store_true',
                        help='convolution weights by pixel, in all rows')
    parser.add_argument('--out', help='Markdown file for the table')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before what takes seconds to import

import torch
from probes.guidance_cost import Cost, measure_sampling, random_slots
from probes.guidance_recipe import GuidanceRecipe
from probes.recipe_cost import measure_pairs, measure_parts, raw_quality

from mmdd.engine import TaskGuidanceHook
from mmdd.models import DetectorProxy
from mmdd.models.diffusions.loading import pick_dtypes
from mmdd.registry import MODELS
from mmdd.utils.compat import setup
from mmdd.utils.config import load_config
from mmdd.utils.io import atomic_write_text
from mmdd.utils.table import markdown_table, print_table


class Benchmark:
    """The networks of an architecture, and the measurements on them."""

    def __init__(self, args) -> None:
        self.args = args
        self.arch = ARCHS[args.arch]
        self.size = args.size or self.arch['size']
        self.device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self.proxy = DetectorProxy(self.arch['proxy']).to(self.device)
        self.num_classes = len(self.proxy.classes or range(20))

    def build(self, dtype: str, compile: bool):
        """The diffusion adapter with a small decoder, and that decoder."""
        cfg = load_config(self.arch['diffusion']).model.diffusion
        cfg.update(type='mmdd.StableDiffusion', dtype=dtype, compile=compile,
                   channels_last=self.args.channels_last, energy_decoder=self.arch['small'])
        if self.args.pretrained:
            cfg.pretrained = self.args.pretrained
        diffusion = MODELS.build(cfg).to(self.device)
        return diffusion, diffusion.small_decoder

    def measure(self, diffusion, batch: int, wrt: str) -> Optional[Cost]:
        """Measure one cell; ``wrt`` '' is unguided. None where the GPU's memory ends."""
        hook = TaskGuidanceHook(wrt=wrt) if wrt else None
        slots = random_slots(batch, self.size, self.num_classes)
        try:
            return measure_sampling(diffusion, slots, hook, self.proxy, self.args.steps,
                                    self.args.warmup)
        except torch.cuda.OutOfMemoryError:
            return None

    def rows(self):
        """Cells of the table, one row at a time."""
        diffusion, small = self.build('fp32', compile=False)
        diffusion.small_decoder = None
        plain = self.measure(diffusion, 1, 'latent')
        yield row('latent, fp32, plain loop', 'full', 1, plain, None, plain)
        if self.args.compile or pick_dtypes(self.args.dtype)[0] != torch.float32:
            del diffusion, small
            diffusion, small = self.build(self.args.dtype, self.args.compile)
        for batch in self.args.batch_sizes:
            diffusion.small_decoder = None
            free = self.measure(diffusion, batch, '')
            yield row('none', '-', batch, free, free, plain)
            for decoder in self.args.decoders:
                diffusion.small_decoder = small if decoder == 'small' else None
                for wrt in ('latent', 'denoised'):
                    cost = self.measure(diffusion, batch, wrt)
                    yield row(wrt, decoder, batch, cost, free, plain)


def row(name: str, decoder: str, batch: int, cost: Optional[Cost], free: Optional[Cost],
        plain: Optional[Cost]):
    """One row of the table; '-' where there is nothing to compare with."""
    if cost is None:
        return (name, decoder, str(batch), 'out of memory', '-', '-', '-', '-')
    return (name, decoder, str(batch), f'{cost.step * 1000:.1f}',
            '-' if free is None else f'{cost.step / free.step:.2f}', f'{cost.image:.3f}',
            str(cost.memory), '-' if plain is None else f'{plain.image / cost.image:.2f}')


def measure_recipe(args) -> None:
    """Measure the recipe of a config and print it."""
    if args.batch_size < 1 or args.repeats < 1 or args.quality < 0:
        raise ValueError('--batch-size and --repeats must be at least 1, --quality at least 0')
    recipe = GuidanceRecipe(args.config, args.cfg_options, args.work_dir)
    slots = recipe.slots(max(args.batch_size, args.quality))
    batch, asked = slots[:args.batch_size], slots[:args.quality]
    cost = measure_pairs(lambda: recipe.draw(batch), lambda: recipe.draw_guided(batch),
                         args.repeats)
    quality = [f'{raw_quality(draw, asked, recipe.scorer, args.batch_size, recipe.classes):.3f}'
               if asked else '-' for draw in (recipe.draw, recipe.draw_guided)]
    free = statistics.median(cost.free)
    rows = [('unguided', f'{free:.3f}', '1.00', quality[0]),
            (recipe.describe(), f'{statistics.median(cost.guided):.3f}', f'{cost.ratio:.2f}',
             quality[1])]
    steps = recipe.distiller.diffusion.steps
    parts = measure_parts(recipe.distiller.diffusion, recipe.distiller.proxy, batch,
                          recipe.draw(batch), args.repeats)
    rows += [(f'one step: {name}', f'{value:.3f}', f'{value * steps / free:.2f}', '-')
             for name, value in parts.items()]
    print_report(args, f'{args.config}, batch size {args.batch_size}, {steps} steps, median of '
                 f'{args.repeats}, {machine()}', RECIPE_COLUMNS + (recipe.figure, ), rows)


def machine() -> str:
    """What the seconds were measured on."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else \
        f'CPU seconds, {torch.get_num_threads()} threads'
    return f'{name}, torch {torch.__version__}'


def print_report(args, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, and write it where the command line asks for it."""
    print_table(title, columns, rows)
    if args.out:
        atomic_write_text(args.out, f'{title}\n\n{markdown_table(columns, rows)}')
        print(f'table: {args.out}')


def main():
    args = parse_args()
    setup()
    if args.config:
        measure_recipe(args)
        return
    bench = Benchmark(args)
    name = torch.cuda.get_device_name() if bench.device == 'cuda' else \
        f'CPU, {torch.get_num_threads()} threads'
    steps = load_config(bench.arch['diffusion']).model.diffusion.steps
    title = (f'{args.arch}, {bench.size}x{bench.size}, {steps} steps per image, dtype '
             f'{args.dtype}{", compiled" if args.compile else ""}, {name}, torch '
             f'{torch.__version__}')
    print_report(args, title, COLUMNS, list(bench.rows()))


if __name__ == '__main__':
    run_cli(main)
