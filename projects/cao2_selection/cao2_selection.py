"""The choice of CaO2 (ICCV 2025): from a pool of generated images, what the proxy gets right."""
from typing import Any, List, Sequence

import torch
from mmengine.logging import print_log

from mmdd.models import DatasetDistiller, SetStage
from mmdd.registry import MODELS, TASK_UTILS
from mmdd.structures import DistillSlot


@MODELS.register_module()
class CaO2Selection(DatasetDistiller):
    """Stage 1 of `CaO2: Rectifying Inconsistencies in Diffusion-Based Dataset Distillation
    <https://arxiv.org/abs/2506.22637>`_: sample a pool, keep what a classifier is sure of.

    Stage 2 of the paper, the optimisation of the chosen latents, is not here.

    The arguments are those of :class:`DatasetDistiller`; ``diffusion`` and ``proxy`` (a
    classifier) are required.
    """

    def __init__(self, diffusion: dict, proxy: dict, **kwargs) -> None:
        super().__init__(diffusion=diffusion, proxy=proxy, **kwargs)


@TASK_UTILS.register_module()
class ConfidenceSelection(SetStage):
    """Keeps, class by class, samples that the proxy classifies as they were meant.

    Of the correct samples the most confident ones are kept for small budgets, which need
    typical images, and the least confident ones above. Where fewer are correct than the
    class needs, the wrong ones with the highest probability of the class fill it up.

    Args:
        pool: Samples of a class for each image that is kept.
        confident_up_to: Images per class up to which the most confident are kept.
        batch_size: Images that the proxy sees at once.

    Raises:
        ValueError: If a setting is out of range.
    """

    def __init__(self, pool: int = 4, confident_up_to: int = 10, batch_size: int = 64) -> None:
        if pool < 1 or batch_size < 1 or confident_up_to < 0:
            raise ValueError(
                f'ConfidenceSelection: pool and batch_size must be at least 1 and confident_up_to '
                f'at least 0, got {pool}, {batch_size} and {confident_up_to}')
        self.slots_per_image = pool
        self.confident_up_to = confident_up_to
        self.batch_size = batch_size

    def check(self, slots: Sequence[DistillSlot]) -> None:
        """Check that every slot asks for one class and every group is a class."""
        for slot in slots:
            if len(slot.labels) != 1 or slot.group != slot.labels[0]:
                raise ValueError(
                    f'ConfidenceSelection chooses class by class: slot {slot.id} asks for classes '
                    f"{slot.labels.tolist()} in group {slot.group}; give a set of one class an "
                    f"image and train_cfg.budget=dict(type='IPC', n=...)")

    def choose(self, samples, num: int, distiller: Any) -> List[int]:
        """Indices of the ``num`` samples of one class that are kept."""
        if not len(samples):
            return []
        target = int(samples[0].slot.labels[0])
        found = self.probabilities(samples, distiller.proxy)
        confidence = found[:, target]
        correct = found.argmax(1) == target
        # Wrong samples come last, the most probable first.
        sign = -1 if num <= self.confident_up_to else 1
        order = sorted(range(len(samples)), key=lambda i: (
            not correct[i], float(confidence[i]) * (sign if correct[i] else -1)))
        if int(correct.sum()) < num:
            print_log(f'class {target}: {int(correct.sum())} of {len(samples)} samples are '
                      f'classified correctly, {num} are needed; wrong ones fill it up',
                      'current', level=30)
        return order[:num]

    def probabilities(self, samples, proxy) -> torch.Tensor:
        """Probabilities of the classes for each sample, (N, K)."""
        device, found = next(proxy.parameters()).device, []
        for start in range(0, len(samples), self.batch_size):
            images = [torch.from_numpy(samples.image(i).copy()).permute(2, 0, 1)
                      for i in range(start, min(start + self.batch_size, len(samples)))]
            found += proxy.predict(torch.stack(images).to(device).float() / 255)
        return torch.stack(found)
