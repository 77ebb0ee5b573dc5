"""The sampler of IMS3 (CVPR 2026): of several sets of each class, those that fit together."""
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any, Callable, Dict, List, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmdd.datasets import load_image
from mmdd.models import DatasetDistiller, SetStage
from mmdd.registry import MODELS, TASK_UTILS
from mmdd.structures import BaseBudget, DistillSlot


@MODELS.register_module()
class IMS3Selection(DatasetDistiller):
    """Selective subgroup sampling of `IMS3 <https://arxiv.org/abs/2603.13960>`_.

    The fine-tuning of the paper, inversion matching, is not here. The arguments are those of
    :class:`DatasetDistiller`; ``diffusion`` and ``proxy``, which gives features, are required.
    """

    def __init__(self, diffusion: dict, proxy: dict, **kwargs) -> None:
        super().__init__(diffusion=diffusion, proxy=proxy, **kwargs)

    def plan(self, budget: BaseBudget) -> List[DistillSlot]:
        """The slots of all classes in one group: their subgroups are chosen together."""
        return [replace(slot, group=0) for slot in super().plan(budget)]


@TASK_UTILS.register_module()
class SubgroupSelection(SetStage):
    """Keeps one of ``groups`` subgroups of each class, each as large as the class is to be.

    The subgroups g_c are chosen together, so that centroids come close to those of the real
    images of their class (r_c) and stay away from each other:

    .. math:: -\\alpha \\sum_c \\log d(g_c, r_c) + \\beta \\sum_{c < c'} \\log d(g_c, g_{c'})

    where d is 1 - cosine. The search is coordinate ascent from the subgroups closest to r_c.

    Args:
        groups: Subgroups of each class (G).
        alpha, beta: Weights of closeness to the real images and of distance between classes.
        eps: Added to d before the logarithm.
        sweeps: Passes over the classes at most.
        num_real: Real images of a class that r_c is made of, at most.
        batch_size: Images that the proxy sees at once.
    """

    def __init__(self, groups: int = 5, alpha: float = 0.4, beta: float = 0.9, eps: float = 1e-6,
                 sweeps: int = 5, num_real: int = 200, batch_size: int = 64) -> None:
        if min(groups, num_real, batch_size) < 1 or min(alpha, beta, sweeps) < 0 or not eps > 0:
            raise ValueError(
                f'SubgroupSelection: groups, num_real and batch_size must be at least 1, alpha, '
                f'beta and sweeps at least 0 and eps above 0, got {groups}, {num_real}, '
                f'{batch_size}, {alpha}, {beta}, {sweeps} and {eps}')
        self.slots_per_image = groups
        self.alpha, self.beta, self.eps, self.sweeps = alpha, beta, eps, sweeps
        self.num_real, self.batch_size = num_real, batch_size

    def check(self, slots: Sequence[DistillSlot]) -> None:
        """Check that the plan has one group, and as many slots of one class for every class."""
        sizes = Counter((slot.group, *slot.labels.tolist()) for slot in slots)
        if len(set(sizes.values())) > 1 or any(len(k) != 2 or k[0] != 0 for k in sizes):
            raise ValueError(
                'SubgroupSelection needs images of one class, as many of each, in one group: set '
                "model.type='IMS3Selection' and train_cfg.budget=dict(type='IPC', n=...)")

    def choose(self, samples, num: int, distiller: Any) -> List[int]:
        """Indices of the ``num`` samples of the subgroups that are kept."""
        members: Dict[int, List[int]] = {}
        for index, sample in enumerate(samples):
            members.setdefault(int(sample.slot.labels[0]), []).append(index)
        size = num // max(1, len(members))
        counts = {label: len(own) for label, own in members.items()}
        if size * len(counts) != num or min(counts.values(), default=0) < size:
            raise ValueError(f'SubgroupSelection: {num} images are to be kept of classes with '
                             f'{counts} samples: too many failed; try another model.seed')
        subgroups = [[own[k:k + size] for k in range(0, len(own) - size + 1, size)]
                     for own in members.values()]
        centroids, real = [], []
        for label, own in zip(members, subgroups):
            centroids.append(torch.stack(
                [self.centroid(samples.image, group, distiller.proxy) for group in own]))
            files = [a.path for a in distiller.annotations if a.labels.tolist() == [label]]
            files = files[::-(-len(files) // self.num_real)]  # spread over the class
            read = partial(load_image, size=distiller.image_size)
            real.append(self.centroid(read, files, distiller.proxy))
        chosen = self.search(centroids, real)
        return [i for own, k in zip(subgroups, chosen) for i in own[k]]

    def centroid(self, read: Callable, items: Sequence, proxy: Any) -> Tensor:
        """Unit vector (D,) in the middle of the unit features of the images ``read`` gives."""
        device, found = next(proxy.parameters()).device, []
        for start in range(0, len(items), self.batch_size):
            batch = np.stack([read(item) for item in items[start:start + self.batch_size]])
            images = torch.from_numpy(batch).permute(0, 3, 1, 2).to(device).float() / 255
            found.append(normalize(proxy.features(images).cpu().double(), dim=1))
        return normalize(torch.cat(found).mean(0), dim=0)

    def search(self, centroids: Sequence[Tensor], real: Sequence[Tensor]) -> List[int]:
        """The chosen subgroup of each class, from (G_c, D) centroids and (D,) real ones."""
        def log_distance(a: Tensor, b: Tensor) -> Tensor:
            return torch.log((1 - a @ b.T).clamp_min(0) + self.eps)
        near = [-self.alpha * log_distance(own, r[None])[:, 0] for own, r in zip(centroids, real)]
        chosen = [int(log_distance(c, r[None]).argmin()) for c, r in zip(centroids, real)]
        for _ in range(self.sweeps):
            for c, own in enumerate(centroids):
                kept = torch.stack([each[k] for each, k in zip(centroids, chosen)])
                others = kept[torch.arange(len(kept)) != c]
                value = near[c] + self.beta * log_distance(own, others).sum(1)
                if value.max() > value[chosen[c]]:
                    chosen[c] = int(value.argmax())
        return chosen
