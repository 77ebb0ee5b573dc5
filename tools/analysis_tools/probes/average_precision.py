"""How well raw samples show what their slots asked for, as a proxy or a judge sees them."""
import os.path as osp
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence

import numpy as np
import torch

from mmdd.engine.journal import Journal
from mmdd.models import TaskProxy
from mmdd.models.proxies import detector, segmentor
from mmdd.models.proxies.scoring import images_to_tensor
from mmdd.structures import (
    BACKGROUND,
    IGNORE,
    BoxTarget,
    ClassTarget,
    DistilledSample,
    DistillSlot,
    MaskTarget,
    Target,
)
from mmdd.utils.picture import Tile

IOU_THRS = np.arange(0.5, 1, 0.05).round(2).tolist()


@dataclass
class RawSet:
    """First-round samples of a job with what a network sees in them.

    Attributes:
        name: Name of the set in tables.
        samples: One per finished slot, in order.
        predictions: What it sees in each: ``InstanceData`` with bboxes, scores and labels, or
            probabilities (K,) of an image or (K, H, W) of its pixels.
        scores: (B,) scores by the network's score mode.
        matched: (B,) mean confidence with which the asked boxes were found, or mean probability
            of the classes that were asked for.
    """
    name: str
    samples: List[DistilledSample]
    predictions: List
    scores: np.ndarray
    matched: np.ndarray


def set_folder(folder: str) -> str:
    """The distilled set in a folder: itself, or ``distilled`` inside a work dir.

    Raises:
        ValueError: If there is no journal of a job.
    """
    for candidate in (folder, osp.join(folder, 'distilled')):
        if osp.isfile(osp.join(candidate, '_job', 'plan.jsonl')):
            return candidate
    raise ValueError(f'{folder} holds no distillation job (_job/plan.jsonl): give the folder of '
                     f'a distilled set or its work dir')


def read_raw_samples(folder: str) -> List[DistilledSample]:
    """First-round samples of a job, before any filter, in the order of slots.

    Raises:
        ValueError: If the job made no images.
    """
    journal = Journal(folder)
    slots = [DistillSlot.from_dict(entry) for entry in journal.read_plan()]
    finished = set(journal.keys())
    samples = [journal.load_sample(slot, (slot.id, 0)) for slot in slots
               if (slot.id, 0) in finished]
    samples = [sample for sample in samples if sample.image is not None]
    if not samples:
        raise ValueError(f'{folder} holds no synthetic images: nothing was made yet, or it is a '
                         f'coreset')
    return samples


def look_at(name: str, samples: List[DistilledSample], proxy: TaskProxy,
            batch_size: int = 16) -> RawSet:
    """Let a network look at raw samples.

    Args:
        name: Name of the set.
        samples: Samples of one size.
        proxy: The trained proxy or judge.
        batch_size: Images a forward pass.
    """
    device = next(proxy.parameters()).device
    predictions, scores = [], []
    for i in range(0, len(samples), batch_size):
        batch = samples[i:i + batch_size]
        images = images_to_tensor(batch).to(device)
        found = proxy.predict(images)
        predictions += [one.cpu() for one in found]
        scores += proxy.score(images, batch, found).tolist()
    matched = [confidence_in(found, sample.slot) for found, sample in zip(predictions, samples)]
    return RawSet(name, samples, predictions, np.array(scores), np.array(matched))


def confidence_in(found: Any, slot: DistillSlot) -> float:
    """How sure a prediction is of what its slot asked for, in [0, 1]."""
    if slot.bboxes is not None:
        return detector.matched_score(found, slot.bboxes, slot.labels)
    if slot.mask is not None:
        return segmentor.matched_score(found, torch.from_numpy(slot.mask.astype(np.int64)))
    return float(found[int(slot.labels[0])])


def accuracy(raw: RawSet, classes: Sequence[str]) -> Dict[str, float]:
    """The metrics of the task, all in [0, 1]; what the slots asked for is the truth.

    Args:
        raw: Samples as a network sees them.
        classes: Class names by index.

    Returns:
        dict: ``AP50`` and ``mAP`` where slots have boxes, ``mIoU`` where they have masks, else
        ``top1``.
    """
    slot = raw.samples[0].slot
    if slot.bboxes is not None:
        return average_precision(raw, len(classes))
    if slot.mask is not None:
        return dict(mIoU=mean_iou(raw, classes))
    return dict(top1=float(np.mean([int(found.argmax()) == int(sample.slot.labels[0])
                                    for found, sample in zip(raw.predictions, raw.samples)])))


