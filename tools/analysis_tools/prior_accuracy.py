"""How often networks of real digits read what was asked for in unguided samples.

    python tools/analysis_tools/prior_accuracy.py --cfg-scale 4
    python tools/analysis_tools/prior_accuracy.py --cfg-scale 4 --scenes 100 --sheet sheet.png
    python tools/analysis_tools/prior_accuracy.py \\
        --diffusion configs/_base_/diffusions/digits_dit.py --steps 50 --cfg-scale 4

Draws single-digit images from an embedded prior with plain class prompts, or
the classes themselves, and no guidance by a proxy, and classifies them with the network that
was trained on the real single-digit training images (trained first where it is missing).
With --scenes it draws scenes of 3 and 4 digits instead, with the prompts of layouts of validation
handwriting, and counts how many of the asked digits a detector finds anywhere in the image;
beside it how many it finds in rendered scenes of these layouts, and in these through the
autoencoder. What counts as found has the score at which the detector's F1 is best on other scenes
of validation handwriting, or that of --score-thr.
"""
import argparse
from collections import Counter

from mmdd.utils.arguments import ToolParser, real, seed, whole
from mmdd.utils.cli import run_cli


def parse_args():
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--diffusion', default='configs/_base_/diffusions/digits_sd.py',
                        help='config whose model.diffusion is the prior')
    parser.add_argument('--prior', help='folder of its weights (the config\'s)')
    parser.add_argument('--fine-tuned', help='fine-tuned weights of a DiT')
    parser.add_argument('--num', type=whole(1), default=200, help='number of samples')
    parser.add_argument('--steps', type=whole(1), default=25)
    parser.add_argument('--cfg-scale', type=real(0), default=7.)
    parser.add_argument('--batch-size', type=whole(1), default=20)
    parser.add_argument('--seed', type=seed, default=0)
    parser.add_argument('--classifier', default='configs/_base_/backbones/convnet_digits.py')
    parser.add_argument('--checkpoint', default='work_dirs/digits/convnet_backbone.pth')
    parser.add_argument('--scenes', type=whole(0), help='draw this many scenes of several digits')
    parser.add_argument('--digits', type=whole(0), nargs='+', default=[3, 4],
                        help='digits of a scene')
    parser.add_argument('--detector', default='configs/_base_/proxies/fcos_digits_judge_1120.py')
    parser.add_argument('--detector-checkpoint', default='work_dirs/digits/fcos_judge_1120.pth')
    parser.add_argument('--score-thr', type=real(0, high=1),
                        help='least confidence of what counts as found (that of the best F1)')
    parser.add_argument('--sheet', help='contact sheet to write')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before what takes seconds to import

import cv2
import numpy as np
import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner.checkpoint import load_checkpoint
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmdd.datasets.digit_scenes import CLASSES, render_scene
from mmdd.engine.train_job import ensure_checkpoint
from mmdd.models import DetectorProxy, FineTuned
from mmdd.models.distillers.pictures import to_uint8
from mmdd.models.prompters import AnnotationPrompter, ClassPrompter
from mmdd.models.proxies.base import read_test_scale
from mmdd.structures import DistillSlot, RealAnnotation, slot_seed
from mmdd.utils.compat import setup
from mmdd.utils.config import load_config
from mmdd.utils.picture import Tile, save_contact_sheet


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


def make_scenes(num, counts, seed):
    """Slots of scenes with as many digits as asked for, counts in turn, and the scenes' images.

    Returns:
        tuple: slots, and the rendered scenes (num, 3, 64, 64) in [0, 1] of their layouts.
    """
    prompter = AnnotationPrompter(plural='', background='on a textured background', max_objects=6)
    slots, images, rng = [], [], np.random.default_rng(seed)
    while len(slots) < num:
        count = counts[len(slots) % len(counts)]
        scene = render_scene(rng, 64, 'val', count)
        if len(scene.labels) < count:  # one found no free place
            continue
        layout = RealAnnotation('', '', (64, 64), scene.labels, scene.bboxes)
        slots.append(DistillSlot(
            len(slots), slot_seed(seed, len(slots)), (64, 64), scene.labels, scene.bboxes,
            prompt=prompter.describe(layout, CLASSES)))
        images.append(torch.from_numpy(scene.image).permute(2, 0, 1).float() / 255)
    return slots, torch.stack(images)


