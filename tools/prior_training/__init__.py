"""What the scripts that train priors share."""
from .arguments import add_arguments
from .autoencoder import (
    add_autoencoder_arguments,
    build_autoencoder,
    scale_latents,
    train_autoencoder,
)
from .data import SIZE, Pool, encode_pool, layout_stream, to_tensor
from .dit import Task, add_dit_arguments, check_size, export_dit, train_dit
from .loop import fit
from .noise import NoiseLevels, make_scheduler, velocity_loss
from .photographs import Photographs, check_same_training

__all__ = [
    'NoiseLevels', 'Photographs', 'Pool', 'SIZE', 'Task', 'add_arguments',
    'add_autoencoder_arguments', 'add_dit_arguments', 'build_autoencoder', 'check_same_training',
    'check_size', 'encode_pool', 'export_dit', 'fit', 'layout_stream', 'make_scheduler',
    'scale_latents', 'to_tensor', 'train_autoencoder', 'train_dit', 'velocity_loss'
]
