"""Losses between a student and soft labels."""
from typing import Optional

import torch.nn.functional as F
from torch import Tensor

KINDS = ('kl', 'ce', 'mse')


class SoftLoss:
    """What a student minimises: a distance to soft labels, and the cross-entropy of hard ones.

    With student logits z and teacher logits t, p = softmax(t / T) and q = softmax(z / T), it is
    averaged over the batch: 'kl' is sum p log(p / q), 'ce' is - sum p log q, and 'mse' is
    the mean over the classes of (z - t)^2. ``hard_weight`` times the cross-entropy of
    softmax(z) with the class of the image is added, as in EDC (https://arxiv.org/abs/2404.13733),
    whose loss is 'mse' with 0.025.

    Args:
        kind: 'kl', 'ce' or 'mse'.
        temperature: T; 'mse' has none.
        squared: Whether 'kl' or 'ce' is multiplied by T squared, as in knowledge distillation
            (https://arxiv.org/abs/1503.02531). RDED and FKD do not.
        hard_weight: Weight of the hard labels. Under CutMix the class is that of the image
            itself, as in EDC.

    Raises:
        ValueError: If there is no such kind.
    """

    def __init__(self, kind: str = 'kl', temperature: float = 20., squared: bool = False,
                 hard_weight: float = 0.) -> None:
        if kind not in KINDS:
            raise ValueError(f'a loss of soft labels is one of {", ".join(KINDS)}, got {kind!r}')
        self.kind = kind
        self.temperature = temperature
        self.squared = squared
        self.hard_weight = hard_weight

    def target(self, logits: Tensor) -> Tensor:
        """What is compared with, of a teacher's logits (B, K): probabilities p, or 'mse' t."""
        return logits.float() if self.kind == 'mse' else F.softmax(
            logits.float() / self.temperature, 1)

    def __call__(self, logits: Tensor, target: Tensor, classes: Optional[Tensor] = None) -> Tensor:
        """The loss, a scalar.

        Args:
            logits: The student's, (B, K).
            target: See :meth:`target`, (B, K).
            classes: Hard labels (B, ); they may be missing where their weight is 0.

        Raises:
            ValueError: If they are missing elsewhere.
        """
        loss = self._soft(logits.float(), target)
        if not self.hard_weight:
            return loss
        if classes is None:
            raise ValueError('SoftLoss: hard_weight needs images with hard labels; set it to 0')
        return loss + self.hard_weight * F.cross_entropy(logits.float(), classes)

    def _soft(self, logits: Tensor, target: Tensor) -> Tensor:
        if self.kind == 'mse':
            return F.mse_loss(logits, target)
        log_q = F.log_softmax(logits / self.temperature, 1)
        if self.kind == 'kl':
            loss = F.kl_div(log_q, target, reduction='batchmean')
        else:
            loss = -(target * log_q).sum(1).mean()
        return loss * self.temperature**2 if self.squared else loss
