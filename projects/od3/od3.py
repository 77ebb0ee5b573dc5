"""OD3 (ICLR 2026): objects of real images on one canvas, screened by a detector."""
import time
from dataclasses import replace
from functools import cache, partial
from typing import Any, Callable, List, Mapping, Sequence, Tuple

import numpy as np
import torch
from od3_scene import Scene

from mmdd.datasets import load_image
from mmdd.engine import class_of
from mmdd.models import BaseLabelSampler, CollageInitializer, DatasetDistiller, DetectorProxy
from mmdd.registry import MODELS
from mmdd.structures import Canvas, ComposedLayout, DistilledSample, DistillSlot, RealAnnotation


class ImageShares(BaseLabelSampler):
    """Gives every slot an equal share of the real images; what stands on it comes out later."""

    composes = True

    def check(self, annotation: RealAnnotation) -> None:
        """Check that the real set has boxes."""
        if annotation.bboxes is None:
            raise ValueError(f'OD3 composes boxes, and {annotation.path} has none; give it a '
                             f'detection set')

    def sample(self, annotations: Sequence[RealAnnotation], num: int, num_classes: int,
               seed: int, canvas: Canvas) -> List[ComposedLayout]:
        """``num`` layouts that name their images, none of which is in two."""
        images = sorted(annotations, key=lambda annotation: annotation.image_id)
        order = np.random.default_rng(seed).permutation(len(images))
        shares = order[:len(images) // num * num].reshape(num, -1)
        return [ComposedLayout(f'od3_{seed}_{k}', canvas.size, np.zeros(0, np.int64),
                               tuple(images[i].sources[0] for i in share),
                               np.zeros((0, 4), np.float32)) for k, share in enumerate(shares)]


@MODELS.register_module()
class OD3(DatasetDistiller):
    """`OD3: Optimization-free Dataset Distillation for Object Detection
    <https://arxiv.org/abs/2506.01942>`_: composition, control of placement, screening.

    Args:
        proxy: Config of a ``DetectorProxy``, the observer of the paper.
        max_object: Largest width and height of an object with its surroundings, as shares of
            those of the canvas; larger ones are shrunk.
        context: Surroundings that are cut out with an object, on every side, as a share of the
            canvas's longer side; less the larger the object is.
        outline: Whether an object is cut out along its outline (GrabCut), without surroundings;
            else as a rectangle.
        overlap: Share of an object's box that may lie on others.
        tries: Random places that are tried for an object.
        balance: Whether the classes take turns; else objects come in random order.
        screenings: How often the observer looks, evenly spread over the objects.
        iou, confidence: An object is seen where a detection of at least this confidence, of
            whatever class, has a greater IoU with it.
        content: Share of the canvas that stays covered: nothing is taken off below.
        kwargs: See :class:`DatasetDistiller`.
    """

    draws = False
    limits = dict(
        max_object=dict(above=0, high=1), context=dict(low=0, high=1),
        overlap=dict(low=0, high=1), tries=dict(low=1), screenings=dict(low=0),
        iou=dict(low=0, high=1), confidence=dict(low=0, high=1), content=dict(low=0, high=1))

    def __init__(self, proxy: dict, max_object: float = 0.25, context: float = 0.017,
                 outline: bool = False, overlap: float = 0.6, tries: int = 40,
                 balance: bool = False, screenings: int = 10, iou: float = 0.25,
                 confidence: float = 0.05, content: float = 0.2, **kwargs) -> None:
        super().__init__(proxy=proxy, label_sampler=dict(type=ImageShares), **kwargs)
        self.placement = dict(max_object=max_object, context=context, outline=outline,
                              overlap=overlap, tries=tries)
        self.balance, self.screenings = balance, screenings
        self.iou, self.confidence, self.content = iou, confidence, content

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any]) -> None:
        """Check that there is a detector, before anything is trained."""
        super().check_config(cfg)
        kind = class_of(MODELS, cfg.get('proxy'))
        if kind is None or not issubclass(kind, DetectorProxy):
            raise ValueError("OD3 needs a detector trained on the real set: give "
                             "model.proxy=dict(type='DetectorProxy', cfg=...)")

    def distill_step(self, slots: List[DistillSlot],
                     call_hook: Callable) -> List[DistilledSample]:
        """Compose the canvas of each slot; nothing is generated."""
        known = {annotation.image_id: annotation for annotation in self.annotations}
        return [self.compose(slot, [known[name] for name in slot.sources]) for slot in slots]

    def compose(self, slot: DistillSlot, images: Sequence[RealAnnotation]) -> DistilledSample:
        """Offer the objects of ``images`` to a canvas, and look at it in between."""
        begin, rng = time.perf_counter(), np.random.default_rng(slot.seed)
        read = cache(lambda path: load_image(path, slot.size))
        objects, removed = self.objects(images, rng), 0
        scene = Scene(empty_ground(slot, images), rng, min_box=self.min_box, **self.placement)
        for turn in np.array_split(np.arange(len(objects)), max(1, self.screenings)):
            for path, box, label in (objects[i] for i in turn):
                scene.offer(partial(read, path), box, label)
            if self.screenings:
                removed += scene.take_off(self.unseen(scene), self.content)
        labels = np.array([own.label for own in scene.placed], np.int64)
        stats = dict(offered=len(objects), placed=len(labels), removed=removed,
                     content=float(scene.covered(scene.placed).mean()))
        return DistilledSample(
            replace(slot, labels=labels, bboxes=scene.boxes), image=scene.picture, labels=labels,
            bboxes=scene.boxes, seconds=time.perf_counter() - begin, stats=stats)

    def objects(self, images: Sequence[RealAnnotation],
                rng: np.random.Generator) -> List[Tuple[str, np.ndarray, int]]:
        """(file, box on the canvas, class) of all objects in the order of their turns."""
        found = [(own.path, box, int(label)) for own in images
                 for box, label in zip(own.scaled_bboxes(self.image_size), own.labels)]
        found = [found[i] for i in rng.permutation(len(found))]
        if self.balance:
            labels = [label for _, _, label in found]
            turns = [labels[:i].count(label) for i, label in enumerate(labels)]
            found = [found[i] for i in np.argsort(turns, kind='stable')]
        return found

    @torch.no_grad()
    def unseen(self, scene: Scene) -> List[int]:
        """Which objects of a scene the observer does not detect."""
        from mmdet.structures.bbox import bbox_overlaps
        image = torch.from_numpy(scene.picture).permute(2, 0, 1)[None].float() / 255
        found = self.proxy.predict(image.to(next(self.proxy.parameters()).device))[0]
        sure = found.bboxes[found.scores >= self.confidence].float()
        ious = bbox_overlaps(torch.from_numpy(scene.boxes), sure)
        return (ious > self.iou).any(1).logical_not().nonzero().flatten().tolist()


def empty_ground(slot: DistillSlot, images: Sequence[RealAnnotation]) -> np.ndarray:
    """The image of which objects cover least, (H, W, 3), without them."""
    boxes = [own.scaled_bboxes(slot.size) for own in images]
    best = min(range(len(images)), key=lambda i: (boxes[i][:, 2:] - boxes[i][:, :2]).prod(1).sum())
    ground = dict(path=images[best].path, holes=boxes[best].tolist())
    return CollageInitializer().compose(replace(slot, prototype=dict(grounds=[ground], parts=[])))
