"""Layouts that are composed of objects of several real images."""
import hashlib
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from mmdd.registry import TASK_UTILS
from mmdd.structures import (
    IGNORE,
    Canvas,
    ComposedLayout,
    Ground,
    Layout,
    Part,
    RealAnnotation,
    Source,
    encode_mask,
)
from mmdd.utils.numbers import check_number
from mmdd.utils.seed import derive_seed
from .cooccurrence import ClassChooser
from .object_scores import ScoreTable, check_scores_objects, pool_scores, score_objects, surest
from .objects import ObjectPool, paint, visible_pixels
from .placement import count_weights, place, resize
from .samplers import BaseLabelSampler


@TASK_UTILS.register_module()
class ComposedLabelSampler(BaseLabelSampler):
    """Composes the objects of several real images on one canvas.

    An object is a box, with a mask of its own or without, or a connected region of a class in a
    mask (:class:`ObjectPool`). It
    keeps the size that it has in its image, stretched to ``model.image_size``, and its place
    too where that is free; else it moves by whole pixels to the first free one of ``tries``
    random places. What is cut off by the border of its image may then lie in the middle.

    A layout is drawn in these steps:

    1. The number of its objects, from ``objects``.
    2. Their classes, one after the other: :class:`ClassChooser`. Without ``cooccurrence`` the
       rarest class of the plan so far is next, so that no class is ahead of another by more
       than one object (as long as all objects find a place).
    3. An object of each class: a random one of those used least so far.
    4. Their places, the largest object first. Where one finds none, the largest is drawn again
       among the smaller objects of its class. So the number is met wherever smaller objects
       leave space; else the largest choice that was placed is kept, never none.

    In segmentation the pixels of an object are painted over those of larger ones. The pixels
    to ignore along its outline go with it, as far as they lie on background; other pixels to
    ignore stay behind. Where nothing is, there is the class 'background', or, in a set
    without one, pixels to ignore. ``labels`` are the classes that can be seen. In instance
    segmentation the mask of an object loses what smaller ones cover, and its box shrinks to the
    rest.

    The plan depends on the set of annotations, not on their order, and starts with the
    shorter plan of the same seed.

    Args:
        objects: Objects of a layout: a number; (least, most), each as likely; weights by number
            as a dict, ``{3: 1, 4: 2}``; or 'natural', the numbers of the real images.
        overlap: Share of the smaller of two boxes that they may have in common, in [0, 1].
        tries: Random places for an object that cannot stay where it is.
        resize: Range of the factor by which an object is resized, drawn log-uniformly; less
            where it would not fit the canvas or fall below ``model.min_box``. None never
            resizes.
        cooccurrence: How much the classes that occur together in the real set count against
            balance: True is 1, False is 0, classes independent of each other.
        smoothing: Images that are added to the observed and to the expected number of common
            ones, see :func:`class_lift`.

        grounds: Random real images that a layout names as possible backgrounds, beside those of
            its objects; a ``CollageInitializer`` takes one.
        surest: Share of the objects of each class that may be used, in (0, 1]: those that the
            proxy of the distiller is surest of, which it reads the real set for once. With 1 no
            image is read. As RDED takes the crops that its teacher is surest of
            (https://arxiv.org/abs/2312.03526, section 3.2).

    Raises:
        ValueError: If a setting is out of range, or ``surest`` lacks a proxy.
    """

    composes = True
    limits = dict(overlap=dict(low=0, high=1), tries=dict(low=1), resize=dict(above=0),
                  cooccurrence=dict(low=0), smoothing=dict(above=0), grounds=dict(low=0),
                  surest=dict(above=0, high=1))

    def __init__(self,
                 objects: Union[int, str, Sequence[int], Dict[int, float]] = 4,
                 overlap: float = 0.15,
                 tries: int = 100,
                 resize: Optional[Sequence[float]] = None,
                 cooccurrence: Union[bool, float] = True,
                 smoothing: float = 1.,
                 grounds: int = 12,
                 surest: float = 1.) -> None:
        if objects != 'natural':
            count_weights(objects)
        check_number('ComposedLabelSampler: smoothing', smoothing, above=0)
        check_number('ComposedLabelSampler: cooccurrence', float(cooccurrence), low=0)
        if not 0 <= overlap <= 1 or tries < 1 or grounds < 0:
            raise ValueError(
                f'ComposedLabelSampler: overlap in [0, 1], tries >= 1 and grounds >= 0 are '
                f'needed, got {overlap}, {tries} and {grounds}')
        if resize is not None and not (len(resize) == 2 and 0 < resize[0] <= resize[1] < np.inf):
            raise ValueError(f'ComposedLabelSampler: resize must be None or (least, most) above '
                             f'0, got {resize}')
        self.objects = objects
        self.overlap = overlap
        self.tries = tries
        self.resize = resize
        self.cooccurrence = float(cooccurrence)
        self.smoothing = smoothing
        self.grounds = grounds
        self.surest = check_number('ComposedLabelSampler: surest', surest, above=0, high=1)
        self.scores: Optional[ScoreTable] = None

    @property
    def reads_images(self) -> bool:  # type: ignore[override]
        """Whether the proxy scores objects: only the surest are used."""
        return self.surest < 1

    def check_model(self, model: Mapping[str, Any]) -> None:
        """Check, before a job begins, that its proxy scores objects, where that is needed."""
        if self.reads_images:
            check_scores_objects('model.label_sampler.surest', model)

    def bind(self, distiller: Any) -> None:
        """Check the same of a distiller that is built."""
        proxy = distiller.proxy
        self.check_model(dict(proxy=None if proxy is None else dict(type=type(proxy))))

    def finish_collect(self, distiller: Any, folder: Optional[str] = None) -> None:
        """Let the proxy score the objects, where only the surest are used."""
        if self.reads_images:
            self.scores = score_objects(distiller, folder)

    def check(self, annotation: RealAnnotation) -> None:
        """Check that the real set has boxes or masks."""
        if annotation.target.uncomposed:
            raise ValueError(
                f'ComposedLabelSampler composes boxes or masks, and {annotation.path} has '
                f'{annotation.target.uncomposed}; set model.label_sampler to '
                f"dict(type='RandomLabelSampler')")

    def sample(self, annotations: Sequence[RealAnnotation], num: int, num_classes: int,
               seed: int, canvas: Canvas) -> List[Layout]:
        """Return ``num`` composed layouts of the size of the canvas."""
        for annotation in annotations:
            self.check(annotation)
        pool = ObjectPool(annotations, num_classes, canvas)
        rng = np.random.default_rng(derive_seed('composed', seed))
        return Composer(self, pool, rng, self.usable(pool)).run(num)

    def usable(self, pool: ObjectPool) -> np.ndarray:
        """Which objects of a pool may be used, (N,) bool, see ``surest``.

        Raises:
            ValueError: If they have not been scored.
        """
        if not self.reads_images:
            return np.ones(len(pool), bool)
        if self.scores is None:
            raise ValueError('ComposedLabelSampler: surest chooses by what finish_collect reads '
                             'of the real set: a distiller with one of its own calls '
                             'super().finish_collect(folder)')
        return surest(pool.labels, pool_scores(self.scores, pool), self.surest)


