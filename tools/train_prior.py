"""Train the embedded prior: a tiny Stable Diffusion on digit scenes.

    python tools/train_prior.py work_dirs/prior --out mmdd/priors/digits-sd
    python tools/train_prior.py work_dirs/prior --init-from mmdd/priors/digits-sd \\
        --vae-steps 0 --steps 5000
    python tools/train_prior.py work_dirs/decoder --init-from mmdd/priors/digits-sd \\
        --decoder-only --vae-steps 1000

Two stages, each resumable (run the same command again): the autoencoder, then
the denoiser with its text encoder, in v-prediction. Only training handwriting
is used: 30 % single digits, else layouts of 1 to 5 digits of natural sizes.
Every scene is described by the project's own prompters, so that the prior knows
the words that the distillers say. The defaults are laid out for a GPU; on a CPU
start from existing weights (--init-from).
"""
import argparse
import copy
import math
import os
import os.path as osp
from functools import partial
from itertools import islice

from prior_training.arguments import add_arguments, add_autoencoder_arguments, parse

from mmdd.utils.arguments import ToolParser, real
from mmdd.utils.cli import SAME_COMMAND, run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, lr=1e-3)
    parser.add_argument('--init-from', help='diffusers folder whose networks to start from')
    parser.add_argument('--single-share', type=real(0, high=1), default=0.3,
                        help='share of the scenes with one large digit')
    parser.add_argument('--counts', type=real(0), nargs='+', metavar='WEIGHT',
                        help='weights of 1, 2, ... digits in the others (up to 5, mostly 3 or 4)')
    add_autoencoder_arguments(parser)
    parser.add_argument('--decoder-only', action='store_true',
                        help='train nothing but the decoder of the autoencoder, for --vae-steps; '
                        'latents and denoiser stay as they are')
    parser.add_argument('--perceptual', type=real(0), default=0.,
                        help='weight of the distance in the features of the digit classifier in '
                        'the loss of the autoencoder, beside L1 and squared error')
    args = parse(parser)
    if args.init_from and not osp.isfile(osp.join(args.init_from, 'model_index.json')):
        parser.error(f'--init-from {args.init_from}: no diffusers folder (model_index.json) there')
    if not args.vae_steps and not args.init_from:
        parser.error('--vae-steps 0 takes the autoencoder as it is: --init-from says which')
    if args.counts and not any(args.counts):
        parser.error('--counts: all weights are 0')
    if args.perceptual and not args.vae_steps:
        parser.error('--perceptual is a term of the training of the autoencoder: give --vae-steps')
    if args.decoder_only and not (args.vae_steps and args.init_from):
        parser.error('--decoder-only needs --init-from, whose decoder is trained, and --vae-steps')
    return args


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before what takes seconds to import

import torch

from mmdd.utils.compat import setup

setup()

from diffusers import (
    AutoencoderKL,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.utils import make_image_grid
from prior_training.autoencoder import build_autoencoder, scale_latents, train_autoencoder
from prior_training.data import COUNTS, SIZE, encode_pool, layout_stream, to_tensor
from prior_training.loop import fit
from prior_training.noise import NoiseLevels, make_scheduler, velocity_loss
from prior_training.perceptual import load_features, perceptual_distance
from transformers import CLIPTextConfig, CLIPTextModel

from mmdd.datasets.digit_scenes import CLASSES
from mmdd.models.diffusions.tokenizer import word_tokenizer
from mmdd.models.prompters import AnnotationPrompter, ClassPrompter
from mmdd.structures import RealAnnotation

BACKGROUND = 'on a textured background'
WORDS = CLASSES + tuple(
    'a an and photo of one two three four left right top bottom center at the large small '
    'overlapping above below on textured plain background nothing'.split())
# Config and weights of what --perceptual compares features of.
CLASSIFIER = ('configs/_base_/backbones/convnet_digits.py',
              'work_dirs/digits/convnet_backbone.pth')
# How often a scene is told by its plain prompt, its contextual one, not at all.
PROMPTS = (0.25, 0.65, 0.10)


def build_vae(init_from):
    if init_from:
        return AutoencoderKL.from_pretrained(
            osp.join(init_from, 'vae'), dtype=torch.float32, use_safetensors=True)
    return build_autoencoder(SIZE)


def build_unet(init_from):
    if init_from:
        return UNet2DConditionModel.from_pretrained(
            osp.join(init_from, 'unet'), dtype=torch.float32, use_safetensors=True)
    return UNet2DConditionModel(
        sample_size=SIZE // 4, block_out_channels=(48, 96, 144), layers_per_block=1,
        down_block_types=('DownBlock2D', ) + ('CrossAttnDownBlock2D', ) * 2,
        up_block_types=('CrossAttnUpBlock2D', ) * 2 + ('UpBlock2D', ),
        cross_attention_dim=96, attention_head_dim=4, norm_num_groups=16)


def build_text(init_from, tokenizer):
    if init_from:
        model = CLIPTextModel.from_pretrained(
            osp.join(init_from, 'text_encoder'), dtype=torch.float32, use_safetensors=True)
        if model.config.vocab_size == len(tokenizer):
            return model
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=96, intermediate_size=192, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id))


