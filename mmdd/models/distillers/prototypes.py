"""What methods share whose images start from, or are pulled to, clusters of the real set."""
from typing import Any, Callable, Dict, List, Optional

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmdd.datasets.class_names import spoken_names
from mmdd.registry import TASK_UTILS
from mmdd.structures import (
    IPC,
    BaseBudget,
    DistilledSample,
    DistillSlot,
    RealAnnotation,
    slot_seed,
)
from ..prompters import VLMPrompter
from .classification import ClassificationDistiller


class PrototypeDistiller(ClassificationDistiller):
    """One synthetic image for each cluster of each class.

    The real set is clustered class by class before anything is made, and slot j of a
    class belongs to cluster j: ``slot.prototype`` names it, :meth:`prototypes` gives its
    latent. A subclass says what is done with it.

    Args:
        diffusion: Config of the diffusion adapter.
        statistics: Config of the clustering, e.g. ``dict(type='LatentClusters')``; None
            makes the same slots without prototypes.
        prompter: Config of the prompter; it words classes, there is no real image behind a
            slot. The default is the class name alone, as the dataset gives it.
        saved_size: Side in pixels, or (height, width), to which finished images are scaled
            (bicubic) before they are kept; None keeps ``image_size``.
        kwargs: See :class:`DatasetDistiller`.

    Raises:
        ValueError: If the prompter asks about real images.
    """

    def __init__(self,
                 diffusion: dict,
                 statistics: Optional[dict] = None,
                 prompter: Optional[dict] = None,
                 saved_size: Any = None,
                 **kwargs) -> None:
        prompter = prompter or dict(type='ClassPrompter', template='{names}')
        super().__init__(diffusion=diffusion, prompter=prompter, **kwargs)
        if isinstance(self.prompter, VLMPrompter):
            raise ValueError(f'{type(self).__name__} has no real image behind a slot that '
                             f'VLMPrompter could describe; set model.prompter to '
                             f"dict(type='ClassPrompter')")
        self.statistics = None if statistics is None else TASK_UTILS.build(statistics)
        self.saved_size = (saved_size, saved_size) if isinstance(saved_size, int) else saved_size

    def finish_collect(self, folder: Optional[str] = None) -> None:
        """Cluster each class; see :meth:`ClassStatistics.fit`."""
        groups = self._groups(self.budget)
        if self.statistics is None:
            return
        members = [[self.annotations[i] for i in own] for own, _ in groups]
        with self.timed('cluster'):
            self.statistics.fit(
                self.diffusion, members, self.set_stages.slots(groups[0][1]), self.image_size,
                self.seed, folder and f'{folder}/statistics')

    def _groups(self, budget: Optional[BaseBudget]) -> list:
        if not isinstance(budget, IPC):
            raise ValueError(f'{type(self).__name__} makes as many images of every class: '
                             f"train_cfg.budget must be dict(type='IPC', n=...), got {budget}")
        num = budget.resolve(len(self.annotations), len(self.classes))
        return budget.groups([a.labels for a in self.annotations], len(self.classes), num)

    def plan(self, budget: BaseBudget) -> List[DistillSlot]:
        """One slot for each cluster, class by class.

        Raises:
            ValueError: If the budget is not IPC, or above a class's number of real images.
        """
        assert self.prompter is not None
        prompts = self.prompter.prompts(
            [RealAnnotation(image_id=name, path='', size=self.image_size,
                            labels=np.array([label]))
             for label, name in enumerate(self.classes)], spoken_names(self.classes),
            self.prompt_file or '')
        slots: List[DistillSlot] = []
        for label, (_, quota) in enumerate(self._groups(budget)):
            for cluster in range(self.set_stages.slots(quota)):
                slots.append(DistillSlot(
                    id=len(slots), seed=slot_seed(self.seed, len(slots)), size=self.image_size,
                    labels=np.array([label]), prompt=prompts[label], group=label,
                    **self._origin(label, cluster)))
        return slots

    def _origin(self, label: int, cluster: int) -> Dict[str, Any]:
        """The fields of a slot that say which cluster it belongs to."""
        if self.statistics is None:
            return {}
        found = self.statistics.read(label)
        prototype = dict(cluster=cluster, images=int(found['images']),
                         statistics=self.statistics.key(label))
        if 'sources' not in found:
            return dict(prototype=prototype)
        source = self.statistics.member(label, int(found['sources'][cluster]))
        return dict(prototype=prototype, source=source.image_id, source_path=source.path)

    def prototypes(self, slots: List[DistillSlot]) -> Tensor:
        """Latents (B, C, h, w) fp32 of the clusters of B slots."""
        assert self.statistics is not None and self.diffusion is not None
        rows = [self.statistics.read(slot.group)['centres'][(slot.prototype or {})['cluster']]
                for slot in slots]
        return torch.from_numpy(np.stack(rows)).to(self.diffusion.device)

    def distill_step(self, slots: List[DistillSlot],
                     call_hook: Callable) -> List[DistilledSample]:
        """Make the images and scale them."""
        samples = super().distill_step(slots, call_hook)
        if self.saved_size is not None:
            height, width = self.saved_size
            for sample in samples:
                assert sample.image is not None
                sample.image = np.asarray(Image.fromarray(sample.image).resize(
                    (width, height), Image.Resampling.BICUBIC))
        return samples
