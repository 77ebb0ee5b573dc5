"""What the trainings of a few parameters of a prior have in common."""
from typing import Any, Dict, List, Sequence

import torch
from mmengine.dist import get_rank
from mmengine.model import BaseModel
from torch import Tensor

from mmdd.utils.seed import generator
from .difffit import first_names
from .frozen_prior import FrozenPrior


class FineTuner(BaseModel):
    """Trains parameters of the denoiser of a prior: the model of a stock training job.

    A subclass provides :meth:`read` and :meth:`losses`. Everything random follows from ``seed``,
    the rank and the number of the iteration, which is a buffer: a resumed training ends with
    the weights of an uninterrupted one. Of the denoiser a checkpoint holds what is trained; the
    rest is the prior's.

    Args:
        prior: The diffusion adapter, whose denoiser has been made ready.
        role: Attribute of it that is the denoiser, and its name here.
        trained: Names of the parameters of the denoiser that are trained.
        flip: Probability of a horizontal flip.
        sample_posterior: Draw latents from the autoencoder's posterior instead of taking its
            mean.
        seed: Seed of the noise.
        data_preprocessor: Config of what gives images in [0, 1], RGB.
    """

    def __init__(self, prior: Any, role: str, trained: Sequence[str], flip: float = 0.,
                 sample_posterior: bool = False, seed: int = 0,
                 data_preprocessor: Any = None) -> None:
        super().__init__(data_preprocessor)
        self._frozen = FrozenPrior(prior)
        self.role = role
        setattr(self, role, prior.denoiser)
        self.trained: List[str] = list(trained)
        self.flip = flip
        self.sample_posterior = sample_posterior
        self.seed = seed
        self.register_buffer('iteration', torch.zeros((), dtype=torch.long))
        self.register_state_dict_post_hook(drop_frozen)
        self.register_load_state_dict_pre_hook(add_frozen)

    @property
    def denoiser(self) -> torch.nn.Module:
        """The network that is trained."""
        return getattr(self, self.role)

    @property
    def prior(self) -> Any:
        """The prior that is fine-tuned, with its autoencoder and noise schedule."""
        return self._frozen.on(next(self.denoiser.parameters()).device)

    @property
    def passes(self) -> int:
        """Denoiser evaluations so far."""
        return self._frozen.diffusion.passes

    def init_weights(self) -> None:
        """Keep the weights that were loaded."""

    def train(self, mode: bool = True):
        """Stay in evaluation mode: conditions are dropped here, from the seed, and not by the
        denoiser; no other layer differs."""
        return super().train(False)

    def forward(self, inputs: Tensor, data_samples: Any = None,
                mode: str = 'loss') -> Dict[str, Tensor]:
        """Losses of images (B, 3, H, W), RGB in [0, 1], and their data samples.

        Raises:
            NotImplementedError: In other modes than 'loss': a prior draws images.
        """
        if mode != 'loss':
            raise NotImplementedError(f'{type(self).__name__} only trains; images are drawn by '
                                      f'{type(self._frozen.diffusion).__name__}')
        draws = generator('fine-tune', self.seed, get_rank(), int(self.iteration))
        self.iteration += 1
        return self.losses(self.encode(inputs, draws), self.read(data_samples), draws)

    @torch.no_grad()
    def encode(self, images: Tensor, draws: torch.Generator) -> Tensor:
        """z_0 of images, some of them flipped."""
        flipped = (torch.rand(len(images), generator=draws) < self.flip).to(images.device)
        images = torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)
        return self.prior.encode_images(
            images, [draws] * len(images) if self.sample_posterior else None)

    def read(self, data_samples: Sequence[Any]) -> List[Any]:
        """What the prior is told of images, by what the dataset says of them."""
        raise NotImplementedError

    def losses(self, clean: Tensor, told: Any, draws: torch.Generator) -> Dict[str, Tensor]:
        """The losses of a batch by name.

        Args:
            clean: z_0 (B, C, h, w).
            told: See :meth:`read`.
            draws: Source of everything random.
        """
        raise NotImplementedError


def drop_frozen(model: FineTuner, state: Dict[str, Tensor], prefix: str, _) -> None:
    """Keep the frozen part of the denoiser out of a state dict, in place."""
    kept = {f'{prefix}{model.role}.{name}' for name in model.trained}
    for key in list(state):
        if key.startswith(f'{prefix}{model.role}.') and key not in kept:
            del state[key]


def add_frozen(model: FineTuner, state: Dict[str, Tensor], prefix: str, *_) -> None:
    """Complete a state dict that is about to be loaded, in place."""
    names = first_names(model.denoiser)
    for name, value in model.denoiser.state_dict().items():
        first = f'{prefix}{model.role}.{names.get(name, name)}'
        state.setdefault(f'{prefix}{model.role}.{name}', state.get(first, value))
