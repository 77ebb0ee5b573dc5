"""Train the embedded class-conditional prior: a tiny DiT on single digits.

    python tools/train_prior_dit.py work_dirs/prior_dit --out mmdd/priors/digits-dit

Only training handwriting is used. The autoencoder is that of the embedded
Stable Diffusion and is not trained again; latents are encoded once. Resumable:
run the same command again. The defaults are laid out for two CPU cores and
about half an hour.
"""
import argparse
import copy
import os
import os.path as osp
import time
from itertools import islice

import numpy as np
import torch
from train_prior import Progress, cosine, load_state, make_scheduler, save_state, to_tensor

from mmdd.utils.compat import setup

setup()

from diffusers import AutoencoderKL, DDPMScheduler, DiTTransformer2DModel  # noqa: E402

from mmdd.datasets.digit_scenes import CLASSES, scene_stream  # noqa: E402
from mmdd.models import DiT, StableDiffusion  # noqa: E402
from mmdd.models.diffusions.difffit import tie_embedders  # noqa: E402
from mmdd.models.distillers.base import to_uint8  # noqa: E402
from mmdd.models.prompters import ClassPrompter  # noqa: E402
from mmdd.structures import DistillSlot, RealAnnotation, slot_seed  # noqa: E402
from mmdd.utils.config import resolve_path  # noqa: E402
from mmdd.utils.picture import Tile, save_contact_sheet  # noqa: E402

SIZE = 64


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dir', help='folder of logs, checkpoints and sample sheets')
    parser.add_argument('--out', help='where to write the finished fp16 diffusers folder')
    parser.add_argument('--vae', default='mmdd::priors/digits-sd/vae')
    parser.add_argument('--width', type=int, default=128)
    parser.add_argument('--depth', type=int, default=6)
    parser.add_argument('--heads', type=int, default=4)
    parser.add_argument('--steps', type=int, default=4500)
    parser.add_argument('--lr', type=float, default=1.5e-3)
    parser.add_argument('--warmup', type=int, default=150)
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--pool', type=int, default=10000, help='number of images')
    parser.add_argument('--drop', type=float, default=0.1, help='share without a class')
    parser.add_argument('--min-snr', type=float, default=5., help='gamma of min-SNR weighting')
    parser.add_argument('--teacher', help='folder of a text-to-image prior whose predictions for '
                        'the prompt of a class are learnt beside the noise')
    parser.add_argument('--teacher-share', type=float, default=0.7)
    parser.add_argument('--teacher-pool', type=int, default=24000, help='number of its targets')
    parser.add_argument('--ema', type=float, default=0.998)
    parser.add_argument('--bf16', action='store_true', help='autocast to bfloat16')
    parser.add_argument('--save-every', type=int, default=500)
    parser.add_argument('--minutes', type=float, help='stop after this long; resumable')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    return parser.parse_args()


@torch.no_grad()
def encode_pool(args):
    """Scaled latents (N, 4, 16, 16) in fp16 and classes (N,) of training images, cached."""
    path = osp.join(args.work_dir, 'pool.pt')
    state = load_state(path, 'cpu') or dict(latents=torch.zeros(0), labels=torch.zeros(0).long())
    latents, labels = [state['latents']], state['labels'].tolist()
    if len(labels) < args.pool:
        vae = AutoencoderKL.from_pretrained(resolve_path(args.vae), dtype=torch.float32)
        vae = vae.to(args.device).eval()
    stream = scene_stream(args.seed + 7, SIZE, single_share=1., start=len(labels))
    while len(labels) < args.pool:
        scenes = list(islice(stream, min(256, args.pool - len(labels))))
        mean = vae.encode(to_tensor(scenes).to(args.device)).latent_dist.mean
        latents.append((mean * vae.config.scaling_factor).half().cpu())
        labels += [int(scene.labels[0]) for scene in scenes]
        latents = [torch.cat([part for part in latents if len(part)])]
        save_state(path, latents=latents[0], labels=torch.tensor(labels))
        print(f'pool {len(labels)}/{args.pool}', flush=True)
    return latents[0][:args.pool], torch.tensor(labels[:args.pool])


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
        # As large as what the time grows to: with DiT's 0.02 a short training never hears it.
        torch.nn.init.normal_(embedder.class_embedder.embedding_table.weight, std=1.5)
        # the script drops classes itself, from its own generator
        embedder.class_embedder.dropout_prob = 0
        embedder.load_state_dict(model.transformer_blocks[0].norm1.emb.state_dict())
    for layer in (model.proj_out_1, model.proj_out_2):
        torch.nn.init.zeros_(layer.weight)
    tie_embedders(model)
    return model


def min_snr_weights(scheduler, gamma):
    """min(SNR, gamma) / SNR of every timestep: the weights of noise prediction."""
    snr = scheduler.alphas_cumprod / (1 - scheduler.alphas_cumprod)
    return snr.clamp(max=gamma) / snr


