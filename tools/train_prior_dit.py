"""Train a class-conditional prior: a small DiT, of single digits or of your photographs.

    python tools/train_prior_dit.py work_dirs/prior_dit --out mmdd/priors/digits-dit
    python tools/train_prior_dit.py work_dirs/cifar10_dit --data data/cifar10 --size 32 --flip \\
        --out work_dirs/priors/cifar10_dit

Without --data it is the embedded prior: only training handwriting is used, and
the autoencoder is that of the embedded Stable Diffusion. With --data, a folder
of class folders, a small autoencoder is trained first, or --vae names one, such
as TAESD. Latents are encoded once; the DiT predicts v. Resumable: run the same
command again. The defaults are laid out for one CPU core and about an hour.
"""
import argparse
import os
from typing import Optional

from prior_training.arguments import (
    add_arguments,
    add_autoencoder_arguments,
    add_dit_arguments,
    parse,
)

from mmdd.utils.arguments import ToolParser, whole
from mmdd.utils.cli import SAME_COMMAND, run_cli

DIGITS_VAE = 'mmdd::priors/digits-sd/vae'
# Options that say nothing where digits are drawn, photographs are, and an autoencoder is given.
OF_AUTOENCODER = ('vae_widths', 'vae_steps', 'vae_lr', 'vae_batch_size')
OF_PHOTOGRAPHS = ('size', 'flip', *OF_AUTOENCODER)
OF_DIGITS = ('pool', )


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, lr=1.5e-3, warmup=150, weight_decay=0.01, pool=20000, steps=6000,
                  save_every=500)
    add_dit_arguments(parser)
    parser.add_argument('--data', help='folder of class folders; without it, digits are drawn')
    parser.add_argument('--size', type=whole(8), default=32, help='side of the photographs')
    parser.add_argument('--flip', action='store_true',
                        help='photographs mirrored as well, for classes that stand it')
    parser.add_argument('--vae', help='folder of an autoencoder of diffusers that is taken as it '
                        'is; with --data one is trained where none is given')
    parser.add_argument('--vae-widths', type=whole(1), nargs='+', default=[32, 64, 64],
                        help='channels of the autoencoder that is trained; its latents have '
                        'half the side from each to the next')
    add_autoencoder_arguments(parser)
    args = parse(parser)
    idle = {name: 'needs --data' for name in OF_PHOTOGRAPHS} if not args.data else {
        **{name: 'does nothing with --data: all photographs are used' for name in OF_DIGITS},
        **{name: 'does nothing with --vae' for name in OF_AUTOENCODER if args.vae}}
    for name, reason in idle.items():
        if getattr(args, name) != parser.get_default(name):
            parser.error(f'--{name.replace("_", "-")} {reason}')
    if not args.vae_steps:
        parser.error('--vae-steps 0: there is no autoencoder to start from; --vae takes one')
    if args.width % args.heads:
        parser.error(f'--width {args.width} is no multiple of --heads {args.heads}')
    return args


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before what takes seconds to import

import torch

from mmdd.utils.compat import setup

setup()

from prior_training.autoencoder import build_autoencoder, scale_latents, train_autoencoder
from prior_training.data import SIZE, encode_pool, layout_stream, to_tensor
from prior_training.dit import Task, check_size, export_dit, train_dit
from prior_training.photographs import Photographs, check_same_training

from mmdd.datasets.digit_scenes import CLASSES
from mmdd.models.diffusions.loading import load_autoencoder
from mmdd.models.diffusions.weights import locate_weights
from mmdd.utils.digest import digest_weights


def digits(args) -> Task:
    """Single digits rendered from training handwriting."""
    folder = args.vae or DIGITS_VAE
    vae = given_autoencoder(folder, args)
    pool = encode_pool(vae, args.pool,
                       lambda start: layout_stream(args.seed + 7, 1., start=start),
                       lambda scene: dict(label=int(scene.labels[0])), args.work_dir)
    return Task(vae, pool, CLASSES, SIZE, folder)


def photographs(args) -> Optional[Task]:
    """The photographs of --data; None while their autoencoder is not trained to the end."""
    photos = Photographs(args.data, args.size, args.flip)
    if args.vae:
        vae = given_autoencoder(args.vae, args)
        check_size(args.size, vae)
    else:
        torch.manual_seed(args.seed)
        vae = build_autoencoder(args.size, args.vae_widths)
        check_size(args.size, vae)
        vae, done = train_autoencoder(
            vae, lambda step, g: to_tensor(photos.draw(args.vae_batch_size, g)), args)
        if not done:
            return None
    check_same_training(args.work_dir, dict(photos.facts(),
                                            autoencoder=digest_weights(vae.state_dict())))
    pool = encode_pool(vae, len(photos), photos.stream, lambda photo: dict(label=photo.label),
                       args.work_dir)
    if not args.vae:
        scale_latents(vae, pool.latents)
    return Task(vae, pool, photos.classes, args.size)


def given_autoencoder(folder, args):
    """A frozen autoencoder of a folder or hub id, in fp32."""
    vae = load_autoencoder(None, locate_weights(folder, '--vae'), torch.float32, torch.float32)
    return vae.to(args.device).eval().requires_grad_(False)


def main():
    args = parse_args()
    os.makedirs(args.work_dir, exist_ok=True)
    task = photographs(args) if args.data else digits(args)
    if task is None:
        return
    model, done = train_dit(args, task)
    if args.out and done:
        export_dit(model, task, args.out)
        print(f'wrote {args.out}')


if __name__ == '__main__':
    run_cli(main, SAME_COMMAND)
