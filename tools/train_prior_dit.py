"""Train the embedded class-conditional prior: a tiny DiT on single digits.

    python tools/train_prior_dit.py work_dirs/prior_dit --out mmdd/priors/digits-dit

Only training handwriting is used. The autoencoder is that of the embedded
Stable Diffusion and is not trained again; latents are encoded once. It predicts
v. Resumable: run the same command again. The defaults are laid out for one CPU
core and about an hour.
"""
import argparse
import copy
import os
import os.path as osp

import numpy as np
import torch

from mmdd.utils.compat import setup

setup()

from diffusers import AutoencoderKL, DiTTransformer2DModel  # noqa: E402
from prior_training import (  # noqa: E402
    SIZE,
    NoiseLevels,
    add_arguments,
    encode_pool,
    fit,
    layout_stream,
    make_scheduler,
    velocity_loss,
)

from mmdd.datasets.digit_scenes import CLASSES  # noqa: E402
from mmdd.models import DiT  # noqa: E402
from mmdd.models.diffusions.difffit import tie_embedders  # noqa: E402
from mmdd.models.distillers.pictures import to_uint8  # noqa: E402
from mmdd.structures import DistillSlot, slot_seed  # noqa: E402
from mmdd.utils.arguments import ToolParser, real, whole  # noqa: E402
from mmdd.utils.cli import run_cli  # noqa: E402
from mmdd.utils.config import resolve_path  # noqa: E402
from mmdd.utils.picture import Tile, save_contact_sheet  # noqa: E402


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, lr=1.5e-3, warmup=150, weight_decay=0.01, pool=20000, steps=6000,
                  save_every=500)
    parser.add_argument('--vae', default='mmdd::priors/digits-sd/vae')
    parser.add_argument('--width', type=whole(1), default=128)
    parser.add_argument('--depth', type=whole(1), default=6)
    parser.add_argument('--heads', type=whole(1), default=4)
    parser.add_argument('--drop', type=real(0, high=1), default=0.1, help='share without a class')
    return parser.parse_args()


def build_transformer(args):
    """A DiT with the initialisation of its paper: every block begins as the identity."""
    model = DiTTransformer2DModel(
        num_attention_heads=args.heads, attention_head_dim=args.width // args.heads,
        num_layers=args.depth, sample_size=SIZE // 4, patch_size=2,
        num_embeds_ada_norm=len(CLASSES))
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.xavier_uniform_(module.weight)
            torch.nn.init.zeros_(module.bias)
    for block in model.transformer_blocks:
        torch.nn.init.zeros_(block.norm1.linear.weight)
        embedder = block.norm1.emb
        for layer in (embedder.timestep_embedder.linear_1, embedder.timestep_embedder.linear_2):
            torch.nn.init.normal_(layer.weight, std=0.02)
        torch.nn.init.normal_(embedder.class_embedder.embedding_table.weight, std=CLASS_STD)
        # the script drops classes itself, from its own generator
        embedder.class_embedder.dropout_prob = 0
        embedder.load_state_dict(model.transformer_blocks[0].norm1.emb.state_dict())
    for layer in (model.proj_out_1, model.proj_out_2):
        torch.nn.init.zeros_(layer.weight)
    tie_embedders(model)
    return model


# As large as what the time grows to: with DiT's 0.02 a short training hears the class late.
CLASS_STD = 0.5


def train(args):
    """Prediction of v for z_t, timestep and class, the class dropped at times."""
    vae = AutoencoderKL.from_pretrained(
        resolve_path(args.vae), dtype=torch.float32, use_safetensors=True)
    pool = encode_pool(vae.to(args.device).eval(), args.pool,
                       lambda start: layout_stream(args.seed + 7, 1., start=start),
                       lambda scene: dict(label=int(scene.labels[0])), args.work_dir)
    labels = torch.tensor(pool.facts['label'])
    alpha_bars = make_scheduler().alphas_cumprod
    levels = NoiseLevels(alpha_bars)
    torch.manual_seed(args.seed)
    model = build_transformer(args)

    def loss(step, g):
        pick = torch.randint(0, args.pool, (args.batch_size, ), generator=g)
        drop = torch.rand(args.batch_size, generator=g) < args.drop
        z = pool.latents[pick].float() * vae.config.scaling_factor
        noise, t = torch.randn(z.shape, generator=g), levels.draw(args.batch_size, g)
        classes = torch.where(drop, len(CLASSES), labels[pick]).to(args.device)
        batch = [x.to(args.device) for x in (z, noise, alpha_bars[t])]
        t = t.to(args.device)
        return velocity_loss(lambda z_t: model(z_t, t, classes).sample, *batch).mean()

    def on_save(ema, step):
        folder = export(ema, osp.join(args.work_dir, 'prior'))
        save_samples(folder, args.vae, osp.join(args.work_dir, f'samples_{step:06d}.png'))

    return fit('dit', model, loss, args, on_save)


def export(model, folder):
    """Write transformer and scheduler in diffusers' layout, fp16."""
    model = copy.deepcopy(model).half()
    for block in model.transformer_blocks:  # untied: safetensors keeps no shared tensors
        block.norm1.emb = copy.deepcopy(block.norm1.emb)
    model.save_pretrained(osp.join(folder, 'transformer'))
    make_scheduler().save_pretrained(osp.join(folder, 'scheduler'))
    return folder


def save_samples(folder, vae, path, rows=3, steps=25, cfg_scale=4.):
    """A sheet with one digit a column."""
    prior = DiT(folder, vae=vae, steps=steps, cfg_scale=cfg_scale)
    num = rows * len(CLASSES)
    slots = [DistillSlot(i, slot_seed(0, i), (SIZE, SIZE), np.array([i % 10]))
             for i in range(num)]
    images = to_uint8(prior.sample(slots)[0])
    save_contact_sheet(path, [Tile(image) for image in images], CLASSES, columns=10, side=SIZE)


def main():
    args = parse_args()
    os.makedirs(args.work_dir, exist_ok=True)
    model, done = train(args)
    if args.out and done:
        export(model, args.out)
        print(f'wrote {args.out}')


if __name__ == '__main__':
    run_cli(main)