class Teacher:
    """Noise predictions of a text-to-image prior for the prompts of classes.

    They lie near the mean of what the noise may be, so that little data teaches much.
    """

    def __init__(self, pretrained, device):
        self.prior = StableDiffusion(pretrained, cfg_scale=1., dtype='fp32').to(device)
        prompter = ClassPrompter(plural='')
        prompts = [prompter.describe(RealAnnotation('', '', (SIZE, SIZE), np.array([i])), CLASSES)
                   for i in range(len(CLASSES))]
        with torch.no_grad():
            self.conditions = self.prior.encode_conditions([
                DistillSlot(i, 0, (SIZE, SIZE), np.array([i]), prompt=prompt)
                for i, prompt in enumerate(prompts)])

    @torch.no_grad()
    def guess(self, noisy, t, classes):
        """Noise predictions (B, C, h, w) for classes (B,), all of them known."""
        return self.prior.predict_noise(noisy, t, self.conditions[classes])


def draw(args, latents, labels, step, num_timesteps, num):
    """z_0, noise, timesteps and classes (some dropped) of one batch, from the seed and step."""
    g = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
    pick = torch.randint(0, len(latents), (num, ), generator=g)
    drop = torch.rand(num, generator=g) < args.drop
    classes = torch.where(drop, len(CLASSES), labels[pick])
    z = latents[pick].float()
    noise = torch.randn(z.shape, generator=g)
    t = torch.randint(0, num_timesteps, (num, ), generator=g)
    return [x.to(args.device) for x in (z, noise, t, classes)]


def teacher_pool(args, latents, labels, noising):
    """Batches with the teacher's targets, made once and cached: z_t, t, classes, target.

    A target is the noise, and ``--teacher-share`` of the teacher's prediction where there is a
    class.
    """
    path = osp.join(args.work_dir, f'teacher_{args.teacher_pool}.pt')
    state = load_state(path, args.device)
    if state is not None:
        return state
    teacher = Teacher(args.teacher, args.device)
    parts, size = [], 96
    for k in range(args.teacher_pool // size):
        z, noise, t, classes = draw(args, latents, labels, -1 - k, len(noising.alphas_cumprod),
                                    size)
        noisy, known = noising.add_noise(z, noise, t), classes < len(CLASSES)
        with torch.autocast(args.device.split(':')[0], torch.bfloat16, enabled=args.bf16):
            guess = teacher.guess(noisy[known], t[known], classes[known])
        noise[known] = noise[known].lerp(guess.float(), args.teacher_share)
        parts.append(dict(noisy=noisy.half(), t=t, classes=classes, target=noise.half()))
        if k % 20 == 0:
            print(f'teacher {k * size}/{args.teacher_pool}', flush=True)
    state = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    save_state(path, **state)
    return state


def train(args):
    latents, labels = encode_pool(args)
    noising = DDPMScheduler.from_config(make_scheduler().config)
    taught = teacher_pool(args, latents, labels, noising) if args.teacher else None
    torch.manual_seed(args.seed)
    model = build_transformer(args).to(args.device).train()
    ema = copy.deepcopy(model).requires_grad_(False).eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.99),
                                  weight_decay=0.01)
    path = osp.join(args.work_dir, 'transformer.pt')
    state = load_state(path, args.device)
    start = 0
    if state is not None:
        model.load_state_dict(state['model'])
        ema.load_state_dict(state['ema'])
        optimizer.load_state_dict(state['optimizer'])
        start = state['step']
    weights = min_snr_weights(noising, args.min_snr).to(args.device)
    progress = Progress('dit', args.steps, osp.join(args.work_dir, 'log.jsonl'), start)
    end = time.time() + 60 * (args.minutes or 1e9)
    for step in range(start + 1, args.steps + 1):
        cosine(optimizer, args.lr, step - 1, args.steps, args.warmup)
        if taught is None:
            z, target, t, classes = draw(args, latents, labels, step, len(weights),
                                         args.batch_size)
            noisy = noising.add_noise(z, target, t)
        else:
            g = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
            pick = torch.randint(0, len(taught['t']), (args.batch_size, ), generator=g)
            noisy, target = taught['noisy'][pick].float(), taught['target'][pick].float()
            t, classes = taught['t'][pick], taught['classes'][pick]
        with torch.autocast(args.device.split(':')[0], torch.bfloat16, enabled=args.bf16):
            out = model(noisy, t, classes).sample.float()
        error = (out - target).square().mean((1, 2, 3))
        loss = (weights[t] * error).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            decay = min(args.ema, (1 + step) / (10 + step))
            for a, b in zip(ema.parameters(), model.parameters()):
                a.lerp_(b, 1 - decay)
        progress.step(step, error.mean().item(), every=50)
        timed_out = time.time() > end
        if step % args.save_every == 0 or step == args.steps or timed_out:
            save_state(path, model=model.state_dict(), ema=ema.state_dict(),
                       optimizer=optimizer.state_dict(), step=step)
            folder = export(ema, osp.join(args.work_dir, 'prior'))
            save_samples(folder, args.vae, osp.join(args.work_dir, f'samples_{step:06d}.png'))
        if timed_out:
            print(f'stopped after {args.minutes} minutes; run again to go on')
            break
    return ema


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
    model = train(args)
    if args.out:
        export(model, args.out)
        print(f'wrote {args.out}')


if __name__ == '__main__':
    main()
