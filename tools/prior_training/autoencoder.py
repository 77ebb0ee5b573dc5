"""The autoencoder of a prior: a small one that is trained first."""
import argparse
from typing import Callable, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from .loop import fit

# Groups of the norms of a small autoencoder; widths are multiples of it.
GROUPS = 8


def build_autoencoder(size: int, widths: Sequence[int] = (32, 64, 64)) -> AutoencoderKL:
    """A KL autoencoder of 4 latent channels that halves the sides between two widths.

    Args:
        size: Side of the images in pixels.
        widths: Channels at every size, the largest size first.

    Raises:
        ValueError: If a width is no multiple of 8.
    """
    if any(width % GROUPS for width in widths):
        raise ValueError(f'the widths of the autoencoder must be multiples of {GROUPS}, got '
                         f'{" ".join(map(str, widths))}')
    return AutoencoderKL(
        down_block_types=('DownEncoderBlock2D', ) * len(widths),
        up_block_types=('UpDecoderBlock2D', ) * len(widths),
        block_out_channels=tuple(widths), norm_num_groups=GROUPS, sample_size=size)


def train_autoencoder(vae: AutoencoderKL, batch: Callable[[int, torch.Generator], Tensor],
                      args: argparse.Namespace, decoder_only: bool = False,
                      distance: Optional[Callable[[Tensor, Tensor], Tensor]] = None
                      ) -> Tuple[AutoencoderKL, bool]:
    """Train on L1 + MSE + a small KL term, in fp32 and without averaging.

    Args:
        vae: What is trained.
        batch: Maps a step (from 1) and its random generator to images
            (--vae-batch-size, 3, H, W) in [-1, 1].
        args: Options of :func:`add_arguments` and :func:`add_autoencoder_arguments`.
        decoder_only: Leave the encoder, and with it all latents, as they are.
        distance: One more term of the loss, of decoded images and those of the batch.

    Returns:
        tuple: the autoencoder, frozen once it is done, and whether it is.
    """
    if not args.vae_steps:
        return vae.to(args.device).eval().requires_grad_(False), True

    for part in (vae.encoder, vae.quant_conv):
        part.requires_grad_(not decoder_only)

    def loss(step, g):
        x = batch(step, g).to(args.device)
        posterior = vae.encode(x).latent_dist
        y = vae.decode(posterior.mean + posterior.std * torch.randn(
            posterior.mean.shape, generator=g).to(x)).sample.float()
        more = distance(y, x) if distance else 0.
        return F.l1_loss(y, x) + F.mse_loss(y, x) + 1e-6 * posterior.kl().mean() + more

    own = argparse.Namespace(**{**vars(args), 'steps': args.vae_steps, 'lr': args.vae_lr,
                                'ema': 0., 'precision': 'fp32'})
    return fit('vae', vae, loss, own)


def scale_latents(vae: AutoencoderKL, latents: Tensor) -> None:
    """Note in the config of an autoencoder what brings its latents to unit variance."""
    vae.register_to_config(scaling_factor=float(1 / latents.float().std()))