def count_found(asked, found):
    """How many of the asked labels are among those found, each of these counted once."""
    return sum((Counter(asked) & Counter(found)).values())


def found_digits(detector, slots, images, score_thr):
    """Share of the asked digits that a detector finds, by the number of digits of a scene."""
    right, asked = Counter(), Counter()
    for slot, found in zip(slots, detector.predict(images)):
        labels = found.labels[found.scores >= score_thr].tolist()
        right[len(slot.labels)] += count_found(slot.labels.tolist(), labels)
        asked[len(slot.labels)] += len(slot.labels)
    return {count: right[count] / asked[count] for count in sorted(asked)}


def best_score(labels, found):
    """The score, a multiple of 0.01, at which detections have the best F1 anywhere in the images.

    Args:
        labels: Labels of the objects of each image.
        found: Detections of each image, with ``labels`` and ``scores``.
    """
    asked = sum(map(len, labels))

    def f1(score):
        kept = [item.labels[item.scores >= score].tolist() for item in found]
        right = sum(map(count_found, labels, kept))
        return 2 * right / (asked + sum(map(len, kept)))

    return max((percent / 100 for percent in range(5, 100)), key=f1)


def score_of_real(detector, seed, num=300):
    """The score of the best F1 on rendered scenes of validation handwriting."""
    rng = np.random.default_rng((seed, num))
    scenes = [render_scene(rng, 64, 'val') for _ in range(num)]
    images = torch.stack([torch.from_numpy(scene.image) for scene in scenes])
    found = detector.predict(images.permute(0, 3, 1, 2).float() / 255)
    return best_score([scene.labels.tolist() for scene in scenes], found)


def load_detector(config, checkpoint):
    """The detector, trained first where its checkpoint is missing."""
    ensure_checkpoint(config, checkpoint)
    return DetectorProxy(config, checkpoint)


@torch.no_grad()
def measure_scenes(args, prior, detector):
    """Print the share of asked digits that a detector finds in drawn and in rendered scenes.

    Of the rendered ones, and of these through the autoencoder, it finds what a prior that draws
    as scenes are rendered could reach.
    """
    slots, rendered = make_scenes(args.scenes, args.digits, args.seed)
    drawn = torch.cat([
        prior.sample(slots[start:start + args.batch_size])[0]
        for start in track(range(0, len(slots), args.batch_size), 'sampling')])
    decoded = prior.decode_latents(prior.encode_images(rendered)).clamp(0, 1)
    rows = dict(drawn=drawn, rendered=rendered, autoencoder=decoded)
    score_thr = args.score_thr
    if score_thr is None:
        score_thr = score_of_real(detector, args.seed)
    table = Table('scenes', *(f'{count} digits' for count in sorted(set(args.digits))),
                  title=f'digits found, of those asked for (score {score_thr} or more)')
    for name, images in rows.items():
        shares = found_digits(detector, slots, images, score_thr)
        table.add_row(name, *(f'{100 * share:.1f} %' for share in shares.values()))
    Console().print(table)
    if args.sheet:
        tiles = [Tile(image, caption=' '.join(map(str, sorted(slot.labels.tolist()))))
                 for slot, image in zip(slots, to_uint8(drawn))]
        save_contact_sheet(args.sheet, tiles, CLASSES, columns=16, side=64)


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


def measure_singles(args, prior):
    """Print the share of single digits that a classifier reads as asked."""
    classifier = load_classifier(args.classifier, args.checkpoint)
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


def main():
    args = parse_args()
    setup()
    prior = load_prior(args)
    if args.scenes:
        measure_scenes(args, prior, load_detector(args.detector, args.detector_checkpoint))
    else:
        measure_singles(args, prior)


if __name__ == '__main__':
    run_cli(main)
