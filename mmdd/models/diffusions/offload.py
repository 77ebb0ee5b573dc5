"""Text encoders that leave the GPU once prompts are encoded."""
from contextlib import contextmanager
from typing import Iterator, Tuple

import torch


class OffloadMixin:
    """Keeps text encoders on the CPU but for the moment in which they encode prompts.

    Attributes:
        offload_text_encoders: Whether they leave the device of the denoiser.
    """

    offload_text_encoders: bool
    device: torch.device
    runtime_settings: Tuple[str, ...] = ('offload_text_encoders', )

    @contextmanager
    def encoders_at_work(self, *roles: str) -> Iterator[None]:
        """Have the text encoders of these names where the denoiser is."""
        parts = [getattr(self, role) for role in roles]
        for part in parts:
            part.to(self.device)
        try:
            yield
        finally:
            if self.offload_text_encoders:
                for part in parts:
                    part.to('cpu')
