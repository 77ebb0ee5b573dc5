"""One synthetic image: what is to be made, and what came out."""
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Dict, Optional, Tuple

import numpy as np

from mmdd.utils.seed import derive_seed
from .mask import mask_from_text, mask_to_text


@dataclass
class DistillSlot:
    """One synthetic image to be made.

    Everything random about the image comes from ``seed``.

    Attributes:
        id: Position in the plan, from 0.
        seed: Seed of the image; another one for every round.
        size: (height, width) in pixels.
        labels: (M,) int64 class indices asked for.
        bboxes: (M, 4) float32 xyxy in pixels of ``size``; None without boxes.
        prompt: Text for the diffusion model.
        source: Id of the real image that the labels come from; '' where they come from
            several, or from none.
        source_path: File of that image.
        round: How often the slot was tried before.
        mask: (H, W) uint8 class indices of ``size``, 255 to ignore; None without masks.
        group: Which of the budget's groups the image belongs to: for images per
            class the class, else 0.
        prototype: What the image starts from, in plain numbers and text of the
            method: a cluster, crops of real images; None starts from noise.
        sources: Ids of all real images that the labels come from; ``source`` alone if not
            given.
        original: What the files of the real set say of an image that is taken over as it is,
            see :mod:`mmdd.datasets.originals`; None elsewhere.
    """
    id: int
    seed: int
    size: Tuple[int, int]
    labels: np.ndarray
    bboxes: Optional[np.ndarray] = None
    prompt: str = ''
    source: str = ''
    source_path: str = ''
    round: int = 0
    mask: Optional[np.ndarray] = None
    group: int = 0
    prototype: Optional[Dict[str, Any]] = None
    sources: Tuple[str, ...] = ()
    original: Optional[Dict[str, Any]] = None

    def __post_init__(self) -> None:
        if self.source and not self.sources:
            self.sources = (self.source, )

    def retry(self, base_seed: int, round: int) -> 'DistillSlot':
        """The same slot for another round, with that round's fresh seed."""
        return replace(self, seed=slot_seed(base_seed, self.id, round), round=round)

    def to_dict(self) -> Dict[str, Any]:
        """The slot as plain numbers and text; ``sources`` only where there are several."""
        entry = asdict(self)
        entry['size'] = list(self.size)
        entry['labels'] = self.labels.tolist()
        entry['bboxes'] = None if self.bboxes is None else np.round(self.bboxes, 3).tolist()
        entry['mask'] = mask_to_text(self.mask)
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
        bboxes = entry['bboxes']
        return cls(**dict(
            entry, size=tuple(entry['size']), labels=np.array(entry['labels'], np.int64),
            bboxes=None if bboxes is None else np.array(bboxes, np.float32).reshape(-1, 4),
            mask=mask_from_text(entry.get('mask')), sources=tuple(entry.get('sources', ()))))


def slot_seed(base_seed: int, slot_id: int, round: int = 0) -> int:
    """Seed of a slot in a round, a function of these three numbers alone."""
    return derive_seed('slot', base_seed, slot_id, round)


@dataclass
class DistilledSample:
    """What was made for a slot.

    Attributes:
        slot: The slot it was made for.
        image: (H, W, 3) uint8 RGB; None where ``path`` is copied as it is.
        path: Real image file of a coreset sample.
        labels: (M,) int64 class indices of the final label.
        bboxes: (M, 4) float32 xyxy in pixels; None without boxes.
        mask: (H, W) uint8 class indices, 255 to ignore; None without masks.
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
    image: Optional[np.ndarray] = None
    path: str = ''
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    bboxes: Optional[np.ndarray] = None
    mask: Optional[np.ndarray] = None
    score: Optional[float] = None
    judge_score: Optional[float] = None
    rank: Optional[float] = None
    accepted: bool = True
    label_source: str = 'slot'
    seconds: float = 0.
    stats: Dict[str, float] = field(default_factory=dict)
    failure: str = ''
    predictions: Dict[str, Tuple[np.ndarray, Any]] = field(
        default_factory=dict, repr=False, compare=False)

    def fail(self, reason: str) -> None:
        """Turn the sample into a failed attempt: no image, no score, the labels of its slot.

        Args:
            reason: Why, in a few words.
        """
        self.failure, self.accepted, self.image, self.path = reason, False, None, ''
        self.score = self.judge_score = self.rank = None
        self.labels, self.bboxes, self.mask = self.slot.labels, self.slot.bboxes, self.slot.mask
        self.label_source = 'slot'
        self.predictions.clear()
