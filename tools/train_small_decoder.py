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
from itertools import islice

import torch
import torch.nn.functional as F
from train_prior import (
    SIZE,
    Progress,
    cosine,
    describe,
    load_state,
    save_state,
    to_tensor,
)

from mmdd.utils.compat import setup

setup()

from diffusers import AutoencoderTiny  # noqa: E402

from mmdd.datasets.digit_scenes import scene_stream  # noqa: E402
from mmdd.models import StableDiffusion  # noqa: E402


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dir', help='folder of the log, the pool and checkpoints')
    parser.add_argument('--out', help='where to write the finished fp16 diffusers folder')
    parser.add_argument('--prior', default='mmdd::priors/digits-sd')
    parser.add_argument('--width', type=int, default=24)
    parser.add_argument('--blocks', type=int, nargs=3, default=(2, 1, 1),
                        help='blocks at each size, the smallest first')
    parser.add_argument('--steps', type=int, default=2000)
    parser.add_argument('--lr', type=float, default=2e-3)
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--pool', type=int, default=4000, help='number of latents')
    parser.add_argument('--save-every', type=int, default=250)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    return parser.parse_args()


@torch.no_grad()
def make_pool(args):
    """Latents (N, 4, 16, 16) and their images (N, 3, 64, 64) as uint8, cached.

    Every second latent is a clean estimate of the denoiser at a random timestep.
    """
    path = osp.join(args.work_dir, f'pool_{args.pool}.pt')
    state = load_state(path, 'cpu')
    if state is not None:
        return state['latents'], state['images']
    prior = StableDiffusion(args.prior, cfg_scale=1., dtype='fp32').to(args.device)
    latents, images = [], []
    stream, g = scene_stream(args.seed + 11, SIZE), torch.Generator().manual_seed(args.seed)
    while sum(map(len, latents)) < args.pool:
        scenes = list(islice(stream, min(64, args.pool)))
        z = prior.encode_images((to_tensor(scenes).to(args.device) + 1) / 2)
        estimates = clean_estimates(prior, z, [describe(scene)[1] for scene in scenes], g)
        z[1::2] = estimates[1::2]
        decoded = prior.decode_latents(z).clamp(0, 1)
        latents.append(z.half().cpu())
        images.append((decoded * 255).round().byte().cpu())
        print(f'pool {sum(map(len, latents))}/{args.pool}', flush=True)
    state = dict(latents=torch.cat(latents)[:args.pool], images=torch.cat(images)[:args.pool])
    save_state(path, **state)
    return state['latents'], state['images']


def clean_estimates(prior, z, prompts, g):
    """What the denoiser takes noisy latents for (B, C, h, w), at random timesteps."""
    t = torch.randint(0, prior.num_timesteps, (len(z), ), generator=g).to(z.device)
    noisy = prior.add_noise(z, torch.randn(z.shape, generator=g).to(z), t)
    noise = prior.predict_noise(noisy, t, prior.encode_prompts(prompts))
    alpha_bar = prior.alpha_bars(t)
    return (noisy - (1 - alpha_bar)**0.5 * noise) / alpha_bar**0.5


def build_decoder(args):
    """An AutoencoderTiny whose encoder is as small as can be: it is never used."""
    return AutoencoderTiny(
        encoder_block_out_channels=(8, ) * 3, num_encoder_blocks=(0, ) * 3,
        decoder_block_out_channels=(args.width, ) * 3, num_decoder_blocks=tuple(args.blocks))


def train(args, latents, images):
    """Fit the decoder by L1 and squared error on the images of the full one."""
    path = osp.join(args.work_dir, 'decoder.pt')
    model = build_decoder(args).to(args.device).train()
    optimizer = torch.optim.AdamW(model.decoder.parameters(), lr=args.lr)
    state = load_state(path, args.device)
    start = 0
    if state is not None:
        model.load_state_dict(state['model'])
        optimizer.load_state_dict(state['optimizer'])
        start = state['step']
    progress = Progress('decoder', args.steps, osp.join(args.work_dir, 'log.jsonl'), start)
    for step in range(start + 1, args.steps + 1):
        g = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
        pick = torch.randint(0, len(latents), (args.batch_size, ), generator=g)
        z = latents[pick].to(args.device).float()
        target = images[pick].to(args.device).float() / 127.5 - 1
        cosine(optimizer, args.lr, step - 1, args.steps)
        y = model.decode(z).sample
        loss = F.l1_loss(y, target) + F.mse_loss(y, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.step(step, loss.item())
        if step % args.save_every == 0 or step == args.steps:
            save_state(path, model=model.state_dict(), optimizer=optimizer.state_dict(), step=step)
    return model.eval()


def main():
    args = parse_args()
    torch.manual_seed(args.seed)
    os.makedirs(args.work_dir, exist_ok=True)
    model = train(args, *make_pool(args))
    if args.out:
        model.to(torch.float16).save_pretrained(args.out)
        print(f'wrote {args.out}')


if __name__ == '__main__':
    main()
