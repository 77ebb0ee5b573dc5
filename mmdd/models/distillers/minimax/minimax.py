"""Minimax Diffusion: sample from a DiT that was fine-tuned to cover its classes.

Algorithm 1, and what runs each of its steps:

1. a batch of a class shard, z_0 = E(x), noised to z_t      ``MinimaxFineTuner.encode``, ``losses``
2. L_simple of the DiT on it                                ``MinimaxFineTuner.losses``
3. L_r: towards the least similar real embedding, eq. 3     ``criteria.representativeness``
4. L_d: away from the most similar prediction, eq. 4        ``criteria.diversity``
5. minimise L_simple + lambda_r L_r + lambda_d L_d, eq. 5   the stock Runner of the training
6. remember both embeddings of each class                   ``ClassMemory``
7. draw the images of a class by the weights of its shard   ``Minimax.distill_step``
"""
from typing import Any, Callable, Dict, List, Mapping, Optional

from mmdd.registry import MODELS, TASK_UTILS
from mmdd.structures import DistilledSample, DistillSlot
from ..base import DatasetDistiller


@MODELS.register_module()
class Minimax(DatasetDistiller):
    """`Efficient Dataset Distillation via Minimax Diffusion
    <https://arxiv.org/abs/2311.15529>`_ (CVPR 2024).

    A class-conditional ``DiT`` is fine-tuned with the minimax criteria
    (``MinimaxFineTuner``, section 2.3), then draws the images of each class from noise.
    The variants of the paper's ablation are configs: ``fine_tune=None`` is the raw DiT, and
    a fine-tuning without either criterion is DiffFit.

    Args:
        diffusion: Config of a ``DiT``.
        fine_tune: Config of ``FineTuned``: how the weights are made and where they are. None
            samples from the prior as it is.
        kwargs: Those of :class:`DatasetDistiller`, without a prompter.

    Raises:
        ValueError: If a prompter is given: a DiT reads classes, not text.
    """

    def __init__(self, diffusion: dict, fine_tune: Optional[dict] = None, **kwargs) -> None:
        self.check_config(kwargs)
        super().__init__(diffusion=diffusion, **kwargs)
        self.fine_tune = None if fine_tune is None else TASK_UTILS.build(fine_tune)
        # The shard whose weights the diffusion has at the moment.
        self.shard: Optional[int] = None

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any]) -> None:
        """Refuse a prompter."""
        if cfg.get('prompter') is not None:
            raise ValueError('Minimax: model.prompter is given, but a DiT is conditioned on '
                             'classes and reads no text; remove it')

    def distill_step(self, slots: List[DistillSlot],
                     call_hook: Callable) -> List[DistilledSample]:
        """Sample one image for each slot, from the weights of its class."""
        samples: Dict[int, DistilledSample] = {}
        for shard, members in self.by_shard(slots).items():
            self.load_shard(shard)
            for sample in super().distill_step(members, call_hook):
                samples[sample.slot.id] = sample
        return [samples[slot.id] for slot in slots]

    def by_shard(self, slots: List[DistillSlot]) -> Dict[int, List[DistillSlot]]:
        """Slots by the shard of their class, in order."""
        groups: Dict[int, List[DistillSlot]] = {}
        for slot in slots:
            shard = self.fine_tune.shard_of(int(slot.labels[0])) if self.fine_tune else 0
            groups.setdefault(shard, []).append(slot)
        return groups

    def load_shard(self, shard: int) -> None:
        """Give the diffusion the fine-tuned weights of a shard, unless it has them."""
        if self.fine_tune is not None and shard != self.shard:
            assert self.diffusion is not None
            self.diffusion.load_fine_tuned(self.fine_tune.read(shard))
            self.shard = shard
