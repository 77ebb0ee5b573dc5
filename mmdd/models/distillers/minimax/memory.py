"""Memories of recent embeddings, one queue per class."""
from typing import Tuple

import torch
from torch import Tensor, nn


class ClassMemory(nn.Module):
    """A first-in-first-out queue of embeddings for each class.

    The queues are buffers: a checkpoint holds them, so that a resumed training
    has what an uninterrupted one would have.

    Args:
        num_classes: K.
        size: Entries of a queue.
        shape: Shape of an embedding.
    """

    entries: Tensor
    pushed: Tensor

    def __init__(self, num_classes: int, size: int, shape: Tuple[int, ...]) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f'ClassMemory: size must be at least 1, got {size}')
        self.size = size
        self.register_buffer('entries', torch.zeros(num_classes, size, *shape))
        # How many were pushed since the beginning; the next one goes to pushed % size.
        self.register_buffer('pushed', torch.zeros(num_classes, dtype=torch.long))

    def get(self, index: int) -> Tensor:
        """The entries (n, *shape) of a class, at most ``size``, in no particular order."""
        return self.entries[index, :min(int(self.pushed[index]), self.size)]

    @torch.no_grad()
    def push(self, index: int, embeddings: Tensor) -> None:
        """Append embeddings (n, *shape) to the queue of a class; the oldest fall out."""
        for embedding in embeddings.detach():
            self.entries[index, int(self.pushed[index]) % self.size] = embedding
            self.pushed[index] += 1
