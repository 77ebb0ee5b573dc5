"""How well raw samples show what their slots asked for, as the proxy sees them."""
import os.path as osp
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence

import numpy as np
import torch

from mmdd.datasets.journal import Journal
from mmdd.models import DetectorProxy
from mmdd.models.proxies.detector import matched_score
from mmdd.models.refiners.proxy_refiner import images_to_tensor
from mmdd.structures import DistilledSample, DistillSlot
from mmdd.utils.picture import Tile

IOU_THRS = np.arange(0.5, 1, 0.05).round(2).tolist()


@dataclass
class RawSet:
    """First-round samples of a job with what the proxy sees in them.

    Attributes:
        name: Name of the set in tables.
        samples: One per finished slot, in order.
        predictions: Detections of each, ``InstanceData`` with bboxes, scores
            and labels.
        scores: (B,) scores by the proxy's score mode.
        matched: (B,) mean confidence with which the asked boxes were found.
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
        ValueError: If the job made no images or its slots have no boxes.
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
    if any(sample.slot.bboxes is None for sample in samples):
        raise ValueError(f'{folder}: its slots have no boxes; this measures detection sets')
    return samples


def judge(name: str, samples: List[DistilledSample], proxy: DetectorProxy,
          batch_size: int = 16) -> RawSet:
    """Let the proxy look at raw samples.

    Args:
        name: Name of the set.
        samples: Samples of one size.
        proxy: The trained proxy.
        batch_size: Images a forward pass.
    """
    device = next(proxy.parameters()).device
    predictions, scores = [], []
    for i in range(0, len(samples), batch_size):
        batch = samples[i:i + batch_size]
        images = images_to_tensor(batch).to(device)
        found = proxy.predict(images)
        predictions += found
        scores += proxy.score(images, batch, found).tolist()
    matched = [matched_score(found, sample.slot.bboxes, sample.slot.labels)
               for found, sample in zip(predictions, samples)]
    return RawSet(name, samples, predictions, np.array(scores), np.array(matched))


def average_precision(raw: RawSet, num_classes: int) -> Dict[str, float]:
    """AP at an IoU of 0.5, and the mean over the ten thresholds of COCO.

    Args:
        raw: Judged samples; the boxes of their slots are the truth.
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


def guidance_ap(raw: RawSet, num_classes: int, threshold: float) -> Dict[str, Any]:
    """Everything that is said of one set.

    Args:
        raw: Judged samples.
        num_classes: Number of classes.
        threshold: The score from which refinement keeps a sample.

    Returns:
        dict: Number of raw images, AP50, mAP, mean matched score, and the share
        of slots whose score reaches the threshold, all in [0, 1].
    """
    return dict(images=len(raw.samples), **average_precision(raw, num_classes),
                matched=float(raw.matched.mean()),
                passed=float((raw.scores >= threshold - 1e-6).mean()))


def comparison_tiles(sets: Sequence[RawSet], num: int, thr: float) -> List[Tile]:
    """Tiles of the same slots in several sets, the sets of a slot side by side.

    White boxes were asked for, coloured ones are detections.

    Args:
        sets: Judged sets.
        num: How many slots are shown at most.
        thr: Confidence from which a detection is drawn.
    """
    index = [{sample.slot.id: i for i, sample in enumerate(raw.samples)} for raw in sets]
    common = sorted(set.intersection(*(set(ids) for ids in index)))[:num]
    tiles = []
    for slot in common:
        for raw, ids in zip(sets, index):
            i = ids[slot]
            found = raw.predictions[i]
            found = found[found.scores >= thr]
            sample = raw.samples[i]
            tiles.append(Tile(
                sample.image, found.bboxes.numpy(), found.labels.tolist(),
                asked=sample.slot.bboxes, caption=f'{raw.name} {slot} {raw.matched[i]:.2f}'))
    return tiles
