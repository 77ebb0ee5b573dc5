"""Optimal-transport guidance of DMGD (CVPR 2026): the images of a class share its real mass."""
import math
from typing import Any, Dict, Iterator, List, Mapping

import numpy as np
import torch
from mmengine.model import is_model_wrapper
from torch import Tensor
from torch.nn.functional import normalize

from mmdd.engine import GuidanceHook, class_of
from mmdd.models import ClassStatistics, PrototypeDistiller
from mmdd.registry import HOOKS, MODELS, TASK_UTILS
from mmdd.structures import DenoiseState


@TASK_UTILS.register_module()
class ClassSupport(ClassStatistics):
    """A class as ``points`` (K) k-means centres of its latents and the latents of each.

    Kept of a class: ``centres`` (K, C, h, w), ``counts`` (K,) and ``images``, their sum. All
    latents of a class are in memory at once. ``kwargs`` are those of :class:`ClassStatistics`.
    """

    def __init__(self, points: int = 10, **kwargs) -> None:
        super().__init__(**kwargs)
        if points < 1:
            raise ValueError(f'ClassSupport: points must be at least 1, got {points}')
        self.points = points

    def settings(self) -> Dict[str, Any]:
        """See :meth:`ClassStatistics.settings`."""
        return dict(super().settings(), points=self.points)

    def summarize(self, latents: Iterator, total: int, num: int, seed: int) -> Dict[str, Any]:
        """See :meth:`ClassStatistics.summarize`; fewer centres where latents are the same."""
        from sklearn.cluster import KMeans
        rows = np.concatenate(list(latents))
        kmeans = KMeans(min(self.points, total), n_init=1, random_state=seed % 2**32)
        found = kmeans.fit(rows.reshape(total, -1))
        counts = np.bincount(found.labels_, minlength=found.n_clusters)
        centres = found.cluster_centers_.reshape(-1, *rows.shape[1:])
        return dict(centres=centres[counts > 0], counts=counts[counts > 0],
                    images=np.array(total))


@MODELS.register_module()
class OTGuidance(PrototypeDistiller):
    """The distribution matching of `DMGD <https://arxiv.org/abs/2605.03877>`_.

    Its semantic matching, the dynamic soft labels, is not here. The arguments are those of
    :class:`PrototypeDistiller`, with a :class:`ClassSupport` as ``statistics``. The cluster of
    a slot is the number of the image in its class, whatever the number of centres.
    """


@HOOKS.register_module()
class OTGuidanceHook(GuidanceHook):
    """Lowers the cost of moving the images of a class onto its centres (Sinkhorn).

    The earlier images of the class are part of the transport and stand still. So that an image
    depends on its slot alone, they stand where the guidance wants them (:func:`stand_ins`)
    and not where they came out. The cost is the distance on the unit sphere.

    Args:
        scale: Length of a step as a share of the noise prediction, by the default ``step``.
        epsilon, iterations: Entropic regularisation, and scalings of rows and columns.
        kwargs: See :class:`GuidanceHook`. The window is t in [30, 45] of 50 steps, as in the
            paper, and the gradient goes around the denoiser, as in its code.
    """

    def __init__(self, scale: float = 0.05, epsilon: float = 0.1, iterations: int = 5,
                 wrt: str = 'denoised', step: str = 'relative', start: float = 0.08,
                 stop: float = 0.4, **kwargs) -> None:
        if not 0 < epsilon < math.inf or iterations < 1:
            raise ValueError(f'OTGuidanceHook: epsilon must be above 0 and iterations at least '
                             f'1, got {epsilon} and {iterations}')
        super().__init__(scale, wrt=wrt, step=step, start=start, stop=stop, **kwargs)
        self.epsilon, self.iterations = epsilon, iterations

    def check_model(self, model: Mapping[str, Any]) -> None:
        """Check that the statistics are centres, beside what every guidance needs.

        Raises:
            ValueError: If they are not.
        """
        super().check_model(model)
        if class_of(TASK_UTILS, model.get('statistics')) is not ClassSupport:
            raise ValueError("OTGuidanceHook needs model.type='OTGuidance' with "
                             "model.statistics=dict(type='ClassSupport')")

    def before_sample(self, runner, state: DenoiseState) -> None:
        """Look up centres, masses and what stands still for each slot."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.targets = {}
        for slot in state.slots:
            found = model.statistics.read(slot.group)
            centres = torch.from_numpy(found['centres']).to(state.latents).flatten(1)
            masses = torch.from_numpy(found['counts'] / found['counts'].sum()).to(centres)
            earlier = stand_ins(masses.tolist(), slot.prototype['cluster'])
            self.targets[slot.id] = normalize(centres, dim=1), masses, earlier

    def energy(self, state: DenoiseState) -> Tensor:
        """Transport cost of each image and those before it, (B,)."""
        costs = []
        for slot, latent in zip(state.slots, state.denoised):
            centres, masses, earlier = self.targets[slot.id]
            own = normalize(latent.flatten(), dim=0)
            cost = (torch.cat([centres[earlier], own[None]])[:, None] - centres).norm(dim=2)
            costs.append((sinkhorn(cost, masses, self.epsilon, self.iterations) * cost).sum())
        return torch.stack(costs)


def stand_ins(masses: List[float], num: int) -> List[int]:
    """Centres of the first ``num`` images: each takes the one with most mass left to it."""
    taken: List[int] = []
    for n in range(1, num + 1):
        taken.append(int(np.argmax([m * n - taken.count(k) for k, m in enumerate(masses)])))
    return taken


def sinkhorn(cost: Tensor, masses: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Transport plan (N, K) from N equal weights to ``masses`` (K,), in the log domain."""
    plan = -cost / epsilon
    for _ in range(iterations):
        plan = plan - plan.logsumexp(1, keepdim=True) - math.log(len(cost))
        plan = plan - plan.logsumexp(0, keepdim=True) + masses.log()
    return plan.exp()
