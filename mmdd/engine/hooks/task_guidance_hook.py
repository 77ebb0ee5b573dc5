"""Guidance by the task loss of the proxy: the heart of UniDD."""
from typing import Any, Mapping

from mmengine.model import is_model_wrapper
from torch import Tensor

from mmdd.registry import HOOKS
from mmdd.structures import DenoiseState
from .guidance_hook import GuidanceHook


@HOOKS.register_module()
class TaskGuidanceHook(GuidanceHook):
    """Task-driven guidance (UniDD, section 3.3, equations 7 to 10).

    The energy is the loss of the task-specific proxy on the decoded clean
    estimate against the label of the slot. Which loss terms count is a setting
    of the proxy. The arguments are those of :class:`GuidanceHook`; the scale
    defaults to the paper's 100.
    """

    def __init__(self, scale: float = 100., **kwargs) -> None:
        super().__init__(scale, **kwargs)
        self.proxy: Any = None

    def check_model(self, model: Mapping[str, Any]) -> None:
        """Check that there is a proxy, beside what every guidance needs."""
        super().check_model(model)
        if model.get('diffusion') is not None and model.get('proxy') is None:
            raise ValueError('TaskGuidanceHook needs model.proxy; the config gives none')

    def before_sample(self, runner, state: DenoiseState) -> None:
        """Take the proxy of the distiller that is sampling."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.proxy = model.proxy

    def energy(self, state: DenoiseState) -> Tensor:
        """Task loss of the decoded clean estimate, (B,)."""
        assert state.denoised is not None
        return self.proxy.energy(state.decode(state.denoised), state.slots)