def describe(scene):
    """The plain and the contextual prompt of a scene."""
    annotation = RealAnnotation('', '', (SIZE, SIZE), scene.labels, scene.bboxes)
    context = AnnotationPrompter(plural='', background=BACKGROUND, max_objects=6)
    return dict(plain=ClassPrompter(plural='').describe(annotation, CLASSES),
                context=context.describe(annotation, CLASSES))


def scenes(args, seed, start):
    """The stream of scenes that the options ask for."""
    return layout_stream(seed, args.single_share, args.counts or COUNTS, start)


def train_vae(args):
    """Stage 1: the autoencoder, on scenes that no step sees again."""

    def batch(step, g):
        start = (step - 1) * args.vae_batch_size
        return to_tensor(list(islice(scenes(args, args.seed + 1, start), args.vae_batch_size)))

    distance = None
    if args.perceptual:
        features = load_features(*CLASSIFIER, args.device)

        def distance(y, x):
            return args.perceptual * perceptual_distance(features, y, x)

    return train_autoencoder(build_vae(args.init_from), batch, args, args.decoder_only, distance)


def tokenize(tokenizer, prompts):
    return tokenizer(prompts, padding='max_length', truncation=True,
                     max_length=tokenizer.model_max_length, return_tensors='pt').input_ids


def train_unet(args, vae, tokenizer):
    """Stage 2: prediction of v, prompts dropped 10 % of the time."""
    model = torch.nn.ModuleDict(dict(unet=build_unet(args.init_from),
                                     text=build_text(args.init_from, tokenizer)))
    if args.decoder_only:
        return model, True
    pool = encode_pool(vae, args.pool, partial(scenes, args, args.seed), describe, args.work_dir)
    if args.init_from is None:
        scale_latents(vae, pool.latents)
    ids = torch.stack([tokenize(tokenizer, prompts) for prompts in (
        pool.facts['plain'], pool.facts['context'], [''] * args.pool)])
    # Prompts fill less than half of the 77 tokens; what follows the end token is padding, but
    # the denoiser attends to it, so training sees the full length as sampling does.
    alpha_bars = make_scheduler().alphas_cumprod
    levels = NoiseLevels(alpha_bars)

    def loss(step, g):
        pick = torch.randint(0, args.pool, (args.batch_size, ), generator=g)
        kind = torch.multinomial(torch.tensor(PROMPTS), args.batch_size, True, generator=g)
        z = pool.latents[pick].float() * vae.config.scaling_factor
        noise = torch.randn(z.shape, generator=g)
        t = levels.draw(args.batch_size, g)
        batch = [x.to(args.device) for x in (z, noise, alpha_bars[t])]
        condition = model['text'](ids[kind, pick].to(args.device)).last_hidden_state
        t = t.to(args.device)
        return velocity_loss(lambda z_t: model['unet'](z_t, t, condition).sample, *batch).mean()

    def on_save(ema, step):
        export(vae, ema, tokenizer, osp.join(args.work_dir, 'prior'))
        save_samples(osp.join(args.work_dir, 'prior'),
                     osp.join(args.work_dir, f'samples_{step:06d}.png'))

    return fit('unet', model, loss, args, on_save)


def export(vae, model, tokenizer, folder):
    """Write a diffusers Stable Diffusion folder in fp16."""
    vae, unet = copy.deepcopy(vae), copy.deepcopy(model['unet'])
    for network in (vae, unet):  # not where they were loaded from
        network.register_to_config(_name_or_path='')
    pipeline = StableDiffusionPipeline(
        vae=vae, text_encoder=copy.deepcopy(model['text']), tokenizer=tokenizer,
        unet=unet, scheduler=make_scheduler(), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False)
    pipeline.to(torch.float16).save_pretrained(folder)


def sheet_prompts(seed=0, columns=10):
    """Prompts of a sheet: one digit in row 1, then layouts of 2, 3 and 4 digits."""
    prompts = [f'a photo of a {d}' for d in CLASSES]
    for count in (2, 3, 4):
        weights = [float(i + 1 == count) for i in range(count)]
        stream = layout_stream(seed + 99, 0., weights)
        full = (s for s in stream if len(s.labels) == count)
        prompts += [describe(scene)['context'] for scene in islice(full, columns)]
    return prompts


def save_samples(folder, path, steps=25, cfg=4.):
    """A sheet of unguided samples: one, two, three and four digits a row."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    prompts = sheet_prompts()
    generators = [torch.Generator().manual_seed(i) for i in range(len(prompts))]
    draw = partial(pipeline, num_inference_steps=steps, guidance_scale=cfg, height=SIZE,
                   width=SIZE)
    images = draw(prompts, generator=generators).images
    make_image_grid(images, math.ceil(len(images) / 10), 10).save(path)


def main():
    args = parse_args()
    torch.manual_seed(args.seed)
    os.makedirs(args.work_dir, exist_ok=True)
    tokenizer = word_tokenizer(WORDS)
    vae, done = train_vae(args)
    if not done:
        return
    model, done = train_unet(args, vae, tokenizer)
    if args.out and done:
        export(vae, model, tokenizer, args.out)
        print(f'wrote {args.out}')


if __name__ == '__main__':
    run_cli(main, SAME_COMMAND)
