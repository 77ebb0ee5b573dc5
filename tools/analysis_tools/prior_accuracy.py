"""How often a classifier of real digits reads the asked class in unguided samples.

    python tools/analysis_tools/prior_accuracy.py
    python tools/analysis_tools/prior_accuracy.py \\
        --diffusion configs/_base_/diffusions/digits_dit.py --steps 50 --cfg-scale 4

Draws single-digit images from an embedded prior with plain class prompts, or
the classes themselves, and no guidance by a proxy, and classifies them with the network that
was trained on the real single-digit training images (trained first where it is missing).
"""
import argparse

import cv2
import numpy as np
import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner.checkpoint import load_checkpoint
from rich.progress import track

from mmdd.apis.train import ensure_checkpoint
from mmdd.datasets.digit_scenes import CLASSES
from mmdd.models import FineTuned
from mmdd.models.distillers.base import to_uint8
from mmdd.models.prompters import ClassPrompter
from mmdd.models.proxies.base import read_test_scale
from mmdd.structures import DistillSlot, RealAnnotation, slot_seed
from mmdd.utils.cli import run_cli
from mmdd.utils.compat import setup
from mmdd.utils.config import load_config
from mmdd.utils.picture import Tile, save_contact_sheet


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--diffusion', default='configs/_base_/diffusions/digits_sd.py',
                        help='config whose model.diffusion is the prior')
    parser.add_argument('--prior', help='folder of its weights (the config\'s)')
    parser.add_argument('--fine-tuned', help='fine-tuned weights of a DiT')
    parser.add_argument('--num', type=int, default=200, help='number of samples')
    parser.add_argument('--steps', type=int, default=25)
    parser.add_argument('--cfg-scale', type=float, default=7.)
    parser.add_argument('--batch-size', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--classifier', default='configs/_base_/backbones/convnet_digits.py')
    parser.add_argument('--checkpoint', default='work_dirs/digits/convnet_backbone.pth')
    parser.add_argument('--sheet', help='contact sheet to write')
    return parser.parse_args()


def load_classifier(config, checkpoint):
    """The trained classifier and its BGR uint8 preprocessing."""
    ensure_checkpoint(config, checkpoint)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(load_config(config).model)
    load_checkpoint(model, checkpoint, map_location='cpu', logger='silent')
    model.test_side = read_test_scale(load_config(config))[0][0]
    return model.eval()


@torch.no_grad()
def classify(model, images):
    """Class indices of RGB uint8 images (B, H, W, 3)."""
    side = model.test_side
    images = np.stack([cv2.resize(i, (side, side), interpolation=cv2.INTER_AREA) for i in images])
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2).flip(1)
    data = model.data_preprocessor(dict(inputs=inputs), False)
    return [int(p.pred_label) for p in model.predict(data['inputs'])]


def make_slots(num, seed):
    """Slots that ask for one digit each, classes in turn."""
    prompter, slots = ClassPrompter(plural=''), []
    for i in range(num):
        label = torch.tensor([i % len(CLASSES)]).numpy()
        prompt = prompter.describe(RealAnnotation('', '', (64, 64), label), CLASSES)
        slots.append(DistillSlot(i, slot_seed(seed, i), (64, 64), label, prompt=prompt))
    return slots


def load_prior(args):
    """The diffusion of a config, with the settings of the command line."""
    cfg = load_config(args.diffusion).model.diffusion
    cfg.update(steps=args.steps, cfg_scale=args.cfg_scale)
    if args.prior:
        cfg.pretrained = args.prior
    with DefaultScope.overwrite_default_scope('mmdd'):
        prior = MODELS.build(cfg)
    if args.fine_tuned:
        prior.load_fine_tuned(FineTuned({}, args.fine_tuned).read(0))
    return prior


def main():
    args = parse_args()
    setup()
    classifier = load_classifier(args.classifier, args.checkpoint)
    prior = load_prior(args)
    slots = make_slots(args.num, args.seed)
    tiles, right = [], 0
    for start in track(range(0, args.num, args.batch_size), 'sampling'):
        batch = slots[start:start + args.batch_size]
        images = to_uint8(prior.sample(batch)[0])
        for slot, image, found in zip(batch, images, classify(classifier, images)):
            right += found == int(slot.labels[0])
            tiles.append(Tile(image, caption=f'{slot.labels[0]} read as {found}'))
    if args.sheet:
        save_contact_sheet(args.sheet, tiles, CLASSES, columns=20, side=64)
    print(f'{right} of {args.num} samples are read as the asked class: '
          f'{100 * right / args.num:.1f} %')


if __name__ == '__main__':
    run_cli(main)
