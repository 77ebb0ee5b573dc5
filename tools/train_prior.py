"""Train the embedded prior: a tiny Stable Diffusion on digit scenes.

    python tools/train_prior.py work_dirs/prior --out mmdd/priors/digits-sd

Two stages, each resumable (run the same command again): the autoencoder, then
the denoiser with its text encoder. Only training handwriting is used. Every
scene is described by the project's own prompters, so that the prior knows the
words that the distillers say. On one H200 the defaults take about ten minutes;
for a CPU take --batch-size 64 and start from existing weights (--init-from).
"""
import argparse
import copy
import json
import math
import os
import os.path as osp
import time
from itertools import islice

import torch
import torch.nn.functional as F

from mmdd.utils.compat import setup

setup()

from diffusers import (  # noqa: E402
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel  # noqa: E402

from mmdd.datasets.digit_scenes import CLASSES, scene_stream  # noqa: E402
from mmdd.models.diffusions.tokenizer import word_tokenizer  # noqa: E402
from mmdd.models.prompters import AnnotationPrompter, ClassPrompter  # noqa: E402
from mmdd.structures import RealAnnotation  # noqa: E402
from mmdd.utils.io import atomic_path  # noqa: E402

SIZE = 64
BACKGROUND = 'on a textured background'
WORDS = CLASSES + tuple(
    'a an and photo of one two three four left right top bottom center at the large small '
    'overlapping above below on textured plain background nothing'.split())


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dir', help='folder of logs, checkpoints and sample sheets')
    parser.add_argument('--out', help='where to write the finished fp16 diffusers folder')
    parser.add_argument('--init-from', help='diffusers folder whose vae and unet to start from')
    parser.add_argument('--vae-steps', type=int, default=2500)
    parser.add_argument('--vae-lr', type=float, default=1e-3)
    parser.add_argument('--vae-batch-size', type=int, default=256)
    parser.add_argument('--steps', type=int, default=8000)
    parser.add_argument('--lr', type=float, default=1e-3)
    parser.add_argument('--batch-size', type=int, default=512)
    parser.add_argument('--pool', type=int, default=60000, help='number of scenes')
    parser.add_argument('--ema', type=float, default=0.999)
    parser.add_argument('--save-every', type=int, default=250)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    return parser.parse_args()


def build_vae(init_from):
    if init_from:
        return AutoencoderKL.from_pretrained(osp.join(init_from, 'vae'), dtype=torch.float32)
    return AutoencoderKL(
        down_block_types=('DownEncoderBlock2D', ) * 3, up_block_types=('UpDecoderBlock2D', ) * 3,
        block_out_channels=(32, 64, 64), norm_num_groups=8, sample_size=SIZE)


def build_unet(init_from):
    if init_from:
        return UNet2DConditionModel.from_pretrained(
            osp.join(init_from, 'unet'), dtype=torch.float32)
    return UNet2DConditionModel(
        sample_size=SIZE // 4, block_out_channels=(48, 96, 144), layers_per_block=1,
        down_block_types=('DownBlock2D', ) + ('CrossAttnDownBlock2D', ) * 2,
        up_block_types=('CrossAttnUpBlock2D', ) * 2 + ('UpBlock2D', ),
        cross_attention_dim=96, attention_head_dim=4, norm_num_groups=16)


def build_text(init_from, tokenizer):
    if init_from:
        model = CLIPTextModel.from_pretrained(
            osp.join(init_from, 'text_encoder'), dtype=torch.float32)
        if model.config.vocab_size == len(tokenizer):
            return model
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=96, intermediate_size=192, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id))


def to_tensor(scenes):
    """Scenes to (B, 3, H, W) in [-1, 1]."""
    images = torch.stack([torch.from_numpy(s.image) for s in scenes])
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def describe(scene):
    """The plain and the contextual prompt of a scene."""
    annotation = RealAnnotation('', '', (SIZE, SIZE), scene.labels, scene.bboxes)
    plain = ClassPrompter(plural='').describe(annotation, CLASSES)
    context = AnnotationPrompter(
        plural='', background=BACKGROUND).describe(annotation, CLASSES)
    return plain, context


