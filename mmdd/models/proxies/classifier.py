"""Any mmpretrain classifier as a proxy."""
import math
from typing import List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdd.registry import MODELS
from mmdd.structures import ClassTarget, DistilledSample, DistillSlot, Target
from .base import TaskProxy, in_full
from .softplus import with_softplus
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
        temperatures: (tau_1, tau_2) of the energy
            -[tau_1 f_y - logsumexp(tau_2 f)] of the logits f; (1, 1) is the
            cross-entropy. A tau_2 below tau_1 weighs the logit of the class more than those
            of the others: `Elucidating the Design Space of Classifier-Guided Diffusion
            Generation <https://arxiv.org/abs/2310.11311>`_ takes (1, 0.5). The energy may
            fall below 0 then.
        softplus: The energy alone sees the classifier with Softplus of this beta in the place
            of every ReLU, whose gradients are smoother (beta 3 in the same paper); None keeps
            the ReLUs. Score, labels and features are always those of the classifier itself.

    Raises:
        ValueError: If an argument is out of range, or ``softplus`` finds no ReLU.
    """

    scope = 'mmpretrain'
    limits = dict(score_mode=('matched', 'max'), input_scale=('test', None),
                  relabel_thr=dict(low=0, high=1), temperatures=dict(above=0),
                  softplus=dict(above=0))

    def __init__(self,
                 cfg: Union[str, dict, Sequence],
                 checkpoint: Optional[str] = None,
                 score_mode: str = 'matched',
                 input_scale: Optional[str] = 'test',
                 relabel_thr: float = 0.5,
                 temperatures: Tuple[float, float] = (1., 1.),
                 softplus: Optional[float] = None) -> None:
        if score_mode not in ('matched', 'max'):
            raise ValueError(
                f"ClassifierProxy: score_mode must be 'matched' or 'max', got {score_mode!r}")
        if input_scale not in ('test', None):
            raise ValueError(
                f"ClassifierProxy: input_scale must be 'test' or None, got {input_scale!r}")
        if len(temperatures) != 2 or not all(0 < tau < math.inf for tau in temperatures):
            raise ValueError(f'ClassifierProxy: temperatures must be two numbers above 0, got '
                             f'{temperatures}')
        if not 0 <= relabel_thr <= 1:
            raise ValueError(
                f'ClassifierProxy: relabel_thr must be in [0, 1], got {relabel_thr}')
        super().__init__(cfg, checkpoint)
        self.score_mode = score_mode
        self.relabel_thr = relabel_thr
        self.temperatures = tuple(temperatures)
        self.smooth_model = None if softplus is None else with_softplus(self.model, softplus)
        self.view = InputView(test_pipeline(self.cfg) if input_scale == 'test' else ())
        head = getattr(self.model, 'head', None)
        if 'MultiLabel' in type(head).__name__:
            raise ValueError(
                f'ClassifierProxy: {type(head).__name__} gives several classes an image; use a '
                f'head of one class an image, such as LinearClsHead')

    @property
    def label_parts(self) -> Tuple[str, ...]:
        """Classes alone."""
        return ()

    def _inputs(self, images: Tensor) -> Tensor:
        divisor = getattr(self.model.data_preprocessor, 'pad_size_divisor', 1)
        return self.normalize(self.view(images), divisor)

    def logits(self, images: Tensor) -> Tensor:
        """Class scores before the softmax, (B, K) fp32, differentiable.

        Raises:
            ValueError: If the classifier's tensor mode gives something else.
        """
        return self._logits(self.model, images)

    def _logits(self, model: nn.Module, images: Tensor) -> Tensor:
        logits = model(self._inputs(images), mode='tensor')
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

        UniDD, equations 6 and 8; with ``temperatures`` the energy of EluCD. Label
        smoothing and other losses that the classifier was trained with are left out.

        Args:
            images: (B, 3, H, W) RGB, nominally in [0, 1], differentiable.
            slots: B slots of one label.
        """
        logits = self._logits(self.model if self.smooth_model is None else self.smooth_model,
                              images)
        targets = torch.from_numpy(self._targets(slots, logits.shape[1])).to(logits.device)
        if self.temperatures == (1, 1):
            return F.cross_entropy(logits, targets, reduction='none')
        own, all_classes = self.temperatures
        chosen = logits.gather(1, targets[:, None])[:, 0]
        return (all_classes * logits).logsumexp(1) - own * chosen

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

    def relabel(self, images: Tensor, predictions: Optional[list] = None) -> List[Target]:
        """The most probable class of each image."""
        predictions = self.predict(images) if predictions is None else predictions
        return [ClassTarget(np.array([int(found.argmax())], np.int64)) for found in predictions]

    def is_sure(self, images: Tensor, predictions: Optional[list] = None) -> List[bool]:
        """Whether the most probable class has at least ``relabel_thr``."""
        predictions = self.predict(images) if predictions is None else predictions
        return [float(found.max()) >= self.relabel_thr - 1e-6 for found in predictions]

    def merge(self, images: Tensor, samples: Sequence[DistilledSample],
              predictions: Optional[list] = None) -> List[Target]:
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