def mean_iou(raw: RawSet, classes: Sequence[str]) -> float:
    """Mean over the classes that occur of the IoU over all pixels of a set, in [0, 1].

    Pixels of 255 do not count. A class named 'background' is no class here: it fills most of
    the pixels, and guidance is about the others.

    Args:
        raw: Samples as a segmentor sees them; the masks of their slots are the truth.
        classes: Class names by index.
    """
    num = len(classes)
    confusion = np.zeros((num, num), np.int64)
    for found, sample in zip(raw.predictions, raw.samples):
        counted = sample.slot.mask != IGNORE
        pairs = num * sample.slot.mask[counted].astype(np.int64) + found.argmax(0).numpy()[counted]
        confusion += np.bincount(pairs, minlength=num**2).reshape(num, num)
    union = confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
    wanted = [i for i, name in enumerate(classes) if union[i] and name != BACKGROUND]
    return float(np.mean(confusion.diagonal()[wanted] / union[wanted])) if wanted else 0.


def average_precision(raw: RawSet, num_classes: int) -> Dict[str, float]:
    """AP at an IoU of 0.5, and the mean over the ten thresholds of COCO.

    Args:
        raw: Samples as a detector sees them; the boxes of their slots are the truth.
        num_classes: Number of classes; those that no slot asks for do not count.

    Returns:
        dict: ``AP50`` and ``mAP`` in [0, 1].
    """
    from mmdet.evaluation.functional import eval_map
    truth = [dict(bboxes=sample.slot.bboxes, labels=sample.slot.labels)
             for sample in raw.samples]
    detections = []
    for found in raw.predictions:
        rows = torch.cat([found.bboxes, found.scores[:, None]], 1).numpy()
        labels = found.labels.numpy()
        detections.append([rows[labels == c] for c in range(num_classes)])
    aps = [float(eval_map(detections, truth, iou_thr=threshold, logger='silent', nproc=1)[0])
           for threshold in IOU_THRS]
    return dict(AP50=aps[0], mAP=float(np.mean(aps)))


def guidance_ap(raw: RawSet, classes: Sequence[str], threshold: float) -> Dict[str, Any]:
    """Everything that is said of one set.

    Args:
        raw: Samples as a network sees them.
        classes: Class names by index.
        threshold: The score from which refinement keeps a sample.

    Returns:
        dict: Number of raw images, the metrics of :func:`accuracy`, mean matched score, and
        the share of slots whose score reaches the threshold, all in [0, 1].
    """
    return dict(images=len(raw.samples), **accuracy(raw, classes),
                matched=float(raw.matched.mean()),
                passed=float((raw.scores >= threshold - 1e-6).mean()))


def comparison_tiles(sets: Sequence[RawSet], num: int, thr: float) -> List[Tile]:
    """Tiles of the same slots in several sets, the sets of a slot side by side.

    White boxes and outlines were asked for, coloured ones and masks are what the network sees.

    Args:
        sets: Sets as a network sees them.
        num: How many slots are shown at most.
        thr: Confidence from which a detection is drawn.
    """
    index = [{sample.slot.id: i for i, sample in enumerate(raw.samples)} for raw in sets]
    common = sorted(set.intersection(*(set(ids) for ids in index)))[:num]
    tiles = []
    for slot in common:
        for raw, ids in zip(sets, index):
            i = ids[slot]
            tiles.append(seen_tile(raw.samples[i], raw.predictions[i], thr,
                                   f'{raw.name} {slot} {raw.matched[i]:.2f}'))
    return tiles


def seen_tile(sample: DistilledSample, found: Any, thr: float, caption: str) -> Tile:
    """One sample with what a network sees in it."""
    asked = sample.slot.target
    if sample.slot.bboxes is not None:
        found = found[found.scores >= thr]
        seen: Target = BoxTarget(found.labels.numpy(), found.bboxes.numpy())
    elif sample.slot.mask is not None:
        mask = found.argmax(0).byte().numpy()
        seen = MaskTarget(np.unique(mask), mask)
    else:
        seen = ClassTarget(found.argmax(0, keepdim=True).numpy())
        caption = f'{caption} as {int(found.argmax())}'
    return Tile(sample.image, seen, asked, caption)
