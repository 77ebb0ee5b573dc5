"""DiffFit: which few parameters of a DiT are fine-tuned, and scale factors."""
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Linear layers of a block whose output a scale factor may multiply.
LAYERS = dict(to_q='attn1.to_q', to_k='attn1.to_k', to_v='attn1.to_v', attn='attn1.to_out.0',
              ff='ff.net.2')
# Endings of their names in a state dict.
FACTORS = ('.gamma', '.outer_gamma')


class ScaledLinear(nn.Linear):
    """A linear layer whose output is multiplied by a learnable ``gamma`` (out,), ones at first.

    Args:
        linear: The layer, whose weights are taken over.
        twice: Multiply by a second one, ``outer_gamma``, too.
    """

    def __init__(self, linear: nn.Linear, twice: bool = False) -> None:
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None,
                         device='meta')
        self.weight, self.bias = linear.weight, linear.bias
        self.gamma = nn.Parameter(linear.weight.new_ones(linear.out_features))
        if twice:
            self.outer_gamma = nn.Parameter(linear.weight.new_ones(linear.out_features))

    def forward(self, x: Tensor) -> Tensor:
        """``gamma * (W x + b)`` for ``x`` (..., in)."""
        scaled = self.gamma * F.linear(x, self.weight, self.bias)
        return self.outer_gamma * scaled if hasattr(self, 'outer_gamma') else scaled


def add_scale_factors(transformer: nn.Module,
                      layers: Sequence[str] = ('attn', 'ff'),
                      blocks: Optional[int] = None) -> None:
    """Give linear layers of a diffusers DiT their scale factors, in place.

    Args:
        transformer: A ``DiTTransformer2DModel``.
        layers: Names in ``LAYERS``: output of attention and of the feed-forward
            part, and also queries, keys and values. A name that comes twice has two of
            them.
        blocks: How many blocks, from the first, have them; None means all.

    Raises:
        ValueError: If a name or the number is unknown.
    """
    unknown = set(layers) - set(LAYERS)
    every: Any = transformer.transformer_blocks
    depth = len(every)
    often = any(list(layers).count(name) > 2 for name in layers)
    if unknown or often or not 0 <= (depth if blocks is None else blocks) <= depth:
        raise ValueError(f'scale factors: layers must be among {sorted(LAYERS)}, none more than '
                         f'twice, and blocks at most {depth}, got {list(layers)} and {blocks}')
    for block in every[:blocks]:
        for name in dict.fromkeys(layers):
            path, twice = LAYERS[name], list(layers).count(name) > 1
            block.set_submodule(path, ScaledLinear(block.get_submodule(path), twice))


def merge_scale_factors(state: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Multiply scale factors into the weights and biases of their layers.

    Args:
        state: State dict of a transformer with or without scale factors.

    Returns:
        dict: The same function without scale factors: loads into a stock transformer.
    """
    merged = {key: value for key, value in state.items() if not key.endswith(FACTORS)}
    for key, gamma in state.items():
        if not key.endswith(FACTORS):
            continue
        layer = key.rpartition('.')[0]
        merged[f'{layer}.weight'] = gamma[:, None] * merged[f'{layer}.weight']
        if f'{layer}.bias' in merged:
            merged[f'{layer}.bias'] = gamma * merged[f'{layer}.bias']
    return merged


def tie_embedders(transformer: nn.Module) -> bool:
    """Let all blocks share one embedder of time and class, as DiT has it.

    diffusers gives each block a copy. Copies that differ are left alone.

    Returns:
        bool: Whether there is one embedder now.
    """
    blocks: Any = transformer.transformer_blocks
    first, *others = [block.norm1.emb for block in blocks]
    wanted = first.state_dict()
    same = all(torch.equal(value, wanted[key])
               for other in others for key, value in other.state_dict().items())
    if same:
        for block in blocks:
            block.norm1.emb = first
    return same


def first_names(transformer: nn.Module) -> Dict[str, str]:
    """For each name of a parameter the first name that it has; tied ones have several."""
    first: Dict[int, str] = {}
    return {name: first.setdefault(id(parameter), name)
            for name, parameter in transformer.named_parameters(remove_duplicate=False)}


def untie_embedders(state: Mapping[str, Tensor], depth: int) -> Dict[str, Tensor]:
    """Give every block the embedder of the first where a state dict has only that."""
    state = dict(state)
    for key, value in list(state.items()):
        if key.startswith('transformer_blocks.0.norm1.emb.'):
            for i in range(1, depth):
                state.setdefault(key.replace('.0.', f'.{i}.', 1), value)
    return state


def trainable_parameters(transformer: nn.Module) -> Iterator[Tuple[str, nn.Parameter]]:
    """What DiffFit trains: biases, norms, scale factors and the class embedding."""
    norms = {id(p) for module in transformer.modules()
             if isinstance(module, (nn.LayerNorm, nn.GroupNorm)) for p in module.parameters()}
    for name, parameter in transformer.named_parameters():
        kind = name.rpartition('.')[2]
        if (kind in ('bias', 'gamma', 'outer_gamma') or id(parameter) in norms
                or 'class_embedder.embedding_table' in name):
            yield name, parameter


def mark_trainable(transformer: nn.Module) -> List[str]:
    """Freeze everything but :func:`trainable_parameters` and return their names."""
    transformer.requires_grad_(False)
    names = []
    for name, parameter in trainable_parameters(transformer):
        parameter.requires_grad_()
        names.append(name)
    return names
