"""UniDD: towards universal dataset distillation via task-driven diffusion."""
import time
from typing import Callable, List

from mmdd.registry import MODELS
from mmdd.structures import DistilledSample, DistillSlot
from .base import DatasetDistiller, to_uint8


@MODELS.register_module()
class UniDD(DatasetDistiller):
    """`Towards Universal Dataset Distillation via Task-Driven Diffusion
    <https://openaccess.thecvf.com/content/CVPR2025/html/Qi_Towards_Universal_Dataset_Distillation_via_Task-Driven_Diffusion_CVPR_2025_paper.html>`_
    (CVPR 2025), algorithm 1.

    Stage 1 mines task knowledge: a proxy trained on the real set (equation 6)
    and contextual prompts (section 3.2). Stage 2 samples with the proxy's loss
    as guidance (``TaskGuidanceHook``, equations 7 to 10), then scores, filters
    and relabels (``ProxyRefiner``, equation 11). The arms of the paper's table
    5 are configs: no guidance hook, ``ClassPrompter``, no refiner.

    The arguments are those of :class:`DatasetDistiller`; ``diffusion`` is
    required.
    """

    def __init__(self, diffusion: dict, **kwargs) -> None:
        super().__init__(diffusion=diffusion, **kwargs)

    def distill_step(self, slots: List[DistillSlot],
                     call_hook: Callable) -> List[DistilledSample]:
        """Sample one image for each slot (algorithm 1, lines 5 to 11)."""
        begin = time.perf_counter()
        images, stats = self.diffusion.sample(slots, call_hook=call_hook)
        seconds = (time.perf_counter() - begin) / len(slots)
        return [
            DistilledSample(slot, image=image, labels=slot.labels, bboxes=slot.bboxes,
                            mask=slot.mask, seconds=seconds, stats=stat)
            for slot, image, stat in zip(slots, to_uint8(images), stats)
        ]
