"""What tensors take up while code runs: the peak, and what is kept for the backward pass.

Works on real tensors and on those of the meta device, which hold no data: networks of any
size can be followed in seconds on a machine that could not hold them.
"""
import weakref
from contextlib import ExitStack, contextmanager
from typing import Any, Dict, Iterator, Optional, Set

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):
    """Counts the bytes of tensors that operations make, until they are freed.

    Tensors from before, such as weights, do not count.

    Attributes:
        now: Bytes that are alive.
        peak: Most bytes that were alive at a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._alive: Dict[int, int] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:
        output = func(*args, **(kwargs or {}))
        if any(value.alias_info for value in func._schema.returns):
            return output  # a view, or in place
        for leaf in [output] if isinstance(output, Tensor) else tree_leaves(output):
            if isinstance(leaf, Tensor):
                self._add(leaf.untyped_storage())
        self.peak = max(self.peak, self.now)
        return output

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._alive:
            return
        self._alive[key] = storage.nbytes()
        self.now += storage.nbytes()
        weakref.finalize(storage, self._remove, key)

    def _remove(self, key: int) -> None:
        self.now -= self._alive.pop(key)


@contextmanager
def fused_attention() -> Iterator[None]:
    """A block in which attention on the meta device saves what the fused kernels of a GPU do.

    Those keep queries, keys, values, the output and one number per query. Without a device
    PyTorch would take the plain formula, which keeps every weight of the attention.
    """
    def attend(query: Tensor, key: Tensor, value: Tensor, attn_mask: Optional[Tensor] = None,
               dropout_p: float = 0., is_causal: bool = False, scale: Optional[float] = None,
               enable_gqa: bool = False) -> Tensor:
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale)[0]

    library = torch.library.Library('aten', 'IMPL', 'AutogradMeta')
    library.impl('scaled_dot_product_attention', attend)
    try:
        yield
    finally:
        library._destroy()


class SavedBytes:
    """Bytes that autograd keeps for the backward pass, each storage once.

    Attributes:
        total: The bytes; those of leaves such as weights do not count.
    """

    def __init__(self) -> None:
        self.total = 0
        self._seen: Set[int] = set()

    def add(self, tensor: Tensor) -> Tensor:
        """Count a tensor; a pack hook of ``saved_tensors_hooks``."""
        storage = tensor.untyped_storage()
        leaf = tensor._base if tensor._base is not None else tensor
        if not isinstance(leaf, nn.Parameter) and storage._cdata not in self._seen:
            self._seen.add(storage._cdata)
            self.total += storage.nbytes()
        return tensor


@contextmanager
def count_saved() -> Iterator[SavedBytes]:
    """A block whose tensors saved for the backward pass are counted."""
    saved = SavedBytes()
    with torch.autograd.graph.saved_tensors_hooks(saved.add, lambda tensor: tensor):
        yield saved


@contextmanager
def follow_memory() -> Iterator[LiveMemory]:
    """A block whose live bytes are counted, with the attention of a GPU on the meta device."""
    with ExitStack() as stack:
        stack.enter_context(fused_attention())
        yield stack.enter_context(LiveMemory())


def weight_bytes(*modules: nn.Module) -> int:
    """Bytes of the parameters and buffers of modules, each storage once."""
    storages = {tensor.untyped_storage()._cdata if not tensor.is_meta else id(tensor): tensor
                for module in modules
                for tensor in (*module.parameters(), *module.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in storages.values())
