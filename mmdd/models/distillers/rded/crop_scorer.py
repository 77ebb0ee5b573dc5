"""From photographs to the crop that a classifier is surest of."""
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from mmdd.structures import DistillSlot
from mmdd.utils.digest import digest_weights
from mmdd.utils.progress import Progress
from mmdd.utils.seed import derive_seed, generator
from ..patch_selection.compositor import compose
from .random_crops import random_windows


@dataclass(frozen=True)
class CropSettings:
    """What decides the score of a crop, beside the photograph, its class and the network.

    Attributes:
        crops: Crops of each photograph.
        scale: (least, largest) area of a crop as a share of the photograph.
        ratio: (least, largest) width over height of a crop.
        cell: (height, width) in pixels to which crops are resized.
        canvas: (height, width) in pixels that the network sees; what the crop in its
            centre leaves free is 0 in the network's input.
        seed: Crops follow from it and from the photograph's content and class.

    Raises:
        ValueError: If a setting is out of range.
    """
    crops: int
    scale: Tuple[float, ...]
    ratio: Tuple[float, ...]
    cell: Tuple[int, int]
    canvas: Tuple[int, int]
    seed: int

    # Photographs are cropped at their own size.
    resize: ClassVar[Optional[int]] = None

    def __post_init__(self) -> None:
        if self.crops < 1:
            raise ValueError(f'RDED: model.crops must be at least 1, got {self.crops}')
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f'RDED: model.crop_scale must ascend in (0, 1], got '
                             f'{tuple(self.scale)}')
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f'RDED: model.crop_ratio must ascend from above 0, got '
                             f'{tuple(self.ratio)}')

    def to_dict(self) -> Dict[str, Any]:
        """The settings as plain numbers."""
        return {name: list(value) if isinstance(value, tuple) else value
                for name, value in asdict(self).items()}


class CropScorer:
    """Scores photographs by their best random crop; no figure depends on what else is scored.

    The score of a crop is the negative energy of the proxy for the photograph's class, -CE.

    Args:
        proxy: Classifier, see :class:`ClassifierProxy`.
        settings: What decides the scores.
        batch_size: Crops in one forward pass, at least those of one photograph.
        about: What identifies the proxy beside its weights.

    Attributes:
        fields, figures, fix: See :class:`PatchScorer`.
    """

    fields = ('score', 'window')
    figures = "crops' cross-entropies"
    fix = 'give model.proxy other weights'

    def __init__(self, proxy, settings: CropSettings, batch_size: int, about: str) -> None:
        self.proxy = proxy
        self.settings = settings
        self.batch_size = batch_size
        self.about = about

    @torch.no_grad()
    def score(self, images: Sequence[np.ndarray], labels: Sequence[str], keys: Sequence[str],
              progress: Optional[Progress] = None) -> Dict[str, np.ndarray]:
        """Score photographs.

        Args:
            images: N photographs, (H, W, 3) uint8 RGB; sizes may differ.
            labels: Class index of each, as text.
            keys: What the crops of each follow from, its content and class.
            progress: Counts photographs.

        Returns:
            dict: ``score``, (N,) float32, the highest among the crops; ``window`` (N, 4)
            int32, xyxy of that crop in pixels of the photograph. Ties go to the earlier crop.
        """
        num = max(1, self.batch_size // self.settings.crops)
        scores: List[float] = []
        windows: List[List[int]] = []
        for start in range(0, len(images), num):
            part = slice(start, start + num)
            drawn = [self._windows(image, key) for image, key in zip(images[part], keys[part])]
            found = -self._energies(images[part], drawn, labels[part])
            best = found.argmax(1)
            scores += found[np.arange(len(best)), best].tolist()
            windows += [own[i] for own, i in zip(drawn, best)]
            if progress is not None:
                progress.add(len(best))
        return dict(score=np.array(scores, np.float32), window=np.array(windows, np.int32))

    def _windows(self, image: np.ndarray, key: str) -> List[List[int]]:
        settings = self.settings
        height, width = image.shape[:2]
        return random_windows(height, width, settings.crops, settings.scale, settings.ratio,
                              generator('crops', settings.seed, key))

    def _energies(self, images: Sequence[np.ndarray], windows: Sequence[List[List[int]]],
                  labels: Sequence[str]) -> np.ndarray:
        """Energy of every crop, (B, crops)."""
        cells = [compose([image[y1:y2, x1:x2]], self.settings.cell)
                 for image, own in zip(images, windows) for x1, y1, x2, y2 in own]
        slots = [DistillSlot(0, 0, self.settings.canvas, np.array([int(label)]))
                 for label in labels for _ in range(self.settings.crops)]
        energies = self.proxy.energy(self._canvases(np.stack(cells)), slots)
        return energies.cpu().numpy().reshape(len(images), self.settings.crops)

    def _canvases(self, cells: np.ndarray) -> Tensor:
        """What the network sees of crops (B, h, w, 3): (B, 3, H, W) in [0, 1]."""
        colour = self.proxy.mean_colour
        (height, width), (h, w) = self.settings.canvas, self.settings.cell
        top, left = (height - h) // 2, (width - w) // 2
        canvases = colour[:, None, None].repeat(len(cells), 1, height, width)
        canvases[:, :, top:top + h, left:left + w] = torch.from_numpy(cells).permute(
            0, 3, 1, 2).to(colour) / 255
        return canvases

    def identity(self) -> str:
        """16 hexadecimal digits that change with the settings or the network."""
        parts = [f'{name}={value}' for name, value in sorted(self.settings.to_dict().items())]
        weights = digest_weights(self.proxy.state_dict())
        return f'{derive_seed("crop scores", *parts, self.about, weights):016x}'