class Progress:
    """Prints a line with loss and ETA, and appends it to a log as JSON."""

    def __init__(self, stage, total, path, start):
        self.stage, self.total, self.path, self.start = stage, total, path, start
        self.begin, self.losses = time.time(), []

    def step(self, step, loss, every=25):
        self.losses.append(loss)
        if step % every and step != self.total:
            return
        seconds = (time.time() - self.begin) / (step - self.start)
        mean = sum(self.losses) / len(self.losses)
        eta = seconds * (self.total - step)
        print(f'{self.stage} [{step}/{self.total}] loss {mean:.4f} {seconds:.2f} s/step '
              f'eta {int(eta // 60)}:{int(eta % 60):02d}', flush=True)
        with open(self.path, 'a') as f:
            f.write(json.dumps(dict(stage=self.stage, step=step, loss=mean)) + '\n')
        self.losses = []


def cosine(optimizer, lr, step, total, warmup=50):
    rate = min(1., (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * step / total))
    for group in optimizer.param_groups:
        group['lr'] = lr * rate


def save_state(path, **state):
    with atomic_path(path) as tmp:
        torch.save(state, tmp)


def load_state(path, device):
    if osp.isfile(path):
        return torch.load(path, map_location=device, weights_only=True)
    return None


def train_vae(args):
    """Stage 1: the autoencoder, on L1 + MSE + a small KL term."""
    path = osp.join(args.work_dir, 'vae.pt')
    vae = build_vae(args.init_from).to(args.device).train()
    optimizer = torch.optim.AdamW(vae.parameters(), lr=args.vae_lr)
    state = load_state(path, args.device)
    start = 0
    if state is not None:
        vae.load_state_dict(state['vae'])
        optimizer.load_state_dict(state['optimizer'])
        start = state['step']
    progress = Progress('vae', args.vae_steps, osp.join(args.work_dir, 'log.jsonl'), start)
    stream = scene_stream(args.seed + 1, SIZE, start=start * args.vae_batch_size)
    for step in range(start + 1, args.vae_steps + 1):
        x = to_tensor(list(islice(stream, args.vae_batch_size))).to(args.device)
        cosine(optimizer, args.vae_lr, step - 1, args.vae_steps)
        posterior = vae.encode(x).latent_dist
        y = vae.decode(posterior.sample()).sample
        loss = F.l1_loss(y, x) + F.mse_loss(y, x) + 1e-6 * posterior.kl().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.step(step, loss.item())
        if step % args.save_every == 0 or step == args.vae_steps:
            save_state(path, vae=vae.state_dict(), optimizer=optimizer.state_dict(), step=step)
    return vae.eval()


@torch.no_grad()
def encode_pool(args, vae):
    """Latents (N, 4, 16, 16) and prompts of the training scenes, cached."""
    path = osp.join(args.work_dir, f'pool_{args.pool}.pt')
    state = load_state(path, 'cpu')
    if state is not None:
        return state['latents'], state['prompts'], state['scale']
    latents, prompts = [], []
    stream = scene_stream(args.seed, SIZE)
    while len(prompts) < args.pool:
        scenes = list(islice(stream, min(256, args.pool - len(prompts))))
        latents.append(vae.encode(to_tensor(scenes).to(args.device)).latent_dist.mean.cpu())
        prompts += [describe(s) for s in scenes]
        print(f'pool {len(prompts)}/{args.pool}', flush=True)
    latents = torch.cat(latents)
    scale = float(1 / latents.std())
    save_state(path, latents=latents, prompts=prompts, scale=scale)
    return latents, prompts, scale


def tokenize(tokenizer, prompts):
    return tokenizer(prompts, padding='max_length', truncation=True,
                     max_length=tokenizer.model_max_length, return_tensors='pt').input_ids


