"""The prior beside what is trained of it."""
from typing import Any

import torch


class FrozenPrior:
    """Holds a diffusion adapter outside of the modules of the model that has it.

    Its autoencoder is frozen and belongs in no checkpoint, and its transformer is already a
    module of that model, so it is not registered there again.

    Args:
        diffusion: The adapter.
    """

    def __init__(self, diffusion: Any) -> None:
        self.diffusion = diffusion

    def on(self, device: torch.device) -> Any:
        """The adapter, moved to a device if it is elsewhere."""
        return self.diffusion if self.diffusion.vae.device == device else \
            self.diffusion.to(device)
