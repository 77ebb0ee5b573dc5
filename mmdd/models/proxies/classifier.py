"""Any mmpretrain classifier as a proxy."""
from typing import List, Optional, Sequence, Union

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmdd.registry import MODELS
from mmdd.structures import DistilledSample, DistillSlot
from .base import TaskProxy, in_full
from .view import InputView, test_pipeline


@MODELS.register_module()
class ClassifierProxy(TaskProxy):
    """A frozen mmpretrain classifier of one class an image.

    Args:
        cfg: mmpretrain config of the classifier, see :class:`TaskProxy`.
        checkpoint: Trained weights.
        score_mode: The score of an image. 'matched': probability (softmax) of
            the slot's class. 'max': the largest probability. UniDD does not
            define its ``score``; 'matched' also rejects what shows another class.
        relabel_thr: Probability in [0, 1] from which the most probable class may become the
            label of an image; below it the proxy is sure of nothing.
        input_scale: 'test' resizes and crops images as the config's test
            pipeline does; None takes them as they are.

    Raises:
        ValueError: If an argument is out of range.
    """

    scope = 'mmpretrain'

    def __init__(self,
                 cfg: Union[str, dict, Sequence],
                 checkpoint: Optional[str] = None,
                 score_mode: str = 'matched',
                 input_scale: Optional[str] = 'test',
                 relabel_thr: float = 0.5) -> None:
        if score_mode not in ('matched', 'max'):
            raise ValueError(
                f"ClassifierProxy: score_mode must be 'matched' or 'max', got {score_mode!r}")
        if input_scale not in ('test', None):
            raise ValueError(
                f"ClassifierProxy: input_scale must be 'test' or None, got {input_scale!r}")
        if not 0 <= relabel_thr <= 1:
            raise ValueError(
                f'ClassifierProxy: relabel_thr must be in [0, 1], got {relabel_thr}')
        super().__init__(cfg, checkpoint)
        self.score_mode = score_mode
        self.relabel_thr = relabel_thr
        self.view = InputView(test_pipeline(self.cfg) if input_scale == 'test' else ())
        head = getattr(self.model, 'head', None)
        if 'MultiLabel' in type(head).__name__:
            raise ValueError(
                f'ClassifierProxy: {type(head).__name__} gives several classes an image; use a '
                f'head of one class an image, such as LinearClsHead')

    def _inputs(self, images: Tensor) -> Tensor:
        divisor = getattr(self.model.data_preprocessor, 'pad_size_divisor', 1)
        return self.normalize(self.view(images), divisor)

    def logits(self, images: Tensor) -> Tensor:
        """Class scores before the softmax, (B, K) fp32, differentiable.

        Raises:
            ValueError: If the classifier's tensor mode gives something else.
        """
        logits = self.model(self._inputs(images), mode='tensor')
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ValueError(
                f'ClassifierProxy: {type(getattr(self.model, "head", None)).__name__} gives '
                f'{found} instead of logits (B, K); use a head like LinearClsHead')
        return in_full(logits)

    def _targets(self, slots: Sequence[DistillSlot], num_classes: int) -> np.ndarray:
        """The class of each slot, (B,)."""
        for slot in slots:
            if len(slot.labels) != 1 or not 0 <= slot.labels[0] < num_classes:
                raise ValueError(
                    f'ClassifierProxy: slot {slot.id} asks for classes {slot.labels.tolist()}; '
                    f'it must be one of the {num_classes} that the proxy knows')
        return np.array([slot.labels[0] for slot in slots], np.int64)

    def energy(self, images: Tensor, slots: Sequence[DistillSlot]) -> Tensor:
        """Cross-entropy of each image against its slot's class, (B,).

        UniDD, equations 6 and 8. Label smoothing and other losses that the
        classifier was trained with are left out.

        Args:
            images: (B, 3, H, W) RGB, nominally in [0, 1], differentiable.
            slots: B slots of one label.
        """
        logits = self.logits(images)
        targets = torch.from_numpy(self._targets(slots, logits.shape[1])).to(logits.device)
        return F.cross_entropy(logits, targets, reduction='none')

    @torch.no_grad()
    def predict(self, images: Tensor) -> List[Tensor]:
        """Probabilities of the classes, (K,) an image, on the CPU."""
        return list(self.logits(images).softmax(1).cpu())

    def score(self, images: Tensor, samples: Sequence[DistilledSample],
              predictions: Optional[list] = None) -> Tensor:
        """Score of each sample in [0, 1], see ``score_mode``."""
        predictions = self.predict(images) if predictions is None else predictions
        if self.score_mode == 'max':
            return torch.stack([found.max() for found in predictions])
        targets = self._targets([sample.slot for sample in samples], len(predictions[0]))
        return torch.stack([found[target] for found, target in zip(predictions, targets)])

    def relabel(self, images: Tensor, predictions: Optional[list] = None) -> List[dict]:
        """The most probable class of each image as ``labels`` (1,)."""
        predictions = self.predict(images) if predictions is None else predictions
        return [dict(labels=np.array([int(found.argmax())], np.int64)) for found in predictions]

    def is_sure(self, images: Tensor, predictions: Optional[list] = None) -> List[bool]:
        """Whether the most probable class has at least ``relabel_thr``."""
        predictions = self.predict(images) if predictions is None else predictions
        return [float(found.max()) >= self.relabel_thr - 1e-6 for found in predictions]

    def merge(self, images: Tensor, samples: Sequence[DistilledSample],
              predictions: Optional[list] = None) -> List[dict]:
        """The proxy's class: an image has one, so there is nothing to bring together."""
        return self.relabel(images, predictions)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """What the last linear layer of the head sees, (B, D).

        The stage 'pre_logits' of mmpretrain, or 'neck' where a head has none;
        maps (B, D, h, w) and tokens (B, N, D) are averaged over their places.
        """
        stage = 'pre_logits' if hasattr(getattr(self.model, 'head', None),
                                        'pre_logits') else 'neck'
        found = self.model.extract_feat(self._inputs(images), stage=stage)
        while isinstance(found, (list, tuple)):
            found = found[-1]
        places = {2: (), 3: (1, ), 4: (2, 3)}[found.ndim]
        return in_full(found).mean(places) if places else in_full(found)