def train_unet(args, vae, tokenizer):
    """Stage 2: noise prediction, prompts dropped 10 % of the time."""
    latents, prompts, scale = encode_pool(args, vae)
    vae.register_to_config(scaling_factor=scale)
    ids = torch.stack([tokenize(tokenizer, list(column)) for column in
                       ([p[0] for p in prompts], [p[1] for p in prompts], [''] * len(prompts))])
    unet = build_unet(args.init_from).to(args.device).train()
    text = build_text(args.init_from, tokenizer).to(args.device).train()
    model = torch.nn.ModuleDict(dict(unet=unet, text=text))
    ema = copy.deepcopy(model).requires_grad_(False).eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-3)
    path = osp.join(args.work_dir, 'unet.pt')
    state = load_state(path, args.device)
    start = 0
    if state is not None:
        model.load_state_dict(state['model'])
        ema.load_state_dict(state['ema'])
        optimizer.load_state_dict(state['optimizer'])
        start = state['step']
    noising = DDPMScheduler.from_config(make_scheduler().config)
    progress = Progress('unet', args.steps, osp.join(args.work_dir, 'log.jsonl'), start)
    for step in range(start + 1, args.steps + 1):
        g = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
        pick = torch.randint(0, len(latents), (args.batch_size, ), generator=g)
        column = torch.multinomial(torch.tensor([0.35, 0.55, 0.1]), args.batch_size, True,
                                   generator=g)
        z = (latents[pick] * scale).to(args.device)
        noise = torch.randn(z.shape, generator=g).to(args.device)
        t = torch.randint(0, 1000, (args.batch_size, ), generator=g).to(args.device)
        cosine(optimizer, args.lr, step - 1, args.steps)
        condition = text(ids[column, pick].to(args.device)).last_hidden_state
        with torch.autocast('cuda', torch.bfloat16, enabled='cuda' in str(args.device)):
            loss = F.mse_loss(unet(noising.add_noise(z, noise, t), t, condition).sample.float(),
                              noise)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            decay = min(args.ema, (1 + step) / (10 + step))
            for a, b in zip(ema.parameters(), model.parameters()):
                a.lerp_(b, 1 - decay)
        progress.step(step, loss.item())
        if step % args.save_every == 0 or step == args.steps:
            save_state(path, model=model.state_dict(), ema=ema.state_dict(),
                       optimizer=optimizer.state_dict(), step=step)
            export(args, vae, ema, tokenizer, osp.join(args.work_dir, 'prior'))
            save_samples(osp.join(args.work_dir, 'prior'),
                         osp.join(args.work_dir, f'samples_{step:06d}.png'))
    return ema


def make_scheduler():
    return DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear',
                         clip_sample=False, set_alpha_to_one=False, steps_offset=1)


def export(args, vae, model, tokenizer, folder):
    """Write a diffusers Stable Diffusion folder in fp16."""
    pipeline = StableDiffusionPipeline(
        vae=copy.deepcopy(vae), text_encoder=copy.deepcopy(model['text']), tokenizer=tokenizer,
        unet=copy.deepcopy(model['unet']), scheduler=make_scheduler(), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False)
    pipeline.to(torch.float16).save_pretrained(folder)


def save_samples(folder, path, steps=50, cfg=4.):
    """A sheet: three rows of one digit a column, three rows of two."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    prompts = [f'a photo of a {d}' for _ in range(3) for d in range(10)]
    prompts += [f'a photo of a {d} and a {(d + 3) % 10}, {d} at the left, '
                f'{(d + 3) % 10} at the right, {d} left of {(d + 3) % 10}, {BACKGROUND}'
                for _ in range(3) for d in range(10)]
    generators = [torch.Generator().manual_seed(i) for i in range(len(prompts))]
    images = pipeline(prompts, num_inference_steps=steps, guidance_scale=cfg,
                      generator=generators, height=SIZE, width=SIZE).images
    from diffusers.utils import make_image_grid
    make_image_grid(images, 6, 10).save(path)


def main():
    args = parse_args()
    torch.manual_seed(args.seed)
    os.makedirs(args.work_dir, exist_ok=True)
    tokenizer = word_tokenizer(WORDS)
    vae = train_vae(args)
    model = train_unet(args, vae, tokenizer)
    if args.out:
        export(args, vae, model, tokenizer, args.out)
        print(f'wrote {args.out}')


if __name__ == '__main__':
    main()
