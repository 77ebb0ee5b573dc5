"""A network with a smoother activation, for the gradient of an energy."""
import copy
from itertools import chain

from torch import nn

from mmdd.utils.numbers import check_number


def with_softplus(model: nn.Module, beta: float) -> nn.Module:
    """A copy of a network with ``Softplus(beta)`` in the place of every ``nn.ReLU``.

    Softplus is log(1 + exp(beta x)) / beta; the larger beta, the nearer to the ReLU. The
    copy shares the weights, so weights that are loaded later are its own too.

    Args:
        model: A network; it stays as it is.
        beta: Above 0.

    Raises:
        ValueError: If beta is out of range, or there is no ReLU to replace.
    """
    check_number('ClassifierProxy: softplus', beta, above=0)
    shared = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    smooth = copy.deepcopy(model, shared)
    # Blocks may use one ReLU in several places.
    names = [name for name, module in smooth.named_modules(remove_duplicate=False)
             if isinstance(module, nn.ReLU)]
    if not names:
        raise ValueError(f'ClassifierProxy: softplus finds no ReLU in {type(model).__name__}; '
                         f'leave it out')
    for name in names:
        smooth.set_submodule(name, nn.Softplus(beta))
    return smooth