class Composer:
    """Composes the layouts of one plan.

    Args:
        settings: The sampler.
        pool: Objects of the real set.
        rng: Source of every random choice.
        usable: (N,) bool, which objects of the pool may be used.
    """

    def __init__(self, settings: ComposedLabelSampler, pool: ObjectPool,
                 rng: np.random.Generator, usable: np.ndarray) -> None:
        self.settings, self.pool, self.rng = settings, pool, rng
        self.classes = ClassChooser(pool.counts, settings.cooccurrence, settings.smoothing)
        self.members = [np.flatnonzero(usable & (pool.labels == c))
                        for c in range(pool.counts.shape[1])]
        self.areas = pool.areas
        self.uses = np.zeros(len(pool), np.int64)
        self.masked = any('mask' in a.target.parts for a in pool.annotations)
        self.instances = any('masks' in a.target.parts for a in pool.annotations)

    def run(self, num: int) -> List[Layout]:
        """Return ``num`` layouts."""
        return [self.layout(self.draw_number()) for _ in range(num)]

    def draw_number(self) -> int:
        """How many objects the next layout gets."""
        if self.settings.objects == 'natural':
            numbers = self.pool.counts.sum(1)
            return int(self.rng.choice(numbers[numbers > 0]))
        numbers, weights = count_weights(self.settings.objects)
        return int(self.rng.choice(np.array(numbers), p=weights))

    def layout(self, number: int) -> ComposedLayout:
        """Compose one layout of ``number`` objects, fewer where they do not fit."""
        labels: List[int] = []
        for _ in range(number):
            labels.append(self.classes.choose(labels, self.rng))
        chosen: List[int] = []
        for label in labels:
            index = self.draw(label)
            assert index is not None, 'a class that is chosen has objects'
            chosen.append(index)
        boxes = [self.sized(index) for index in chosen]
        best = self.placed(chosen, boxes)
        while len(best) < number and self.shrink(chosen, boxes):
            found = self.placed(chosen, boxes)
            best = found if len(found) > len(best) else best
        self.uses[chosen] -= 1
        kept = [index for index, _ in best]
        np.add.at(self.uses, kept, 1)
        self.classes.add(self.pool.labels[kept])
        return self.finish(best)

    def draw(self, label: int, below: float = np.inf) -> Optional[int]:
        """An object of a class, smaller than ``below`` square pixels; None if there is none."""
        members = self.members[label]
        members = members[self.areas[members] < below]
        if not len(members):
            return None
        uses = self.uses[members]
        index = int(self.rng.choice(members[uses == uses.min()]))
        self.uses[index] += 1
        return index

    def sized(self, index: int) -> np.ndarray:
        """The box of an object in the size that it gets."""
        box, limits = self.pool.boxes[index], self.settings.resize
        if limits is None:
            return box
        factor = float(np.exp(self.rng.uniform(*np.log(limits))))
        return resize(box, factor, self.pool.canvas.size, self.pool.canvas.min_box,
                      self.masked or self.instances)

    def shrink(self, chosen: List[int], boxes: List[np.ndarray]) -> bool:
        """Draw the largest object again, among the smaller ones of its class.

        The next largest if there are none; False if no object can be drawn again.
        """
        for position in np.argsort(-self.areas[chosen], kind='stable'):
            old = chosen[position]
            index = self.draw(self.pool.labels[old], below=self.areas[old])
            if index is not None:
                self.uses[old] -= 1
                chosen[position], boxes[position] = index, self.sized(index)
                return True
        return False

    def placed(self, chosen: List[int], boxes: List[np.ndarray]) -> List[Tuple[int, np.ndarray]]:
        """The objects that find a place and their boxes there, the largest first."""
        found = place(np.stack(boxes), self.pool.canvas.size, self.settings.overlap,
                      self.settings.tries, self.rng)
        pairs = [(index, box) for index, box in zip(chosen, found) if box is not None]
        return sorted(pairs, key=lambda pair: -(pair[1][2:] - pair[1][:2]).prod())

    def finish(self, objects: List[Tuple[int, np.ndarray]]) -> ComposedLayout:
        """The layout of objects at their boxes, the largest first."""
        indices = [index for index, _ in objects]
        bboxes = np.stack([box for _, box in objects])
        images = [self.pool.annotations[i] for i in self.pool.image[indices]]
        mask = self.label_map(objects) if self.masked else None
        pixels: Any = None if mask is None else encode_mask(mask)
        left = bboxes
        if self.instances:
            mask, left = visible_pixels([self.pool.patch(index) for index in indices], bboxes,
                                        self.pool.canvas.size)
            pixels = mask
        target = images[0].target.composed(
            self.pool.labels[indices], left, mask, self.pool.canvas.background)
        sources = tuple(dict.fromkeys(Source(a.image_id, a.path) for a in images))
        parts = tuple(Part(image.path, int(self.pool.labels[index]), self.pool.boxes[index], place)
                      for image, (index, place) in zip(images, objects))
        name = name_of([source.image_id for source in sources], target.labels, target.bboxes,
                       pixels)
        return ComposedLayout(
            name, self.pool.canvas.size, sources=sources, target=target.packed(), parts=parts,
            grounds=self.grounds(self.pool.image[indices].tolist(), name))

    def grounds(self, images: List[int], name: str) -> Tuple[Ground, ...]:
        """What may be the background of a layout: its own images, and random others."""
        others = np.random.default_rng(derive_seed('grounds', name)).choice(
            len(self.pool.annotations), min(self.settings.grounds, len(self.pool.annotations)),
            replace=False)
        return tuple(
            Ground(self.pool.annotations[i].path, self.pool.boxes[self.pool.image == i])
            for i in dict.fromkeys(images + others.tolist()))

    def label_map(self, objects: List[Tuple[int, np.ndarray]]) -> np.ndarray:
        """The mask (H, W) uint8 of objects at their boxes, later ones over earlier ones."""
        background = self.pool.canvas.background
        fill = IGNORE if background is None else background
        mask = np.full(self.pool.canvas.size, fill, np.uint8)
        for index, box in objects:
            if 'mask' in self.pool.annotations[self.pool.image[index]].target.parts:
                paint(mask, self.pool.patch(index), box, int(self.pool.labels[index]), fill)
        return mask


def name_of(*parts: Any) -> str:
    """'composed_' and a hash of what a layout holds, by which its prompt is kept."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return f'composed_{digest.hexdigest()[:16]}'
