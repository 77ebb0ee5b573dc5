"""Guidance to what a classifier is unsure of, after a description of UAG."""
from typing import Any, Mapping

from mmengine.model import is_model_wrapper
from torch import Tensor

from mmdd.engine import GuidanceHook, class_of
from mmdd.models import DatasetDistiller
from mmdd.registry import HOOKS, MODELS
from mmdd.structures import DenoiseState


@MODELS.register_module()
class EntropyGuidance(DatasetDistiller):
    """Images of a class that the proxy, a classifier, is unsure of.

    The arguments are those of :class:`DatasetDistiller`; ``diffusion`` and ``proxy`` are
    required. What raises the entropy is :class:`EntropyGuidanceHook`.
    """

    def __init__(self, diffusion: dict, proxy: dict, **kwargs) -> None:
        super().__init__(diffusion=diffusion, proxy=proxy, **kwargs)


@HOOKS.register_module()
class EntropyGuidanceHook(GuidanceHook):
    """Raises the entropy of the proxy's class probabilities of the decoded clean estimate.

    It follows the description of UAG that was at hand: guidance at t <= 795 of 1000, no
    gradient through the denoiser. Its paper and code could not be read.

    Args:
        scale: Length of a step as a share of the noise prediction, by the default ``step``.
        max_timestep: Timestep of the scheduler from which on it guides.
        kwargs: See :class:`GuidanceHook`; ``start`` and ``stop`` narrow the window further.
    """

    def __init__(self, scale: float = 0.05, max_timestep: int = 795, wrt: str = 'denoised',
                 step: str = 'relative', **kwargs) -> None:
        super().__init__(scale, wrt=wrt, step=step, **kwargs)
        self.max_timestep = max_timestep

    def check_model(self, model: Mapping[str, Any]) -> None:
        """Check that the proxy gives logits, beside what every guidance needs.

        Raises:
            ValueError: If it gives none.
        """
        super().check_model(model)
        if not hasattr(class_of(MODELS, model.get('proxy')), 'logits'):
            raise ValueError('EntropyGuidanceHook needs a classifier: set model.proxy to '
                             "dict(type='ClassifierProxy', cfg=...)")

    def before_sample(self, runner, state: DenoiseState) -> None:
        """Take the proxy of the distiller that is sampling."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.proxy = model.proxy

    def is_active(self, state: DenoiseState) -> bool:
        """Whether this step is guided."""
        return super().is_active(state) and state.timestep <= self.max_timestep

    def energy(self, state: DenoiseState) -> Tensor:
        """Negative entropy in nats, (B,)."""
        found = self.proxy.logits(state.decode(state.denoised)).log_softmax(1)
        return (found.exp() * found).sum(1)
