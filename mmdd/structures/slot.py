"""One synthetic image: what is to be made, and what came out."""
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Optional, Tuple

import numpy as np

from mmdd.utils.seed import derive_seed
from .target import UNSET, Labelled, Target, load_target, part_names, resolve


@dataclass(init=False)
class DistillSlot(Labelled):
    """One synthetic image to be made.

    Everything random about the image comes from ``seed``. It is made with a ``target``, or with
    ``labels``, ``bboxes`` and ``mask``, which are also read from it.

    Attributes:
        id: Position in the plan, from 0.
        seed: Seed of the image; another one for every round.
        size: (height, width) in pixels.
        target: The label asked for, in pixels of ``size``.
        prompt: Text for the diffusion model.
        source: Id of the real image that the labels come from; '' where they come from
            several, or from none.
        source_path: File of that image.
        round: How often the slot was tried before.
        group: Which of the budget's groups the image belongs to: for images per
            class the class, else 0.
        prototype: What the image starts from, in plain numbers and text of the
            method: a cluster, crops of real images; None starts from noise, as do rounds before
            its ``noise_rounds``, where it names them.
        sources: Ids of all real images that the labels come from; ``source`` alone if not
            given.
        original: What the files of the real set say of an image that is taken over as it is,
            see :mod:`mmdd.datasets.originals`; None elsewhere.
    """
    id: int
    seed: int
    size: Tuple[int, int]
    target: Target
    prompt: str
    source: str
    source_path: str
    round: int
    group: int
    prototype: Optional[Dict[str, Any]]
    sources: Tuple[str, ...]
    original: Optional[Dict[str, Any]]

    def __init__(self,
                 id: int,
                 seed: int,
                 size: Tuple[int, int],
                 labels: np.ndarray = UNSET,
                 bboxes: Optional[np.ndarray] = UNSET,
                 prompt: str = '',
                 source: str = '',
                 source_path: str = '',
                 round: int = 0,
                 mask: Optional[np.ndarray] = UNSET,
                 group: int = 0,
                 prototype: Optional[Dict[str, Any]] = None,
                 sources: Tuple[str, ...] = (),
                 original: Optional[Dict[str, Any]] = None,
                 target: Optional[Target] = None) -> None:
        self.id, self.seed, self.size, self.round, self.group = id, seed, size, round, group
        self.target = resolve(target, labels=labels, bboxes=bboxes, mask=mask)
        self.prompt, self.prototype, self.original = prompt, prototype, original
        self.source, self.source_path = source, source_path
        self.sources = (source, ) if source and not sources else sources

    def retry(self, base_seed: int, round: int) -> 'DistillSlot':
        """The same slot for another round, with that round's fresh seed."""
        return replace(self, seed=slot_seed(base_seed, self.id, round), round=round)

    def to_dict(self) -> Dict[str, Any]:
        """The slot as plain numbers and text; ``sources`` only where there are several."""
        entry = {name: value for name, value in vars(self).items() if name != 'target'}
        entry.update(self.target.to_dict(), size=list(self.size))
        if len(self.sources) > 1:
            entry['sources'] = list(self.sources)
        else:
            del entry['sources']
        if self.original is None:
            del entry['original']
        return entry

    @classmethod
    def from_dict(cls, entry: Dict[str, Any]) -> 'DistillSlot':
        """The slot that :meth:`to_dict` described."""
        own = {name: value for name, value in entry.items()
               if name != 'labels' and name not in part_names()}
        return cls(**dict(own, size=tuple(entry['size']), target=load_target(entry),
                          sources=tuple(entry.get('sources', ()))))


def slot_seed(base_seed: int, slot_id: int, round: int = 0) -> int:
    """Seed of a slot in a round, a function of these three numbers alone."""
    return derive_seed('slot', base_seed, slot_id, round)


@dataclass(init=False)
class DistilledSample(Labelled):
    """What was made for a slot.

    It is made with a ``target``, or with ``labels``, ``bboxes`` and ``mask``, which are also
    read from it.

    Attributes:
        slot: The slot it was made for.
        image: (H, W, 3) uint8 RGB; None where ``path`` is copied as it is.
        path: Real image file of a coreset sample.
        target: The final label, in pixels of the image.
        score: Proxy score in [0, 1]; None where nothing scored it.
        judge_score: Score in [0, 1] by the judge, which does not guide; None without one.
        rank: What compares the attempts at a slot that all were rejected, higher is better;
            None takes ``score``.
        accepted: Whether refinement keeps it.
        label_source: 'slot', 'proxy', 'merged' (both) or 'real'.
        seconds: Wall-clock seconds spent on it.
        stats: Counts and figures for the manifest, such as skipped gradients.
        failure: Why there is no image, such as 'not finite' or 'black'; '' where there is one.
        predictions: What 'proxy' or 'judge' sees in an image, with that image, so that no
            image passes a network twice; not kept on disk.
    """
    slot: DistillSlot
    image: Optional[np.ndarray]
    path: str
    target: Target
    score: Optional[float]
    judge_score: Optional[float]
    rank: Optional[float]
    accepted: bool
    label_source: str
    seconds: float
    stats: Dict[str, float]
    failure: str
    predictions: Dict[str, Tuple[np.ndarray, Any]] = field(repr=False, compare=False)

    def __init__(self,
                 slot: DistillSlot,
                 image: Optional[np.ndarray] = None,
                 path: str = '',
                 labels: np.ndarray = UNSET,
                 bboxes: Optional[np.ndarray] = UNSET,
                 mask: Optional[np.ndarray] = UNSET,
                 score: Optional[float] = None,
                 judge_score: Optional[float] = None,
                 rank: Optional[float] = None,
                 accepted: bool = True,
                 label_source: str = 'slot',
                 seconds: float = 0.,
                 stats: Optional[Dict[str, float]] = None,
                 failure: str = '',
                 predictions: Optional[Dict[str, Tuple[np.ndarray, Any]]] = None,
                 target: Optional[Target] = None) -> None:
        self.slot, self.image, self.path = slot, image, path
        self.target = resolve(target, labels=labels, bboxes=bboxes, mask=mask)
        self.score, self.judge_score, self.rank = score, judge_score, rank
        self.accepted, self.label_source, self.failure = accepted, label_source, failure
        self.seconds, self.stats = seconds, {} if stats is None else stats
        self.predictions = {} if predictions is None else predictions

    def fail(self, reason: str) -> None:
        """Turn the sample into a failed attempt: no image, no score, the labels of its slot.

        Args:
            reason: Why, in a few words.
        """
        self.failure, self.accepted, self.image, self.path = reason, False, None, ''
        self.score = self.judge_score = self.rank = None
        self.target, self.label_source = self.slot.target, 'slot'
        self.predictions.clear()
