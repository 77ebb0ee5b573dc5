"""Train the small decoder that energies look through: what AutoencoderTiny is to an autoencoder.

    python tools/train_small_decoder.py work_dirs/small_decoder \\
        --out mmdd/priors/digits-sd/small_decoder

Guidance decodes the clean estimate at every step and takes a gradient through
the decoder, which for small latents costs more than the denoiser. The small one
learns to give the image of the full one, on latents of training scenes and on
clean estimates of the denoiser at all noise levels, which is what it will see.
Resumable: run the same command again. The defaults are laid out for a CPU core
and about ten minutes.
"""
import argparse
import os
import os.path as osp

from prior_training.arguments import add_arguments, parse

from mmdd.utils.arguments import ToolParser, whole
from mmdd.utils.cli import SAME_COMMAND, run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, steps=2000, lr=2e-3, batch_size=32, pool=4000, warmup=50, ema=0.,
                  final_lr=0., weight_decay=0.01, precision='fp32')
    parser.add_argument('--prior', default='mmdd::priors/digits-sd')
    parser.add_argument('--width', type=whole(1), default=24)
    parser.add_argument('--blocks', type=whole(1), nargs=3, default=(2, 1, 1),
                        help='blocks at each size, the smallest first')
    return parse(parser)


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before what takes seconds to import

import torch
import torch.nn.functional as F

from mmdd.utils.compat import setup

setup()

from diffusers import AutoencoderTiny
from prior_training.data import encode_pool, layout_stream
from prior_training.loop import fit
from safetensors.torch import load_file, save_file
from train_prior import describe

from mmdd.models import StableDiffusion
from mmdd.utils.io import atomic_path


@torch.no_grad()
def make_pool(args):
    """Latents (N, 4, 16, 16) and their images (N, 3, 64, 64) as uint8, cached.

    Every second latent is a clean estimate of the denoiser at a random timestep.
    """
    path = osp.join(args.work_dir, f'images_{args.pool}.safetensors')
    if osp.isfile(path):
        state = load_file(path)
        return state['latents'], state['images']
    prior = StableDiffusion(args.prior, cfg_scale=1., dtype='fp32').to(args.device)
    scenes = encode_pool(prior.vae, args.pool,
                         lambda start: layout_stream(args.seed + 11, 0.4, start=start),
                         describe, args.work_dir)
    latents, images = [], []
    g = torch.Generator().manual_seed(args.seed)
    for start in range(0, args.pool, 64):
        z = scenes.latents[start:start + 64].to(args.device).float()
        z = z * prior.vae.config.scaling_factor
        prompts = scenes.facts['context'][start:start + 64]
        z[1::2] = clean_estimates(prior, z, prompts, g)[1::2]
        decoded = prior.decode_latents(z).clamp(0, 1)
        latents.append(z.half().cpu())
        images.append((decoded * 255).round().byte().cpu())
        print(f'images {min(start + 64, args.pool)}/{args.pool}', flush=True)
    state = dict(latents=torch.cat(latents).contiguous(), images=torch.cat(images).contiguous())
    with atomic_path(path) as tmp:
        save_file(state, tmp)
    return state['latents'], state['images']


def clean_estimates(prior, z, prompts, g):
    """What the denoiser takes noisy latents for (B, C, h, w), at random timesteps."""
    t = torch.randint(0, prior.num_timesteps, (len(z), ), generator=g).to(z.device)
    noisy = prior.add_noise(z, torch.randn(z.shape, generator=g).to(z), t)
    noise = prior.predict_noise(noisy, t, prior.encode_prompts(prompts))
    return prior.clean_estimate(noisy, noise, t)


def build_decoder(args):
    """An AutoencoderTiny whose encoder is as small as can be: it is never used."""
    return AutoencoderTiny(
        encoder_block_out_channels=(8, ) * 3, num_encoder_blocks=(0, ) * 3,
        decoder_block_out_channels=(args.width, ) * 3, num_decoder_blocks=tuple(args.blocks))


def train(args, latents, images):
    """Fit the decoder by L1 and squared error on the images of the full one."""
    model = build_decoder(args)
    model.encoder.requires_grad_(False)

    def loss(step, g):
        pick = torch.randint(0, len(latents), (args.batch_size, ), generator=g)
        z = latents[pick].to(args.device).float()
        target = images[pick].to(args.device).float() / 127.5 - 1
        y = model.decode(z).sample.float()
        return F.l1_loss(y, target) + F.mse_loss(y, target)

    return fit('decoder', model, loss, args)


def main():
    args = parse_args()
    torch.manual_seed(args.seed)
    os.makedirs(args.work_dir, exist_ok=True)
    model, done = train(args, *make_pool(args))
    if args.out and done:
        model.to(torch.float16).save_pretrained(args.out)
        print(f'wrote {args.out}')


if __name__ == '__main__':
    run_cli(main, SAME_COMMAND)
