"""Activations inside a denoiser."""
import difflib
from typing import Dict, List, Sequence

from torch import Tensor, nn


class _Enough(Exception):
    """Ends a forward pass when every activation that was asked for is there."""


class FeatureAccessor:
    """Catches named activations of a network while it runs.

    ::

        with FeatureAccessor(diffusion.denoiser, ['up_blocks.1'], stop=True) as features:
            diffusion.predict_noise(latents, timestep, condition)
        features['up_blocks.1']  # (B, C, h, w)

    A forward pass replaces what an earlier one left. Gradients flow through the
    activations as they do through the network.

    Args:
        network: A denoiser, or any other module.
        names: Submodules as in ``network.named_modules()``: 'mid_block',
            'up_blocks.1', 'up_blocks.1.resnets.0'. Of a module that returns
            several tensors the first one counts.
        stop: Whether the pass ends once all are there; what would come after
            them is not computed, and the caller gets no output.

    Raises:
        ValueError: If there is no such submodule.
    """

    def __init__(self, network: nn.Module, names: Sequence[str], stop: bool = False) -> None:
        self.modules = {name: find_module(network, name) for name in names}
        self.stop = stop
        self.found: Dict[str, Tensor] = {}
        self._handles: List = []

    def __enter__(self) -> 'FeatureAccessor':
        for name, module in self.modules.items():
            self._handles.append(module.register_forward_hook(
                lambda _, args, output, name=name: self._keep(name, output)))
        return self

    def __exit__(self, kind, error, trace) -> bool:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        return isinstance(error, _Enough)

    def __getitem__(self, name: str) -> Tensor:
        return self.found[name]

    def _keep(self, name: str, output) -> None:
        self.found[name] = output[0] if isinstance(output, (tuple, list)) else output
        if self.stop and len(self.found) == len(self.modules):
            raise _Enough


def find_module(network: nn.Module, name: str) -> nn.Module:
    """A submodule by its dotted name.

    Raises:
        ValueError: If there is none; the message suggests the nearest name.
    """
    modules = dict(network.named_modules())
    if name not in modules:
        close = difflib.get_close_matches(name, modules, 1)
        hint = f'; did you mean {close[0]!r}?' if close else ''
        raise ValueError(f'{type(network).__name__} has no part {name!r}{hint}')
    return modules[name]
