"""Plan what guided sampling needs of a GPU's memory, without a GPU.

    python tools/analysis_tools/memory_plan.py
    python tools/analysis_tools/memory_plan.py --arch sdxl --size 1024 --dtype bf16
    python tools/analysis_tools/memory_plan.py --out docs/memory.md

The networks are built without data, so a minute on any machine is enough. A row gives the GB
(10^9 bytes) that a guided step keeps of one image for its backward pass, those needed by
batch size, and the largest batch that 16, 24, 40 and 80 GB hold. With --arch all recipes of
that prior, without it the rows of docs/memory.md. --out replaces the table in a Markdown
file that has one, and writes the file where there is none.
"""
import argparse
import os.path as osp

from mmdd.utils.arguments import ToolParser, whole
from mmdd.utils.cli import run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', choices=['sd15', 'sdxl', 'tiny'],
                        help='prior, with random weights')
    parser.add_argument('--size', type=whole(1), default=512, help='side of the images')
    parser.add_argument('--dtype', choices=['bf16', 'fp16', 'fp32'], default='bf16')
    parser.add_argument('--out', help='Markdown file for the table')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before what takes seconds to import

from probes.memory_plan import COLUMNS, ROWS, Recipe, plan_row, variants

from mmdd.utils.compat import setup
from mmdd.utils.io import atomic_write_text
from mmdd.utils.table import markdown_table, print_table


def with_table(text: str, table: str) -> str:
    """A Markdown text with its first table replaced, or with the table at its end."""
    lines = text.splitlines(keepends=True)
    rows = [i for i, line in enumerate(lines) if line.startswith('|')]
    if not rows:
        return f'{text}\n{table}' if text else table
    end = next((i for i in range(rows[0], len(lines)) if not lines[i].startswith('|')), len(lines))
    return ''.join(lines[:rows[0]]) + table + ''.join(lines[end:])


def main():
    args = parse_args()
    setup()
    recipes = ROWS
    if args.arch:
        given = Recipe(arch=args.arch, size=args.size, dtype=args.dtype)
        recipes = [Recipe(args.arch, args.size, '', dtype=args.dtype), *variants(given)]
    rows = [plan_row(recipe) for recipe in recipes]
    print_table('Memory of guided sampling in GB, planned', COLUMNS, rows)
    if args.out:
        text = ''
        if osp.isfile(args.out):
            with open(args.out, encoding='utf-8') as f:
                text = f.read()
        atomic_write_text(args.out, with_table(text, markdown_table(COLUMNS, rows)))
        print(f'table: {args.out}')


if __name__ == '__main__':
    run_cli(main)
